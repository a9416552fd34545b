<?php
// WordNet as a graph in memory, then idle.
ini_set("memory_limit", "1G");
$kinds = ["v" => "verb", "a" => "adj", "s" => "adj", "r" => "adv"];

class Synset
{
    public array $links = [];
    public ?int $depth = null;

    public function __construct(public string $id, public array $words, public string $gloss)
    {
    }
}

$synsets = $index = $counts = [];
foreach (["verb", "adj", "adv"] as $kind) {
    foreach (new SplFileObject("/usr/share/wordnet/data.$kind") as $line) {
        if ($line === "" || $line[0] === " ") {
            continue;
        }
        [$data, $gloss] = explode(" | ", rtrim($line), 2);
        $fields = explode(" ", $data);
        $words_end = 4 + 2 * hexdec($fields[3]);
        $links_end = $words_end + 1 + 4 * (int) $fields[$words_end];
        $words = [];
        for ($at = 4; $at < $words_end; $at += 2) {
            $words[] = $fields[$at];
        }
        $synset = new Synset($kind . $fields[0], $words, $gloss);
        for ($at = $words_end + 1; $at < $links_end; $at += 4) {
            $target = ($kinds[$fields[$at + 2]] ?? "noun") . $fields[$at + 1];
            $synset->links[] = [$fields[$at], $target];
        }
        $synsets[$synset->id] = $synset;
        foreach ($words as $word) {
            $index[strtolower($word)][] = $synset;
        }
        preg_match_all("/[a-z]+/", strtolower($gloss), $found);
        foreach ($found[0] as $word) {
            $counts[$word] = ($counts[$word] ?? 0) + 1;
        }
    }
}

function depth(Synset $synset): int
{
    if ($synset->depth === null) {
        $synset->depth = 0; // WordNet 3.0 has a circle of two verbs.
        $most = -1;
        foreach ($synset->links as [$symbol, $target]) {
            if ($symbol === "@") {
                $most = max($most, depth($target));
            }
        }
        $synset->depth = $most + 1;
    }
    return $synset->depth;
}

foreach ($synsets as $synset) {
    $links = [];
    foreach ($synset->links as [$symbol, $id]) {
        if (isset($synsets[$id])) {
            $links[] = [$symbol, $synsets[$id]];
        }
    }
    $synset->links = $links;
}
$deepest = 0;
foreach ($synsets as $synset) {
    $deepest = max($deepest, depth($synset));
}
$common = null;
foreach ($counts as $word => $count) {
    if ($common === null || $count > $counts[$common] || ($count === $counts[$common] && $word < $common)) {
        $common = $word;
    }
}
printf(
    "ready %s: %d %d %d %s %d\n",
    $argv[1],
    count($synsets),
    count($index),
    count($counts),
    $common,
    $deepest
);
while (true) {
    sleep(60);
}
