"""Programs that runtimes.py starts copies of: all from Debian 12, each doing real work.

The runtimes read WordNet (wordnet/) into a graph of objects, hash tables and strings. The servers
do what they do without visitors: load or generate a world, and run bots.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ksmrun.plan.runtime_flags import COLLECTOR, EQUAL, MONO_FLAGS

HERE = Path(__file__).parent / "wordnet"
FIRST_PORT = 31500
LOCALHOST = "127.0.0.1"
# Another executable than Debian's, to compare versions.
NODE = os.environ.get("KSMRUN_BENCH_NODE", "/usr/bin/node")
NODE_FLAGS = ("--random-seed=1", "--single-threaded", "--no-incremental-marking")
JAVA = os.environ.get("KSMRUN_BENCH_JAVA", "/usr/bin/java")
# Of Go 1.21 or later; Debian 12's is older, and gcstoptheworld=2 ends its programs.
GO = os.environ.get("KSMRUN_BENCH_GO", "/nonexistent")
GO_VARIABLES = {"GOMAXPROCS": "1", "GODEBUG": "gcstoptheworld=2,asyncpreemptoff=1"}
# A root of Debian's for i386 (README.md); the host's loader and data files serve its programs.
I386 = Path(os.environ.get("KSMRUN_BENCH_I386", "/nonexistent"))
LANGUAGES = Path("/usr/share/iso-codes/json/iso_639-3.json")
# etcd takes 128 operations in a transaction (--max-txn-ops).
TRANSACTION_KEYS = 100


@dataclass(frozen=True)
class Place:
    """Properties of a copy: its number, its name, its ports and its folder."""

    number: int
    folder: Path
    shared: Path

    @property
    def name(self) -> str:
        return f"copy-{self.number}"

    @property
    def port(self) -> int:
        return FIRST_PORT + 2 * self.number


@dataclass(frozen=True)
class Program:
    """Program to start copies of.

    package: Debian's. build: creates in a folder what all copies share. prepare: fills a copy's
    folder. ready: its output when it has done its work. load: gives it work once it is ready.
    is_timed: given a number, it repeats its work that often and prints the seconds. variables: of
    its environment. layout_options: given to ksmrun together with a layout.
    """

    package: str
    file: str
    command: Callable[[Place], list[str]]
    ready: str = "ready copy-"
    build: Callable[[Path], None] = lambda _shared: None
    prepare: Callable[[Place], None] = lambda _place: None
    load: Callable[[Place], None] = lambda _place: None
    is_timed: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    layout_options: tuple[str, ...] = ()


def script(package: str, file: str, source: str, *, is_timed: bool = False) -> Program:
    """Return a runtime with a program of wordnet/."""
    return Program(
        package,
        file,
        lambda place: [file, str(HERE / source), place.name],
        # Lua sleeps by opening a pipe that nobody writes to.
        prepare=lambda place: os.mkfifo(place.folder / "idle"),
        is_timed=is_timed,
    )


def with_flags(program: Program, *flags: str) -> Program:
    """Return the program with flags before its other arguments."""

    def command(place: Place) -> list[str]:
        file, *arguments = program.command(place)
        return [file, *flags, *arguments]

    return replace(program, command=command)


def narrow(program: Program, **variables: str) -> Program:
    """Return the same program for 32 bits."""
    libraries = [str(I386 / folder / "i386-linux-gnu") for folder in ("lib", "usr/lib")]
    found = {"LD_LIBRARY_PATH": ":".join([*libraries, f"{libraries[1]}/pulseaudio"])}
    file = str(I386 / program.file.lstrip("/"))
    return replace(
        program,
        file=file,
        command=lambda place: [file, *program.command(place)[1:]],
        is_timed=False,
        variables=found | variables,
    )


def _compile(*command: str) -> None:
    subprocess.run(command, check=True)


def _etcd(place: Place) -> list[str]:
    client, peer = (f"http://{LOCALHOST}:{place.port + extra}" for extra in (0, 1))
    return [
        *("/usr/bin/etcd", "--name", place.name, "--data-dir", str(place.folder / "data")),
        *("--listen-client-urls", client, "--advertise-client-urls", client),
        *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
        *("--initial-cluster", f"{place.name}={peer}", "--logger", "zap"),
    ]


def _load_etcd(place: Place) -> None:
    """Store every language of ISO 639-3 as a key, then read all of them."""
    languages = json.loads(LANGUAGES.read_text())["639-3"]
    puts = [
        {"requestPut": {"key": _base64(entry["alpha_3"]), "value": _base64(json.dumps(entry))}}
        for entry in languages
    ]
    for start in range(0, len(puts), TRANSACTION_KEYS):
        _post(place, "txn", {"success": puts[start : start + TRANSACTION_KEYS]})
    count = int(_post(place, "range", {"key": "AA==", "range_end": "AA=="})["count"])
    assert count == len(languages), f"etcd has {count} keys of {len(languages)}"


def _post(place: Place, call: str, body: object) -> dict[str, str]:
    url = f"http://{LOCALHOST}:{place.port}/v3/kv/{call}"
    with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=60) as answer:
        found: dict[str, str] = json.load(answer)
        return found


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def openarena(ready: str, *settings: str) -> Program:
    """Return an OpenArena server, which Debian starts by a shell script."""
    file = "/usr/games/openarena-server"
    return Program(
        "openarena-server",
        file,
        lambda place: [
            *(file, "+set", "dedicated", "1", "+set", "sv_hostname", place.name),
            *("+set", "net_ip", LOCALHOST, "+set", "net_port", str(place.port)),
            *(*settings, "+map", "oa_dm1"),
        ],
        ready,
    )


def luanti(ready: str, *, makes_land: bool) -> Program:
    """Return a Luanti server, which Debian starts by a shell script."""
    file = "/usr/games/minetestserver"
    return Program(
        "minetest-server",
        file,
        lambda place: [
            *(file, "--config", str(place.folder / "conf"), "--port", str(place.port)),
            *("--logfile", str(place.folder / "debug.txt"), "--world", str(place.folder / "world")),
        ],
        ready,
        prepare=lambda place: _prepare_luanti(place, makes_land),
    )


def _prepare_luanti(place: Place, makes_land: bool) -> None:
    """Make a new world. To generate land, a mod requests what visitors would see first."""
    (place.folder / "conf").write_text(
        f"bind_address = {LOCALHOST}\nserver_announce = false\nfixed_map_seed = 42\n"
    )
    (place.folder / "world").mkdir()
    (place.folder / "world/world.mt").write_text("gameid = minetest_game\nbackend = sqlite3\n")
    if not makes_land:
        return
    mod = place.folder / "world/worldmods/visit"
    mod.mkdir(parents=True)
    (mod / "mod.conf").write_text("name = visit\n")
    (mod / "init.lua").write_text(
        """minetest.after(0, function()
  minetest.emerge_area({x = -96, y = -32, z = -96}, {x = 96, y = 32, z = 96},
    function(_, _, left) if left == 0 then minetest.log("action", "all land is made") end end)
end)
"""
    )


NODE_PROGRAM = script("nodejs", NODE, "words.js", is_timed=True)
JAVA_PROGRAM = Program(
    "openjdk-17-jdk-headless",
    JAVA,
    lambda place: [JAVA, "-cp", str(place.shared), "Words", place.name],
    build=lambda shared: _compile("javac", "-d", str(shared), str(HERE / "Words.java")),
    is_timed=True,
)
MONO_PROGRAM = Program(
    "mono-mcs",
    "/usr/bin/mono",
    lambda place: ["/usr/bin/mono", str(place.shared / "words.exe"), place.name],
    build=lambda shared: _compile("mcs", f"-out:{shared / 'words.exe'}", str(HERE / "words.cs")),
    is_timed=True,
)
GO_PROGRAM = Program(
    "golang-go",
    GO,
    lambda place: [str(place.shared / "words"), place.name],
    build=lambda shared: _compile(
        *("env", "CGO_ENABLED=0", GO, "build", "-o", str(shared / "words"), str(HERE / "words.go"))
    ),
    is_timed=True,
)
PROGRAMS = {
    "Lua 5.4": script("lua5.4", "/usr/bin/lua5.4", "words.lua", is_timed=True),
    "LuaJIT": script("luajit", "/usr/bin/luajit", "words.lua", is_timed=True),
    "CPython": script("python3", "/usr/bin/python3", "words.py"),
    "Perl": script("perl", "/usr/bin/perl", "words.pl"),
    "Ruby": script("ruby", "/usr/bin/ruby", "words.rb"),
    "PHP": script("php8.2-cli", "/usr/bin/php", "words.php"),
    "Node": NODE_PROGRAM,
    "Node, with flags": with_flags(NODE_PROGRAM, *NODE_FLAGS),
    "Java": JAVA_PROGRAM,
    "Java, with flags": with_flags(JAVA_PROGRAM, COLLECTOR, *EQUAL),
    "Mono": MONO_PROGRAM,
    "Mono, with flags": replace(MONO_PROGRAM, variables={MONO_FLAGS.name: MONO_FLAGS.text}),
    "Go": GO_PROGRAM,
    "Go, --seeds go": replace(GO_PROGRAM, variables=GO_VARIABLES, layout_options=("--seeds=go",)),
    "Go (etcd)": Program(
        "etcd-server", "/usr/bin/etcd", _etcd, "serving client traffic", load=_load_etcd
    ),
    "DDNet": Program(
        "ddnet-server",
        "/usr/games/DDNet-Server",
        lambda place: [
            *("/usr/games/DDNet-Server", "sv_ipv4only 1", f"bindaddr {LOCALHOST}"),
            *(f"sv_port {place.port}", f"sv_name {place.name}", "sv_register 0"),
        ],
        "server: version",
    ),
    "OpenTTD": Program(
        "openttd-opengfx",
        "/usr/games/openttd",
        lambda place: [
            "/usr/games/openttd",
            f"-D{LOCALHOST}:{place.port}",
            "-G42",
            "-g",
            "-dnet=3",
        ],
        "Initializing UDP listeners",
    ),
    "OpenArena": openarena("AAS initialized."),
    "OpenArena, 4 bots": openarena(
        "ClientBegin: 3", "+set", "bot_enable", "1", "+set", "bot_minplayers", "4"
    ),
    "Luanti": luanti("listening on", makes_land=False),
    "Luanti, with land": luanti("all land is made", makes_land=True),
}
# What is pure Python comes from the host.
_PYTHON = {"PYTHONHOME": str(I386 / "usr"), "PYTHONPATH": "/usr/lib/python3.11"}
NARROW = {"CPython": _PYTHON, "Lua 5.4": {}, "LuaJIT": {}, "Perl": {}, "DDNet": {}, "OpenTTD": {}}
PROGRAMS |= {
    f"{name}, 32 bits": narrow(PROGRAMS[name], **variables) for name, variables in NARROW.items()
}
# Debian 12 has them in no package that could be installed beside the others.
OPTIONAL = {
    "Go": "KSMRUN_BENCH_GO",
    "Go, --seeds go": "KSMRUN_BENCH_GO",
    **dict.fromkeys((f"{name}, 32 bits" for name in NARROW), "KSMRUN_BENCH_I386"),
}
USUAL = [name for name in PROGRAMS if OPTIONAL.get(name, "PATH") in os.environ]
