# bash's own means: jobs, co-processes, process substitution, traps, here-documents, limits.
set -u
trap 'echo exit trap' EXIT
trap 'echo usr1' USR1
kill -USR1 $BASHPID
diff <(seq 100) <(seq 100) && echo same
coproc cat
echo through >&"${COPROC[1]}"
read -r line <&"${COPROC[0]}"
echo "$line"
exec {COPROC[1]}>&-
wait
for n in $(seq 50); do (exit "$n") & pids[n]=$!; done
for n in $(seq 50); do wait "${pids[n]}"; printf '%s ' $?; done
echo
seq 200 | xargs -P 8 -n 1 sh -c 'echo $0' | sort -n | md5sum
(ulimit -v 2000000; ulimit -l 64; python3 -c 'print(len(bytearray(1 << 28)))')
(ulimit -v 300000; /usr/bin/python3 -c 'bytearray(1 << 30)' 2>&1 | tail -n 1)
(ulimit -u 2000; echo limited)
{ sh -c 'kill -SEGV $$'; } 2>/dev/null; echo "code $?"
timeout 0.2 sleep 5; echo "code $?"
ls /proc/self/fd | wc -l
env -i /bin/echo clean
sleep 0.01 & disown
printf '%s\n' "$(cat /etc/passwd)" | md5sum
nice -n 5 sh -c nice
setsid -w sh -c 'exit 4'; echo "code $?"
exit 6
