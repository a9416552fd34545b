#!/bin/sh
# Measures groups of game servers, idle and with users: without merging, with it, and with a shared
# layout. Repeats the tests that NetEase published, at a size for one host. Needs root; restores KSM.
#
#   sh examples/game-fleet/run.sh [--size full|small] [--rounds N] [--users N]... [--output DIR]
#
# Prints a table in Markdown, and writes it with a chart to DIR (default: build/game-fleet). If DIR
# has results, it continues there. The full size takes 12 GiB and 1 h 45 min.
set -eu
cd "$(dirname "$0")/../.."
here=$PWD/examples/game-fleet

size=full rounds='' users='' output=$PWD/build/game-fleet
while [ $# -gt 1 ]; do
    case $1 in
        --size) size=$2 ;;
        --rounds) rounds=$2 ;;
        --users) users="$users $2" ;;
        --output) mkdir -p "$2" && output=$(cd "$2" && pwd) ;;
        *) break ;;
    esac
    shift 2
done
case $#$size in
    # The article's 8 containers of 32 processes, and its users.
    0full) groups=8 servers=32 all_users='0 800 9600' all_rounds=6 hold=20 arrive=25 first_wait=35 ;;
    0small) groups=2 servers=4 all_users='0 20 240' all_rounds=1 hold=3 arrive=1 first_wait=2 ;;
    *)
        sed -n '5s/^# *//p' "$0" >&2
        exit 2
        ;;
esac
# Seconds between a user's requests, and number of things a user has (0.5 MiB in Lua, 0.3 in CPython).
pause=4 items=3000
kinds=verb first_port=24000

missing=
for package in lua5.4 lua-socket wordnet-base ddnet-data python3; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
        missing="$missing $package"
done
[ -z "$missing" ] || {
    echo "game-fleet: not installed; to do: sudo apt-get install$missing" >&2
    exit 1
}
# KSMRUN_VENV may name an environment that already has ksmrun.
venv=${KSMRUN_VENV:-.venv}
"$venv/bin/python" -c 'import ksmrun, scipy, matplotlib' 2>/dev/null || {
    echo "game-fleet: building and installing ksmrun into $venv"
    [ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check '.[ab]'
}

# The middle one of DDNet's five large maps.
map="/usr/share/games/ddnet/data/maps/Sunny Side Up.map"
mkdir -p "$output"
[ -e "$output/world" ] || python3 "$here/world.py" "$map" "$output/world"

for number in ${users:-$all_users}; do
    results=$output/users-$number
    if [ -e "$results/experiment.json" ]; then
        "$venv/bin/ksmrun" ab --resume "$results" >"$results.txt"
        continue
    fi
    set --
    [ "$number" = 0 ] || set -- --warm-up "$first_wait" \
        --fleet-load "/usr/bin/python3 $here/users.py --users $number --servers $((groups * servers)) \
            --first-port $first_port --pause $pause --arrive $arrive --window $hold $kinds" \
        --metric 'throughput=throughput: ([0-9.]+)' --metric 'p50_ms=p50_ms: ([0-9.]+)' \
        --metric 'p99_ms=p99_ms: ([0-9.]+)'
    "$venv/bin/ksmrun" ab -n "$groups" --rounds "${rounds:-$all_rounds}" \
        --arm off=--merge=off --arm on= --arm shared='--layout shared' \
        --ready-stdout "(ready [0-9]+\n){$servers}" --hold "$hold" \
        --ksm pages_to_scan=5000 --ksm use_zero_pages=1 --hold-ksm pages_to_scan=100 --output "$results" "$@" \
        -- sh "$here/group.sh" '{i}' "$first_port" "$servers" "$output/world" "$items" "$kinds" \
        >"$results.txt"
done
"$venv/bin/python" "$here/table.py" "$output"
