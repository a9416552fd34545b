"""Worker pools that workers.py starts: each with WORKERS processes that answer with one model."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from programs import LOCALHOST

HERE = Path(__file__).parent / "workers"
CACHE = Path.home() / ".cache/ksmrun-tests/workers"
# Those of programs.py end before.
FIRST_PORT = 31800
# Of PyPI, in an environment of their own.
PINNED = (
    *("numpy==2.4.6", "pandas==3.1.1", "scikit-learn==1.9.1", "gunicorn==27.0.1", "uWSGI==2.0.31"),
    *("celery==5.7.0", "dask==2026.8.0", "distributed==2026.8.0", "ray==2.60.0"),
)
WORKERS = 6
# Answers that all workers give together, before their memory is looked at.
ANSWERS = 20 * WORKERS
WAIT_SECONDS = 300.0
PHP = Path("/usr/sbin/php-fpm8.2")


@dataclass(frozen=True)
class Place:
    """What a pool is started with.

    tools: folder of the commands. model: folder of what they load. folder: scratch. prefix: words
    that start a command merged.
    """

    tools: Path
    model: Path
    folder: Path
    prefix: tuple[str, ...]

    def tool(self, name: str) -> str:
        """Return the path of a command."""
        return str(self.tools / name)


@dataclass(frozen=True)
class Pool:
    """Pool of workers.

    commands: each is started merged, unless merges_itself. ask: gives the workers their work, by
    the started processes, and returns the answers; each begins with the worker's PID. only_workers:
    leave out what else the pool starts.
    """

    commands: Callable[[Place], list[list[str]]]
    ask: Callable[[Place, list[subprocess.Popen[str]]], Iterator[str]]
    variables: dict[str, str] = field(default_factory=dict)
    merges_itself: bool = False
    only_workers: bool = False


def environment() -> tuple[Path, Path]:
    """Return the folders of the pools' commands and of their model, made once for all runs."""
    recipe = (sys.version, *PINNED, (HERE / "answers.py").read_text())
    kept = CACHE / sha256("\n".join(recipe).encode()).hexdigest()[:16]
    if not (kept / "done").exists():
        venv.create(kept, with_pip=True, clear=True)
        subprocess.run([kept / "bin/pip", "install", "-q", *PINNED], check=True)
        (kept / "model").mkdir()
        train = [kept / "bin/python", HERE / "answers.py"]
        subprocess.run(train, check=True, env={"KSMRUN_BENCH_MODEL": str(kept / "model")})
        (kept / "done").touch()
    return kept / "bin", kept / "model"


