#!/bin/sh
# A database cluster: initdb, many backends by fork with shared memory, a crash, recovery.
set -eu
tools=$(echo /usr/lib/postgresql/*/bin)
mkdir -m 777 /tmp/postgres
cat >/tmp/postgres/steps <<'END'
set -eu
PATH=$1:$PATH
cd /tmp/postgres
export PGHOST=/tmp/postgres PGDATA=/tmp/postgres/data PGDATABASE=postgres
ask() { psql -XAtqc "$1"; }
initdb --no-sync -A trust --no-locale -E UTF8 | grep -c ok
start() { pg_ctl -w -s -l log -o "-c listen_addresses='' -c fsync=off -k /tmp/postgres" start; }
start
pgbench -i -q -s 2 2>/dev/null
pgbench -n -c 6 -j 2 -t 150 2>/dev/null | grep -E 'actually processed|failed'
ask 'select count(*), sum(abalance) = (select sum(delta) from pgbench_history) from pgbench_accounts'
ask 'set max_parallel_workers_per_gather = 2; set min_parallel_table_scan_size = 0;
    set parallel_setup_cost = 0; set parallel_tuple_cost = 0;
    select md5(string_agg(aid::text, $$,$$ order by aid)) from pgbench_accounts'
ask "select count(*) from generate_series(1, 300000) a group by a % 3 order by 1"
# A backend that dies by SIGKILL makes the server restart all of them.
psql -Xqc "copy (select pg_backend_pid()) to program 'kill -9 \$(cat)'" >/dev/null 2>&1 || echo died
until ask 'select 1' 2>/dev/null; do sleep 0.05; done
ask 'select count(*) from pgbench_history'
pg_ctl -s -m immediate stop
start
ask 'select count(*) from pgbench_history'
pg_ctl -s -m fast stop
pg_controldata | grep 'cluster state'
pg_checksums -c 2>&1 | tail -n 1
grep -E 'PANIC|signal (4|6|7|11)' log || true
END
su -s /bin/sh postgres -c "sh /tmp/postgres/steps $tools"
rm -r /tmp/postgres
