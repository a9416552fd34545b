<?php
// The table alone, read at each request: a worker of PHP keeps no objects between two of them.
$file = fopen(getenv('KSMRUN_BENCH_MODEL') . '/table.csv', 'r');
$rows = [];
while (($row = fgetcsv($file, null, ',', '"', '')) !== false) {
    $rows[] = $row;
}
$number = 1 + (int) $_SERVER['QUERY_STRING'] * 7919 % (count($rows) - 1);
echo getmypid(), ' ', $rows[$number][1], ' ', $rows[$number][2];