def _gunicorn(*options: str, masters: int = 1) -> Pool:
    def commands(place: Place) -> list[list[str]]:
        return [
            [
                *(place.tool("gunicorn"), "--chdir", str(HERE), "--timeout", "300", *options),
                *("--bind", f"{LOCALHOST}:{FIRST_PORT + number}"),
                *("--workers", str(WORKERS // masters), "site_of_answers"),
            ]
            for number in range(masters)
        ]

    return Pool(commands, lambda _place, _started: _http(masters))


def _uwsgi(*options: str) -> Pool:
    def commands(place: Place) -> list[list[str]]:
        return [
            [
                *(place.tool("uwsgi"), "--master", "--die-on-term", "--need-app", *options),
                *("--http-socket", f"{LOCALHOST}:{FIRST_PORT}", "--processes", str(WORKERS)),
                *("--virtualenv", str(place.tools.parent), "--pythonpath", str(HERE)),
                *("--module", "site_of_answers"),
            ]
        ]

    return Pool(commands, lambda _place, _started: _http(1))


def _celery(**variables: str) -> Pool:
    def commands(place: Place) -> list[list[str]]:
        words = ["--app", "tasks", "--workdir", str(HERE), "worker", "--pool", "prefork"]
        words += ["--concurrency", str(WORKERS), "--without-gossip", "--without-mingle"]
        return [[place.tool("celery"), *words]]

    def ask(place: Place, _started: list[subprocess.Popen[str]]) -> Iterator[str]:
        command = [place.tool("python"), str(HERE / "ask_celery.py"), str(ANSWERS)]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, env=of_model(place)
        )
        yield from done.stdout.splitlines()

    return Pool(commands, ask, variables)


def _python(script: str, *, merges_itself: bool = False) -> Pool:
    def commands(place: Place) -> list[list[str]]:
        words = [place.tool("python"), str(HERE / script), str(WORKERS), str(ANSWERS)]
        return [[*words, *(place.prefix if merges_itself else ())]]

    def ask(_place: Place, started: list[subprocess.Popen[str]]) -> Iterator[str]:
        (process,) = started
        assert process.stdout is not None
        for line in process.stdout:
            if line == "ready\n":
                return
            yield line
        raise RuntimeError(f"{script} ended")

    return Pool(commands, ask, merges_itself=merges_itself, only_workers=merges_itself)


def of_model(place: Place) -> dict[str, str]:
    """Return the environment of a pool."""
    return {**os.environ, "KSMRUN_BENCH_MODEL": str(place.model), "HOME": str(place.folder)}


def _http(ports: int) -> Iterator[str]:
    """Ask until each worker has answered, and all of them often enough."""

    def ask(number: int) -> str:
        port = FIRST_PORT + number % ports
        connection = http.client.HTTPConnection(LOCALHOST, port, timeout=WAIT_SECONDS)
        connection.request("GET", f"/{number}")
        text = connection.getresponse().read().decode()
        connection.close()
        return text

    yield from _until_all_have_answered(ask, range(FIRST_PORT, FIRST_PORT + ports))


def _until_all_have_answered(ask: Callable[[int], str], ports: range) -> Iterator[str]:
    deadline = time.monotonic() + WAIT_SECONDS
    for port in ports:
        _wait_for(port, deadline)
    pids, number = set[str](), 0
    with ThreadPoolExecutor(2 * WORKERS) as threads:
        while number < ANSWERS or len(pids) < WORKERS:
            if time.monotonic() > deadline:
                raise RuntimeError(f"only {len(pids)} workers have answered")
            for text in threads.map(ask, range(number, number + ANSWERS)):
                pids.add(text.split()[0])
                yield text
            number += ANSWERS


def _wait_for(port: int, deadline: float) -> None:
    while True:
        try:
            socket.create_connection((LOCALHOST, port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _php(place: Place) -> list[list[str]]:
    file = place.folder / "fpm.conf"
    file.write_text(
        f"[global]\nerror_log = {place.folder}/fpm.log\n[web]\nuser = root\n"
        f"listen = {LOCALHOST}:{FIRST_PORT}\npm = static\npm.max_children = {WORKERS}\n"
        "clear_env = no\nphp_admin_value[memory_limit] = 512M\n"
    )
    return [[str(PHP), "--nodaemonize", "--allow-to-run-as-root", "--fpm-config", str(file)]]


def _fastcgi(number: int) -> str:
    """Return the answer to one request (FastCGI 1.0, sections 3.3 and 5)."""
    parameters = {
        "SCRIPT_FILENAME": str(HERE / "answers.php"),
        "REQUEST_METHOD": "GET",
        "QUERY_STRING": str(number),
    }
    words = [word.encode() for pair in parameters.items() for word in pair]
    pairs = zip(words[::2], words[1::2], strict=True)
    body = b"".join(bytes((len(name), len(value))) + name + value for name, value in pairs)

    def record(kind: int, content: bytes) -> bytes:
        return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content

    begin, stdin = record(1, struct.pack(">HB5x", 1, 0)), record(5, b"")
    with socket.create_connection((LOCALHOST, FIRST_PORT), WAIT_SECONDS) as connection:
        connection.sendall(begin + record(4, body) + record(4, b"") + stdin)
        with connection.makefile("rb") as answer:
            text = b""
            while header := answer.read(8):
                _, kind, _, length, padding = struct.unpack(">BBHHBx", header)
                content = answer.read(length + padding)[:length]
                text += content if kind == 6 else b""
    return text.partition(b"\r\n\r\n")[2].decode()


BEFORE_FORK = {"KSMRUN_BENCH_BEFORE_FORK": "1"}
POOLS = {
    "gunicorn": _gunicorn(),
    "gunicorn --preload": _gunicorn("--preload"),
    "six gunicorns of one worker": _gunicorn(masters=WORKERS),
    "uwsgi --lazy-apps": _uwsgi("--lazy-apps"),
    "uwsgi": _uwsgi(),
    "Celery": _celery(),
    "Celery, loaded before the fork": _celery(**BEFORE_FORK),
    "Dask": _python("with_dask.py"),
    "Ray, its actors": _python("with_ray.py", merges_itself=True),
    "php-fpm": Pool(
        _php,
        lambda _place, _started: _until_all_have_answered(
            _fastcgi, range(FIRST_PORT, FIRST_PORT + 1)
        ),
    ),
}


def has(name: str) -> bool:
    """Return whether the programs of a pool that are not of PyPI are installed."""
    return name != "php-fpm" or shutil.which(PHP) is not None
