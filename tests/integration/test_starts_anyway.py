"""Whatever ksmrun lacks before the exec, the program starts, and a line says what is lost."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from folders import let_all_in
from waiting import LAST_RESORT_SECONDS

from ksmrun.cli import build_app
from ksmrun.facts.launcher import LAUNCHER

SOURCES = Path(__file__).parents[2] / "native/front"
PROGRAM = ("sh", "-c", "echo started; exit 5")
NO_RUNTIME = {"XDG_RUNTIME_DIR": "", "KSMRUN_LAYOUT_DIR": ""}


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=LAST_RESORT_SECONDS,
        **options,
    )


def starts(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return the lines that say what is lost; the program has run, with its own exit code."""
    assert (done.returncode, done.stdout) == (5, "started\n"), done
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if "KSM is off" not in line]
    assert all("to do: " in line for line in lines), lines
    return lines


def without(*names: str, **values: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in names}
    return kept | values


def limit(number: int, amount: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(number, (amount, resource.getrlimit(number)[1]))


def refused(*command: str, **options: Any) -> None:
    done = run(*command[:2], "--require", *command[2:], **options)
    assert (done.returncode, done.stdout) == (125, ""), done
    assert "not started" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("runtime", ["unset", "gone", "somebody else's", "a file", "relative"])
def test_without_a_folder_for_keys(
    ksmrun: str, nobody: tuple[str, ...], tmp_path: Path, runtime: str
) -> None:
    """As under cron, `su`, `sudo -u` and a service's User=."""
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o700)
    (tmp_path / "file").touch()
    environment = without("XDG_RUNTIME_DIR", "KSMRUN_LAYOUT_DIR")
    places = {"gone": "/nonexistent", "somebody else's": str(shut), "relative": "."}
    places["a file"] = str(tmp_path / "file")
    if runtime != "unset":
        environment["XDG_RUNTIME_DIR"] = places[runtime]
    if runtime == "somebody else's":
        # dac_read_search, with which this user may run Python here, gives access to that too.
        (shut / "ksmrun").write_text("")
    command = (*nobody, ksmrun, "run", "--layout=shared")
    (line,) = starts(run(*command, "--", *PROGRAM, env=environment, cwd="/"))
    assert "shared layout not applied" in line
    done = run(*command, "--require", "--", *PROGRAM, env=environment, cwd="/")
    assert (done.returncode, done.stdout) == (125, "")


def inside(ksmrun: str, prepare: str, *options: str) -> tuple[str, ...]:
    line = shlex.join([ksmrun, "run", *options, "--", *PROGRAM])
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", f"{prepare}\nexec {line}")


BROKEN = {
    "a read-only /run": "mount -t tmpfs -o ro none /run",
    "a file for /run/ksmrun": "mount -t tmpfs none /run; touch /run/ksmrun",
    "no /proc": "umount -l /proc",
    "an empty /proc": "mount -t tmpfs none /proc",
    "no /sys": "umount -l /sys",
    "no /dev": "mount -t tmpfs none /dev",
    "a FIFO for /dev/null": "mount -t tmpfs none /dev; mkfifo /dev/null",
    "a launcher that may not run": "mount --bind {empty} {launcher}",
    "a launcher of another kind": "mount --bind {garbage} {launcher}",
    "no shim": "mount -t tmpfs none {libexec}/shim",
    "no libexec": "mount -t tmpfs none {libexec}",
    "damaged generations": "mount -t tmpfs -o mode=700 none /run && mkdir -p -m 700 "
    "/run/ksmrun/layout && echo '{{' > /run/ksmrun/layout/generations.json",
    "a damaged key": "mount -t tmpfs -o mode=700 none /run && mkdir -p -m 700 /run/ksmrun/layout "
    "&& echo x > /run/ksmrun/layout/master.key",
}


@pytest.mark.parametrize("layout", [(), ("--layout=shared",)], ids=["random", "shared"])
@pytest.mark.parametrize("broken", BROKEN)
def test_with_a_broken_input(
    ksmrun: str, tmp_path: Path, broken: str, layout: tuple[str, ...]
) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "garbage").write_bytes(b"\x7fELF garbage")
    (tmp_path / "garbage").chmod(0o755)
    prepare = BROKEN[broken].format(
        empty=tmp_path / "empty",
        garbage=tmp_path / "garbage",
        launcher=LAUNCHER,
        libexec=LAUNCHER.parent,
    )
    environment = without("KSMRUN_LAYOUT_DIR", "KSMRUN_STATE_DIR")
    lines = starts(run(*inside(ksmrun, prepare, *layout), env=environment))
    has_launcher = "launcher" not in broken and broken != "no libexec"
    if not has_launcher:
        assert any("memory will not merge" in line for line in lines)
    elif layout and broken == "no shim":
        assert any("cannot preload" in line for line in lines)
    elif layout and broken not in ("no /dev", "a FIFO for /dev/null", "no /sys"):
        assert any("shared layout not applied" in line for line in lines), lines
    quiet = run(*inside(ksmrun, prepare, *layout, "--quiet"), env=environment)
    assert starts(quiet) == []


