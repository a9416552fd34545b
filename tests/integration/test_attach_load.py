"""Real servers under load, attached to and detached from a thousand times, miss nothing."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest
from ports import free_port
from waiting import wait_until

from .support.attaching import deed

TIMES = 1000
POSTGRES = Path("/usr/lib/postgresql/15/bin")
# Debian's accounts of the two servers, which may not read pytest's folders.
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
NGINX = """
daemon off; pid nginx.pid; error_log error.log; worker_processes 2; user www-data;
events {}
http {
    access_log off;
    server { listen 127.0.0.1:%d; root .; location / { return 200 "hello\\n"; }
             location /file { alias data; } }
}
"""
# Objects that come and go, and known sums; threads that wait for each other.
JAVA = """
import java.util.*;
import java.util.concurrent.*;
public class Work {
    static long work(int seed) {
        Map<Integer, String> map = new HashMap<>();
        for (int i = 0; i < 20000; i++) map.put(i * 31 + seed, "value " + i);
        long sum = 0;
        for (Map.Entry<Integer, String> each : map.entrySet())
            sum += each.getKey() + each.getValue().length();
        return sum - 20000L * seed;
    }
    public static void main(String[] words) throws Exception {
        System.out.println("ready");
        long until = System.nanoTime() + Long.parseLong(words[0]) * 1000000000L, expected = work(0);
        ExecutorService pool = Executors.newFixedThreadPool(4);
        while (System.nanoTime() < until) {
            List<Future<Long>> all = new ArrayList<>();
            for (int i = 0; i < 8; i++) { int seed = i; all.add(pool.submit(() -> work(seed))); }
            for (Future<Long> each : all)
                if (each.get() != expected) throw new Error("wrong sum");
        }
        pool.shutdown();
        System.out.println("right");
    }
}
"""
GO = """
package main

import ("fmt"; "os"; "strconv"; "time")

func work(seed int) int {
    all := map[int]string{}
    for i := 0; i < 20000; i++ { all[i*31+seed] = fmt.Sprint("value ", i) }
    sum := 0
    for key, value := range all { sum += key + len(value) }
    return sum - 20000*seed
}

func main() {
    fmt.Println("ready")
    seconds, _ := strconv.Atoi(os.Args[1])
    until, expected := time.Now().Add(time.Duration(seconds)*time.Second), work(0)
    for time.Now().Before(until) {
        sums := make(chan int)
        for i := 0; i < 8; i++ { go func(seed int) { sums <- work(seed) }(i) }
        for i := 0; i < 8; i++ { if <-sums != expected { panic("wrong sum") } }
        time.Sleep(time.Millisecond)
    }
    fmt.Println("right")
}
"""
LOAD_SECONDS = 10
# Command of a load, and the processes to attach to.
Work = tuple[Callable[[], list[str]], Callable[[int], list[int]], str]
Serves = Callable[[Path], AbstractContextManager[Work]]


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tree(pid: int) -> list[int]:
    process = psutil.Process(pid)
    return [pid, *(each.pid for each in process.children(recursive=True))]


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(folder), "XDG_DATA_HOME": str(folder)},
        )
    try:
        yield server
        assert server.poll() is None, (folder / "log").read_text(errors="replace")[-2000:]
    finally:
        server.terminate()
        server.wait()


@contextmanager
def postgres(folder: Path) -> Iterator[Work]:
    folder.chmod(0o755)
    data = folder / "data"
    data.mkdir()
    subprocess.run(["chown", "postgres", data], check=True)
    initdb = [*AS_POSTGRES, str(POSTGRES / "initdb"), "-A", "trust", "-D", str(data)]
    subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/")
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={data}"]
    start = [*AS_POSTGRES, str(POSTGRES / "postgres"), "-D", str(data), *options]
    bench = [str(POSTGRES / "pgbench"), "-h", str(data), "-U", "postgres", "postgres"]
    with running(start, folder) as server:
        wait_until((data / ".s.PGSQL.5432").exists)
        wait_until(
            lambda: subprocess.run([*bench, "-i", "-q"], capture_output=True).returncode == 0
        )
        load = [*bench, "-c", "4", "-T", str(LOAD_SECONDS)]
        said = r"number of failed transactions: 0 \(0.000%\)"
        yield lambda: load, lambda _: tree(server.pid), said


@contextmanager
def nginx(folder: Path) -> Iterator[Work]:
    folder.chmod(0o755)
    (folder / "data").write_bytes(bytes(range(256)) * 256)
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX % port)
    start = ["/usr/sbin/nginx", "-p", str(folder), "-c", "nginx.conf"]
    with running(start, folder) as server:
        wait_until(lambda: answers(port))
        load = ["wrk", "-t", "1", "-c", "16", "-d", str(LOAD_SECONDS)]
        # It prints errors only if there are any.
        said = r"(?s)\A(?!.*(Socket errors|Non-2xx)).*Requests/sec"
        url = f"http://127.0.0.1:{port}"
        loads = iter([f"{url}/", f"{url}/file"] * TIMES)
        yield lambda: [*load, next(loads)], lambda _: tree(server.pid), said


@contextmanager
def java(folder: Path) -> Iterator[Work]:
    (folder / "Work.java").write_text(JAVA)
    subprocess.run(["javac", "Work.java"], cwd=folder, check=True)
    load = ["java", "-Xmx256m", "-cp", str(folder), "Work", str(LOAD_SECONDS)]
    yield lambda: load, lambda pid: [pid], "right"


@contextmanager
def go(folder: Path) -> Iterator[Work]:
    (folder / "work.go").write_text(GO)
    cache = {**os.environ, "HOME": str(folder), "GO111MODULE": "off"}
    subprocess.run(["go", "build", "-o", "work", "work.go"], cwd=folder, env=cache, check=True)
    yield lambda: [str(folder / "work"), str(LOAD_SECONDS)], lambda pid: [pid], "right"


@contextmanager
def game(folder: Path, command: list[str]) -> Iterator[Work]:
    """Start a game that plays by itself; it only has to go on."""
    with running(command, folder) as server:
        wait_until(lambda: (folder / "log").read_bytes() != b"")
        yield lambda: ["sleep", str(LOAD_SECONDS)], lambda _: tree(server.pid), ""


def ddnet(folder: Path) -> AbstractContextManager[Work]:
    words = ["sv_ipv4only 1", "bindaddr 127.0.0.1", f"sv_port {free_port()}", "sv_register 0"]
    return game(folder, ["/usr/games/DDNet-Server", *words])


def openttd(folder: Path) -> AbstractContextManager[Work]:
    start = ["/usr/games/openttd", f"-D127.0.0.1:{free_port()}", "-G42", "-g", "-dnet=3"]
    return game(folder, start)


@pytest.mark.long_run
@pytest.mark.parametrize("serves", [postgres, nginx, java, go, ddnet, openttd])
def test_a_thousand_times_under_load(
    serves: Callable[[Path], AbstractContextManager[Work]],
) -> None:
    times = {"on": 0, "off": 0}
    with tempfile.TemporaryDirectory() as name, serves(Path(name)) as (command, pids, said):
        while sum(times.values()) < TIMES:
            load = subprocess.Popen(command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            before = sum(times.values())
            while load.poll() is None:
                word = "off" if times["on"] > times["off"] else "on"
                outcomes = deed(word, *pids(load.pid))
                assert set(outcomes) <= {"done", "gone", "no-stop"}, outcomes
                times[word] += "done" in outcomes
            output, errors = load.communicate()
            assert load.returncode == 0, errors.decode()
            assert re.search(said, output.decode()), output.decode()
            assert sum(times.values()) > before
