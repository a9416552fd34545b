#!/bin/sh
# A server that saves by fork, rewrites its log by fork, and starts again from both.
set -eu
mkdir /tmp/redis
cd /tmp/redis
# The server is this program by another name; its package would start a service.
ln -s /usr/bin/redis-check-rdb redis-server
cli() { redis-cli -s redis.sock "$@"; }
start() {
    ./redis-server --port 0 --unixsocket /tmp/redis/redis.sock --daemonize yes --appendonly yes \
        --enable-debug-command yes --dir /tmp/redis --logfile log --pidfile /tmp/redis/pid
    until [ "$(cli ping 2>/dev/null)" = PONG ]; do sleep 0.02; done
}
idle() {
    until [ "$(cli info persistence | grep -cE 'in_progress:1|scheduled:1')" = 0 ]; do sleep 0.02; done
}
start
idle
cli debug populate 20000 key 200
cli debug digest
for round in 1 2 3; do
    cli bgsave
    cli set "round$round" "$round"
    idle
    cli bgrewriteaof
    cli incr counter
    idle
done
cli info persistence | grep -E 'last_bgsave_status|last_bgrewrite_status|rdb_saves'
cli debug digest
/usr/bin/redis-check-rdb dump.rdb | grep -E 'keys read|RDB looks OK' | sed 's/.*\] //'
cli shutdown
while [ -e pid ]; do sleep 0.02; done
start
cli dbsize
cli debug digest
cli shutdown
while [ -e pid ]; do sleep 0.02; done
grep -ciE 'crash|error|warning: mem' log || true
rm -r /tmp/redis