LIMITS = [
    *((resource.RLIMIT_AS, kib << 10) for kib in (4_000, 30_000, 46_000, 60_000, 110_000)),
    *((resource.RLIMIT_DATA, kib << 10) for kib in (0, 5_000, 40_000)),
    *((resource.RLIMIT_NOFILE, count) for count in (4, 6, 12)),
    (resource.RLIMIT_FSIZE, 0),
    (resource.RLIMIT_STACK, 256 << 10),
    (resource.RLIMIT_MEMLOCK, 0),
]


@pytest.mark.parametrize(("number", "amount"), LIMITS)
def test_under_a_limit(ksmrun: str, tmp_path: Path, number: int, amount: int) -> None:
    environment = without(KSMRUN_LAYOUT_DIR=str(tmp_path / "keys"))
    for options in ((), ("--layout=shared",)):
        command = (ksmrun, "run", *options, "--", *PROGRAM)
        starts(run(*command, env=environment, preexec_fn=limit(number, amount)))


FULL = limit(resource.RLIMIT_AS, 13 << 20)


def test_without_processes(ksmrun: str, nobody: tuple[str, ...], tmp_path: Path) -> None:
    """The program execs without a fork, and so does everything before it."""
    environment = without("XDG_RUNTIME_DIR", KSMRUN_LAYOUT_DIR=str(tmp_path / "keys"))
    for options in ((), ("--layout=shared",)):
        script = f"ulimit -u 0; exec {shlex.join([ksmrun, 'run', *options, '--', *PROGRAM])}"
        starts(run(*nobody, "bash", "-c", script, env=environment, cwd="/"))


