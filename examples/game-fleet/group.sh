#!/bin/sh
# One group of game servers, like one container of the article: even groups Lua, odd ones CPython.
#   sh group.sh GROUP FIRST_PORT SERVERS WORLD ITEMS_OF_A_USER KIND...
set -eu
here=$(dirname "$0")
group=$1 first_port=$2 servers=$3
shift 3
number=0
while [ "$number" -lt "$servers" ]; do
    port=$((first_port + group * servers + number))
    if [ $((group % 2)) = 0 ]; then
        lua5.4 "$here/server.lua" "$port" "$@" &
    else
        /usr/bin/python3 "$here/server.py" "$port" "$@" &
    fi
    number=$((number + 1))
done
wait
