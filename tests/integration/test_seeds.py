"""One seed for the hashes of Lua and LuaJIT; the real time and random bytes for everything else."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compiled import compile_to
from musl import musl_i386
from waiting import wait_until

from ksmrun.facts.launcher import LAUNCHER

from .conftest import SOURCES, Programs

Shared = Callable[..., tuple[str, ...]]
SHIM = LAUNCHER.parent / "shim/x86_64/libksmrun-preload.so"
SHIM_32 = LAUNCHER.parent / "shim/i686/libksmrun-preload.so"
SEED = "0f" * 32
# Answers whose names begin so are the constant, and no others are.
SEEDING = "seeding-"
# linux/time.h; Python has no name for it.
CLOCK_REALTIME_COARSE = 5
KINDS = {
    "callers": ["gcc", "-Wl,--no-as-needed", "-lgcc_s"],
    "callers_no_pie": ["gcc", "-no-pie", "-Wl,--no-as-needed", "-lgcc_s"],
    "callers_musl": ["musl-gcc"],
}
M32 = ["gcc-12", "-m32", "-I/usr/include/x86_64-linux-gnu", "-Wl,--no-as-needed", "-lgcc_s"]
KINDS_32 = {
    "callers_32": M32,
    "callers_32_no_pie": [*M32, "-no-pie"],
    "callers_32_time64": [*M32, "-D_TIME_BITS=64", "-D_FILE_OFFSET_BITS=64"],
    "callers_32_musl": [],
}
# Callers that only unwinding identifies, and libgcc unwinds.
BY_UNWINDING = "seeding-bytes-by-nameless"
LUAS = ("lua5.2", "lua5.3", "lua5.4", "luajit")
LIBRARIES = ("liblua5.2.so.0", "liblua5.3.so.0", "liblua5.4.so.0", "libluajit-5.1.so.2")
ORDER = """
local t, order = {}, {}
for i = 1, 64 do t["key" .. i] = true end
for key in pairs(t) do order[#order + 1] = key end
print(table.concat(order, " "))
print(os.time())
"""


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_bytes(os.urandom(32))
    return file


@pytest.fixture
def shared(launcher: str, key: Path) -> Shared:
    """Return the prefix for a command of that group, with more options."""

    def prefix(group: str = "one", *options: str, shim: Path = SHIM) -> tuple[str, ...]:
        layout = ("--layout=shared", f"--layout-key={key}", f"--layout-group={group}")
        seeds = (f"--preload={shim}", "--shim=keep")
        return (launcher, "--quiet", "--require", *layout, *seeds, *options, "--")

    return prefix


@pytest.fixture(scope="module")
def kinds(programs: Programs) -> Programs:
    source = str(SOURCES / "callers.c")
    for name, (compiler, *options) in (KINDS | KINDS_32 | {"callers_32_musl": musl_i386()}).items():
        headers = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"]
        command = [compiler, "-O2", "-rdynamic", *headers, source, *options]
        compile_to(programs.folder / name, command)
    return programs


def output(*command: str | Path, **options: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert (done.returncode, done.stderr) == (0, ""), command
    return str(done.stdout)


def now() -> float:
    """Return the time like the vDSO's time(): at the kernel's last tick, some ms ago."""
    return time.clock_gettime(CLOCK_REALTIME_COARSE)


def answers(*command: str | Path, **options: Any) -> dict[str, str]:
    before = int(now())
    lines = [line.split() for line in output(*command, **options).splitlines()]
    after = time.time()
    found = dict(lines)
    for name, answer in found.items():
        if name.startswith("time"):
            assert before <= int(answer) <= after, name
    return found


def next_second() -> None:
    second = int(now())
    wait_until(lambda: int(now()) > second)


@pytest.mark.parametrize("kind", KINDS | KINDS_32)
def test_only_those_that_seed(shared: Shared, kinds: Programs, kind: str) -> None:
    program, shim = getattr(kinds, kind), SHIM_32 if kind in KINDS_32 else SHIM
    first = answers(*shared(shim=shim), program)
    next_second()
    longer = {**os.environ, "LONG": "x" * 999}
    second = answers(*shared(shim=shim), program, "longer", env=longer)
    other = answers(*shared("two", shim=shim), program)
    own = [answers(*shared("one", "--seeds=own", shim=shim), program) for _ in range(2)]
    for name in first:
        # The time, right or wrong, cannot be compared.
        is_meant = name.startswith(SEEDING) and ("musl" not in kind or name != BY_UNWINDING)
        if "time" not in name or is_meant:
            assert (first[name] == second[name]) is is_meant, name
            assert first[name] != other[name], name
        if "bytes" in name:
            assert own[0][name] != own[1][name], name
    assert abs(int(own[0]["seeding-time"]) - time.time()) < 60


@pytest.mark.parametrize("lua", LUAS)
def test_lua(shared: Shared, lua: str) -> None:
    """The order of string keys is that of their hashes. os.time is right."""

    def order(prefix: tuple[str, ...]) -> str:
        before = int(now())
        keys, told = output(*prefix, lua, "-e", ORDER).splitlines()
        assert before <= int(told) <= time.time()
        assert len(set(keys.split())) == 64
        return keys

    first = order(shared())
    next_second()
    next_second()
    assert order(shared()) == first
    assert order(shared("one", "--shim=keep,once")) == first
    # LuaJIT has some 64 orders of these keys: two seeds may well share one, but not four.
    assert {order(shared(group)) for group in ("two", "three", "four")} != {first}
    assert {order(shared("one", "--seeds=own")) for _ in range(3)} != {first}


# A program that loads Lua at run time, as servers with modules do.
LOADS = """
import ctypes, sys
lua = ctypes.CDLL(sys.argv[1])
for name, result, *arguments in (
    ("luaL_newstate", ctypes.c_void_p),
    ("luaL_openlibs", None, ctypes.c_void_p),
    ("luaL_loadstring", ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p),
):
    function = getattr(lua, name)
    function.restype, function.argtypes = result, arguments
state = lua.luaL_newstate()
lua.luaL_openlibs(state)
assert lua.luaL_loadstring(state, sys.argv[2].encode()) == 0
if "luajit" in sys.argv[1]:
    lua.lua_pcall(ctypes.c_void_p(state), 0, 0, 0)
else:
    lua.lua_pcallk(ctypes.c_void_p(state), 0, 0, 0, ctypes.c_void_p(0), ctypes.c_void_p(0))
"""


@pytest.mark.parametrize("library", LIBRARIES)
def test_lua_that_is_loaded_later(shared: Shared, library: str) -> None:
    def order(prefix: tuple[str, ...]) -> str:
        return output(*prefix, sys.executable, "-c", LOADS, library, ORDER).splitlines()[0]

    first = order(shared())
    next_second()
    assert order(shared()) == first
    assert {order(shared(group)) for group in ("two", "three", "four")} != {first}


# By whom a library comes to stand before the shim.
IN_FRONT = {
    "the caller": ["env", "LD_PRELOAD={front}"],
    "a script": ["sh", "-c", 'LD_PRELOAD={front}:$LD_PRELOAD exec "$@"', "sh"],
}


@pytest.mark.parametrize("lua", LUAS)
@pytest.mark.parametrize("who", IN_FRONT)
def test_lua_behind_another_library(shared: Shared, programs: Programs, who: str, lua: str) -> None:
    """The library changes the time, and continues to do so for everything that is not a seed."""
    front = programs.folder / "front.so"
    compile_to(front, ["gcc", "-shared", "-fPIC", SOURCES / "front.c"])
    words = [word.format(front=front) for word in IN_FRONT[who]]

    def order(prefix: tuple[str, ...]) -> str:
        command = [*words, *prefix] if who == "the caller" else [*prefix, *words]
        before = int(now())
        keys, told = output(*command, lua, "-e", ORDER).splitlines()
        assert before <= int(told) + 3600 <= time.time()
        return keys

    first = order(shared())
    next_second()
    next_second()
    assert order(shared()) == first
    assert {order(shared(group)) for group in ("two", "three", "four")} != {first}


def cut_relro(program: Path) -> None:
    """Make PT_GNU_RELRO end within a page, as linkers do for larger pages than the kernel's."""
    image = bytearray(program.read_bytes())
    (offset,) = struct.unpack_from("<Q", image, 32)
    size, count = struct.unpack_from("<HH", image, 54)
    for at in range(offset, offset + size * count, size):
        if struct.unpack_from("<I", image, at)[0] == 0x6474E552:
            (length,) = struct.unpack_from("<Q", image, at + 40)
            struct.pack_into("<Q", image, at + 40, length - 1)
    program.write_bytes(image)


def test_a_page_that_only_begins_with_relro_stays_writable(
    shared: Shared, programs: Programs
) -> None:
    front, program = programs.folder / "front.so", programs.folder / "relro"
    compile_to(front, ["gcc", "-shared", "-fPIC", SOURCES / "front.c"])
    compile_to(program, ["gcc", "-rdynamic", "-Wl,-z,now", SOURCES / "relro.c"])
    assert subprocess.run([program], check=False).returncode == -signal.SIGSEGV
    cut_relro(program)
    for prefix in ((), shared()):
        words = ["env", f"LD_PRELOAD={front}", *prefix, str(program)]
        assert subprocess.run(words, check=False).returncode == 0


PYTHON_SSL = "import ssl; print(ssl.RAND_bytes(32).hex())"
RUBY_SSL = "puts OpenSSL::PKey::EC.generate('prime256v1').to_pem"
SECRETS = {
    "openssl": ["openssl", "genpkey", "-algorithm", "ed25519"],
    "uuidgen": ["uuidgen", "-r"],
    "python-ssl": [sys.executable, "-c", PYTHON_SSL],
    "python-secrets": [sys.executable, "-c", "import secrets; print(secrets.token_hex(32))"],
    "python-uuid": [sys.executable, "-c", "import uuid; print(uuid.uuid4(), uuid.uuid1())"],
    "python-random": [sys.executable, "-c", "import random; print(random.random())"],
    "ruby-securerandom": ["ruby", "-rsecurerandom", "-e", "puts SecureRandom.hex(32)"],
    "ruby-openssl": ["ruby", "-ropenssl", "-e", RUBY_SSL],
    "luajit": ["luajit", "-e", "print(io.open('/dev/urandom', 'rb'):read(16))"],
}


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_are_secrets(shared: Shared, name: str) -> None:
    """Two processes of one group never get the same."""
    first, second = (
        subprocess.run([*shared(), *SECRETS[name]], stdout=subprocess.PIPE, check=True).stdout
        for _ in range(2)
    )
    assert first != second
    assert len(first) >= 8


def random_calls(program: list[str], environment: dict[str, str], trace: Path) -> list[str]:
    """Return the requested lengths and flags, and the lengths returned, in order."""
    command = ["strace", "-f", "-qq", "-e", "trace=getrandom", "-o", str(trace), *program]
    subprocess.run(
        command, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL
    )
    return re.findall(r"getrandom\(.*, (\d+, [A-Z_0|]+\) += \d+)", trace.read_text())


@pytest.mark.parametrize("name", SECRETS)
def test_all_else_asks_the_kernel_as_ever(tmp_path: Path, name: str) -> None:
    environment = {"LD_PRELOAD": str(SHIM), "KSMRUN_SHIM": f"keep,seed={SEED}"}
    direct = random_calls(SECRETS[name], {}, tmp_path / "direct")
    wrapped = random_calls(SECRETS[name], environment, tmp_path / "wrapped")
    if name.startswith("luajit"):
        direct.remove("32, 0) = 32")
    if name.startswith("ruby"):
        direct.remove("24, 0) = 24")
    assert wrapped == direct


def test_time_is_right_everywhere(shared: Shared) -> None:
    """In programs whose own calls of time(2) go through the shim."""
    for command in (
        ["date", "+%s"],
        ["perl", "-e", "print time"],
        ["ruby", "-e", "print Time.now.to_i"],
        [sys.executable, "-c", "import time; print(int(time.time()))"],
        ["awk", "BEGIN { srand(); print srand() }"],
        *([lua, "-e", "print(os.time())"] for lua in LUAS),
    ):
        before = int(now())
        assert before <= int(output(*shared(), *command)) <= time.time(), command


def test_no_layout_no_seeds(launcher: str, tmp_path: Path) -> None:
    """Nor a shim that would only be there for them."""
    layout = ("--layout=shared", f"--layout-key={tmp_path}/missing")
    preload = (f"--preload={SHIM}", "--shim=keep")
    environment = {"PATH": os.environ["PATH"]}
    for options in ((*layout, *preload), preload, (*layout, *preload, "--merge=off")):
        seen = output(launcher, "--quiet", *options, "--", "env", env=environment)
        assert seen.splitlines() == [f"PATH={os.environ['PATH']}"]
    # For merging, it stays, without a seed.
    seen = output(launcher, "--quiet", *layout, f"--preload={SHIM}", "--", "env", env=environment)
    assert f"LD_PRELOAD={SHIM}" in seen.splitlines()
    assert "seed=" not in seen and "PYTHONHASHSEED" not in seen


def test_what_is_added_to_the_environment(launcher: str, key: Path) -> None:
    options = ("--layout=shared", f"--layout-key={key}", f"--preload={SHIM}")

    def words(*more: str) -> str:
        seen = output(launcher, "--quiet", "--require", *options, *more, "--", "env")
        assert key.read_bytes().hex() not in seen
        return str(re.findall("^KSMRUN_SHIM=(.*)$", seen, re.MULTILINE)[0])

    assert re.fullmatch("seed=[0-9a-f]{64}", words())
    assert words("--shim=keep") == f"keep,{words()}"
    assert words("--layout-group=b") not in (words(), words("--layout-group=c"))


def test_a_shim_for_seeds_does_nothing_else(shared: Shared, programs: Programs) -> None:
    """It leaves the merge flag alone, whatever that is, and starts no thread."""
    for merge, code in (("off", 1), ("on", 0)):
        command = (*shared("one", f"--merge={merge}"), programs.flag)
        done = subprocess.run(command, capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (code, b""), merge
    threads = output(*shared(), "ls", "/proc/self/task").split()
    assert len(threads) == 1


def test_it_is_where_the_seeds_are(
    ksmrun: str, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KSMRUN_LAYOUT_DIR", str(tmp_path / "keys"))

    def line(*options: str, program: str = "lua5.4") -> str:
        return output(ksmrun, "run", "--quiet", *options, "--dry-run", "--", program)

    assert "--shim=keep --layout=shared" in line("--layout=shared", "--mechanism=prctl")
    assert "--preload" not in line("--mechanism=prctl")
    assert "--preload" not in line("--layout=shared", "--seeds=own", "--mechanism=prctl")
    static = line("--layout=shared", program=programs.flag_static)
    assert "--preload" not in static and "--layout=shared" in static


def test_what_is_said_of_lua(ksmrun: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KSMRUN_LAYOUT_DIR", str(tmp_path / "keys"))
    for program, status in (("lua5.4", "ok"), ("luac5.4", "warn")):
        command = [ksmrun, "check", "--json", "--", program]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        (row,) = (row for row in json.loads(done.stdout)["rows"] if row["item"] == "Lua")
        assert row["status"] == status
    for program, said in (
        ("lua5.4", "the group's seeds"),
        ("/sbin/ldconfig", "its own seeds"),
    ):
        command = [ksmrun, "run", "--layout=shared", "--dry-run", program]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert said in done.stderr