def test_the_plainest_launch_keeps_what_was_asked_for(ksmrun: str, programs: Any) -> None:
    def few(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
        prepare = limit(resource.RLIMIT_AS, 18 << 20)
        command = (ksmrun, "run", *options)
        return run(*command, env=without(**environment), preexec_fn=prepare)

    assert few("--quiet", "--", programs.flag).returncode == 0
    assert few("--quiet", "--merge=off", programs.flag).returncode == 1
    assert few("--merge", "off", "--guard", "warn", programs.flag).returncode == 1
    assert few(programs.flag, KSMRUN_MERGE="off", KSMRUN_QUIET="yes").stderr == ""
    assert few("--quiet", "--", programs.flag, KSMRUN_MERGE="", KSMRUN_THP="").returncode == 0
    # Without a plan, nothing keeps secrets out, so nothing merges.
    unmerged = few("--exclude-secrets", "--", programs.flag)
    assert unmerged.returncode == 1 and "without merging" in unmerged.stderr
    assert few("--quiet", programs.flag, KSMRUN_EXCLUDE_SECRETS="1").returncode == 1
    assert few("--exclude-secrets", "--require", "--", *PROGRAM).returncode == 125
    # As with Python, which refuses it, too.
    refused = few("--", programs.flag, KSMRUN_MERGE="bogus")
    assert refused.returncode == 125 and "starts anyway" not in refused.stderr
    assert "default options" in few("--no-inherit", "--", "true").stderr
    assert few("--", "/nonexistent").returncode == 127
    assert few("--require", "--layout", "shared", "--", *PROGRAM).returncode == 125
    assert few("--require", "--", *PROGRAM).stdout == "started\n"
    # A command that starts no program has nothing to start.
    shown = run(ksmrun, "run", "--dry-run", "--", *PROGRAM, preexec_fn=FULL)
    assert (shown.returncode, shown.stdout) == (125, "") and shown.stderr != ""


def test_where_python_is_gone(ksmrun: str, tmp_path: Path) -> None:
    """As after an upgrade of the distribution's Python, which removes the old one."""
    here = let_all_in(tmp_path)
    for name in ("ksmrun", "ksmrun-exec"):
        shutil.copy(Path(ksmrun).with_name(name), here / name)
    (here / ".ksmrun-py").write_text("#!/nonexistent/python3\n")
    (line,) = starts(run(str(here / "ksmrun"), "run", "--", *PROGRAM))
    assert "cannot start" in line
    (here / "ksmrun-exec").unlink()
    starts(run(str(here / "ksmrun"), "run", "--", *PROGRAM))
    refused(str(here / "ksmrun"), "run", "--", *PROGRAM)
    assert run(str(here / "ksmrun"), "ps").returncode == 125


def test_where_a_package_is_gone(ksmrun: str, tmp_path: Path) -> None:
    script = Path(ksmrun).with_name(".ksmrun-py")
    for name in ("ksmrun", "ksmrun-exec"):
        shutil.copy(Path(ksmrun).with_name(name), tmp_path / name)
    broken = "import sys\nsys.modules['dataclasses'] = None"
    (tmp_path / ".ksmrun-py").write_text(script.read_text().replace("import sys", broken, 1))
    (tmp_path / ".ksmrun-py").chmod(0o755)
    (line,) = starts(run(str(tmp_path / "ksmrun"), "run", "--", *PROGRAM))
    assert (
        "the Python part of ksmrun fails (ModuleNotFoundError: " in line and "dataclasses" in line
    )
    assert "virtual environment" in line
    # As after pip's --target: what starts nothing says the same, and no traceback.
    done = run(str(tmp_path / "ksmrun"), "--version")
    assert (done.returncode, done.stdout) == (125, "")
    (said,) = done.stderr.splitlines()
    assert "ModuleNotFoundError" in said and "virtual environment" in said
    damaged = script.read_text().replace("import sys", "x = (", 1)
    (tmp_path / ".ksmrun-py").write_text(damaged)
    done = run(str(tmp_path / "ksmrun"), "--version")
    assert (done.returncode, done.stdout) == (125, "")
    (said,) = done.stderr.splitlines()
    assert "fails (SyntaxError: " in said and "install ksmrun again" in said


RAISED = {
    "RuntimeError('two\\nlines\\033[31m')": "(RuntimeError: two?lines?[31m)",
    "RuntimeError('\\u2028\\udc80\\u00e9')": "(RuntimeError: ???)",
    "RuntimeError('x' * 10000)": "xxx)",
    "type('Bad', (Exception,), {'__str__': lambda self: 1 / 0})()": "ksmrun fails;",
}


@pytest.mark.parametrize("raised", RAISED)
def test_whatever_python_raises(ksmrun: str, tmp_path: Path, raised: str) -> None:
    """The reason is in the line, without what would end the line or control a terminal."""
    script = Path(ksmrun).with_name(".ksmrun-py").read_text()
    for name in ("ksmrun", "ksmrun-exec"):
        shutil.copy(Path(ksmrun).with_name(name), tmp_path / name)
    broken = script.replace("import sys", f"raise {raised}", 1)
    (tmp_path / ".ksmrun-py").write_text(broken)
    (line,) = starts(run(str(tmp_path / "ksmrun"), "run", "--", *PROGRAM))
    assert RAISED[raised] in line and len(line) < 512


PYTHON_BROKEN = {
    "no standard library": "mount -t tmpfs none {library}",
    "no modules of C": "mount -t tmpfs none {library}/lib-dynload",
    "a package less": "mount -t tmpfs none {library}/collections",
    "a damaged module": "mount --bind {garbage} {library}/contextlib.py",
    "another Python's environment": "mount -t tmpfs none {packages}",
    "no Python": "mount --bind {garbage} {python}",
}


@pytest.mark.parametrize("options", [(), ("--layout=shared",)], ids=["random", "shared"])
@pytest.mark.parametrize("broken", PYTHON_BROKEN)
def test_with_a_broken_python(
    ksmrun: str, tmp_path: Path, broken: str, options: tuple[str, ...]
) -> None:
    """As during an upgrade, or after one that removed what an environment was made from."""
    (tmp_path / "garbage").write_text("(")
    prepare = PYTHON_BROKEN[broken].format(
        garbage=tmp_path / "garbage",
        library=sysconfig.get_path("stdlib"),
        packages=sysconfig.get_path("purelib"),
        python=Path(sys.executable).resolve(),
    )
    environment = without(KSMRUN_LAYOUT_DIR=str(tmp_path / "keys"))
    lines = starts(run(*inside(ksmrun, prepare, *options), env=environment))
    assert any(("shared layout not" if options else "default options") in line for line in lines)
    assert starts(run(*inside(ksmrun, prepare, *options, "--quiet"), env=environment)) == []
    required = run(*inside(ksmrun, prepare, "--require", *options), env=environment)
    assert required.returncode == (125 if options else 5), required


def test_the_front_knows_which_options_take_no_value() -> None:
    from typer.main import get_command

    source = (SOURCES / "fallback.c").read_text()
    # Typed as Any, because typer's own copy of click has no types.
    command: Any = get_command(build_app(["run"]))
    parameters = command.commands["run"].params
    assert len(parameters) > 10
    for parameter in parameters:
        for name in (*parameter.opts, *parameter.secondary_opts):
            is_known = f'is(word, "{name}")' in source
            assert is_known == bool(getattr(parameter, "is_flag", False)), name
