"""The shim sets the merge flag from inside, where the launcher's does not reach the program."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compiled import compile_to

from ksmrun.facts.launcher import LAUNCHER

# By what ld.so expands $PLATFORM to; musl expands nothing.
SHIMS = {
    **dict.fromkeys(("$PLATFORM", "x86_64", "haswell", "xeon_phi"), "ELF 64-bit"),
    "i686": "ELF 32-bit",
}
LOADERS = {"/lib64/ld-linux-x86-64.so.2": "ELF 64-bit", "/lib/ld-linux.so.2": "ELF 32-bit"}
PROGRAMS = Path(__file__).parent / "programs"
SHIM_BYTES_MAX = 43 * 1024
STANDS_IN_FOR = {"madvise", "mlock", "mlock2", "mlockall", "prctl", "setns", "setpriority"}
STANDS_IN_FOR |= {"syscall", "unshare"}
# Forwarded unchanged, because a child's growth is noticed there.
STANDS_IN_FOR |= {"close", "fflush", "fgets", "fread", "fwrite", "nanosleep", "poll", "puts"}
STANDS_IN_FOR |= {"read", "select", "send", "sigsuspend", "wait", "waitpid", "write"}
# 32-bit programs may have two widths of offsets and of times.
STANDS_IN_FOR_64_BIT = {"mmap", "mmap64", "time"}
# Two widths of time.
STANDS_IN_FOR_32_BIT = {"time", "__time64"}
# Handed on to the next library's, which a 32-bit program may not be able to find.
STANDS_IN_FOR_64_BIT |= {"chroot", "execv", "execve", "execvp", "execvpe", "pivot_root"}


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, **options
    )


@pytest.mark.parametrize("folder", SHIMS)
def test_it_needs_nothing(folder: str) -> None:
    """No library, no version, and only weak symbols: it loads with any libc."""
    shim = LAUNCHER.parent / "shim" / folder / "libksmrun-preload.so"
    assert shim.stat().st_size <= SHIM_BYTES_MAX
    assert SHIMS[folder] in run("file", shim).stdout
    dynamic = run("readelf", "-W", "-d", "--dyn-syms", shim).stdout
    assert "(NEEDED)" not in dynamic and "VERNEED" not in dynamic
    undefined = [line.split() for line in dynamic.splitlines() if " UND" in line]
    assert all(words[4] == "WEAK" for words in undefined[1:]), "the first one is the empty symbol"
    defined = {
        line.split()[-1] for line in run("nm", "-D", "--defined-only", shim).stdout.splitlines()
    }
    others = STANDS_IN_FOR_64_BIT if "64" in SHIMS[folder] else STANDS_IN_FOR_32_BIT
    assert defined == STANDS_IN_FOR | others


@pytest.mark.parametrize("folder", SHIMS)
def test_it_is_two_vmas(folder: str) -> None:
    """Its data beyond the file fits into the last page of its data in the file."""
    shim = LAUNCHER.parent / "shim" / folder / "libksmrun-preload.so"
    lines = run("readelf", "-W", "-l", shim).stdout.splitlines()
    segments = [line.split() for line in lines if " LOAD " in line]
    assert len(segments) == 2
    address, in_file, in_memory = (int(segments[1][column], 16) for column in (2, 4, 5))
    assert (address + in_file - 1) >> 12 == (address + in_memory - 1) >> 12


@pytest.mark.parametrize("kind", ["flag", "flag_musl", "flag_32"])
def test_it_sets_the_flag(ksmrun: str, programs: Any, kind: str) -> None:
    program = getattr(programs, kind)
    assert run(ksmrun, "run", "--merge=off", "--", program).returncode == 1
    done = run(ksmrun, "run", "--quiet", "--mechanism=preload", "--", program)
    assert (done.returncode, done.stderr) == (0, "")
    # A flag that is lost between launcher and program, of whichever libc, is set again.
    for lose in (programs.lose, programs.lose_musl):
        done = run(ksmrun, "run", "--quiet", "--mechanism=preload", "--", lose, program)
        assert (done.returncode, done.stderr) == (0, "")
    assert run(ksmrun, "run", "--mechanism=prctl", "--", lose, program).returncode == 1


@pytest.mark.parametrize("file", LOADERS)
def test_each_platform_of_a_loader_has_a_shim(file: str) -> None:
    """What this processor has, and what the loader's code could make of another one."""
    said = run(file, "--list-diagnostics").stdout
    (platform,) = (line for line in said.splitlines() if line.startswith("dl_platform="))
    assert LOADERS[file] == SHIMS[platform.split('"')[1]]
    words = Path(file).read_bytes().split(b"\0")
    if LOADERS[file] == "ELF 64-bit":
        assert {b"haswell", b"xeon_phi"} <= set(words), "does it no longer know them?"


@pytest.mark.parametrize("name", ["lib", "lib32", "lib64"])
def test_a_tree_of_32_and_64_bits(ksmrun: str, programs: Any, tmp_path: Path, name: str) -> None:
    """No message about a wrong ELF class, whatever the distribution calls its folders ($LIB).

    "lib" is for 64-bit programs on Arch Linux, and for 32-bit ones on Fedora.
    """
    loaders = {file: tmp_path / f"ld-linux-{index}.so" for index, file in enumerate(LOADERS)}
    for file, copy in loaders.items():
        before, end, after = Path(file).read_bytes().partition(b"\0LIB\0")
        own = after.split(b"\0", 1)[0]
        renamed = name.encode().ljust(len(own), b"\0")
        copy.write_bytes(before + end + renamed[: len(own)] + after[len(own) :])
        copy.chmod(0o755)
        assert f'dl_dst_lib="{name}"' in run(copy, "--list-diagnostics").stdout
    m64, m32 = loaders.values()
    lose = programs.lose
    tree = f"{lose} {m32} {programs.flag_32} && {lose} {m64} {programs.flag} && {lose} "
    tree += f"{programs.flag_32}"
    for shell in (["sh"], [m64, "/bin/sh"]):
        done = run(ksmrun, "run", "--quiet", "--mechanism=preload", "--", *shell, "-c", tree)
        assert (done.returncode, done.stderr) == (0, "")


# AT_PLATFORM (15) of the auxiliary vector becomes AT_IGNORE (1): as in gVisor.
NO_PLATFORM = """
starti
python
inferior = gdb.selected_inferior()
def word(place):
    return int.from_bytes(inferior.read_memory(place, 8).tobytes(), "little")
place = int(gdb.parse_and_eval("(unsigned long)$sp"))
place += 8 * (word(place) + 2)
while word(place):
    place += 8
place += 8
while word(place) != 15:
    place += 16
inferior.write_memory(place, (1).to_bytes(8, "little"))
end
continue
"""


def test_a_kernel_that_names_no_platform(launcher: str, tmp_path: Path) -> None:
    """ld.so would not find the shim: no word of it, and one line of ours."""
    script = tmp_path / "script"
    script.write_text(NO_PLATFORM)
    shim = LAUNCHER.parent / "shim/$PLATFORM/libksmrun-preload.so"
    program = (launcher, f"--preload={shim}", "--merge=keep", "--", "/usr/bin/env")
    done = run("gdb", "-nx", "-batch", "-x", script, "--args", *program)
    assert "the shim is not used: this kernel does not name its platform" in done.stderr
    assert "LD_PRELOAD" not in done.stdout and "PATH=" in done.stdout, done
    assert "cannot be preloaded" not in done.stderr


def test_beside_another_preload(ksmrun: str, programs: Any) -> None:
    environment = {"LD_PRELOAD": "libm.so.6", "PATH": "/usr/bin:/bin"}
    command = [ksmrun, "run", "--mechanism=preload", "--"]
    done = run(*command, "sh", "-c", "echo $LD_PRELOAD; exec $0", programs.flag, env=environment)
    assert done.returncode == 0
    first, _, rest = done.stdout.strip().partition(":")
    assert rest.endswith("/$PLATFORM/as-libasan.so/../libksmrun-preload.so")
    assert first == "libm.so.6"


# Terabytes that merge, which unmerging would walk (mm/ksm.c: unmerge_ksm_pages).
@pytest.mark.host_ksm
def test_a_program_with_a_sanitizer_behind_a_script(
    ksmrun: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AddressSanitizer must be the first library, and still works."""
    monkeypatch.setenv("KSMRUN_LAYOUT_DIR", str(tmp_path / "keys"))
    source = tmp_path / "server.c"
    source.write_text(
        "#include <stdlib.h>\nint main(int count, char **words) { (void)words; "
        "char *text = calloc(4, 1); int read = text[count * 2]; free(text); return read; }"
    )
    script = tmp_path / "start.sh"
    script.write_text(f'#!/bin/sh\n{tmp_path}/server "$@"; exit $?\n')
    script.chmod(0o755)
    for sanitizer in ("address", "undefined", "leak"):
        compile_to(tmp_path / "server", ["gcc", "-O0", f"-fsanitize={sanitizer}", source])
        for options in (("--layout=shared",), ("--mechanism=preload",), ("--mechanism=mark",)):
            command = (ksmrun, "run", "--quiet", *options, "--", script)
            assert run(*command).returncode == 0, (sanitizer, options)
            done = run(*command, "two", "three")
            assert ("heap-buffer-overflow" in done.stderr) == (sanitizer == "address")
            monkeypatch.setenv("ASAN_OPTIONS", "abort_on_error=1:verify_asan_link_order=1")
            assert run(*command).returncode == 0, (sanitizer, options)
            monkeypatch.delenv("ASAN_OPTIONS")


def test_static_programs_are_not_reached(ksmrun: str, programs: Any) -> None:
    """The plan says so, and uses the prctl."""
    line = run(ksmrun, "run", "--mechanism=preload", "--dry-run", "--", programs.flag_static)
    assert "--preload" not in line.stdout
    assert run(ksmrun, "run", "--mechanism=preload", "--", programs.flag_static).returncode == 0


def test_verify_waits_for_the_shim(ksmrun: str) -> None:
    done = run(ksmrun, "run", "--mechanism=preload", "--verify", "--", "sleep", "1")
    assert "has the merge flag after the exec" in done.stderr


def test_errno_and_output_stay(ksmrun: str, tmp_path: Path) -> None:
    """The program's constructors and main find errno 0, no new descriptor and no new thread."""
    source, program = tmp_path / "x.c", tmp_path / "x"
    source.write_text(
        "#include <errno.h>\n#include <dirent.h>\n#include <stdio.h>\n"
        "static int first;\n"
        "__attribute__((constructor)) static void before(void) { first = errno; }\n"
        "static int entries(const char *path) { DIR *d = opendir(path); int n = 0;\n"
        "  while (readdir(d)) n++; closedir(d); return n; }\n"
        'int main(void) { printf("%d %d %d %d\\n", first, errno,\n'
        '  entries("/proc/self/fd"), entries("/proc/self/task")); return 0; }\n'
    )
    subprocess.run(["gcc", "-o", program, source], check=True)
    direct = run(program)
    wrapped = run(ksmrun, "run", "--quiet", "--mechanism=preload", "--", program)
    assert (wrapped.stdout, wrapped.stderr) == (direct.stdout, direct.stderr)


# Each starts a shell in a root without the shim; {root} is its path.
IN_ANOTHER_ROOT = {
    "chroot": ["chroot", "{root}", "/bin/sh", "-c", "echo in $LD_PRELOAD"],
    "a script": ["sh", "-c", "chroot {root} /bin/sh -c 'echo in $LD_PRELOAD'"],
    "unshare": ["unshare", "--root={root}", "/bin/sh", "-c", "echo in $LD_PRELOAD"],
    "an environment of its own": [
        sys.executable,
        "-c",
        "import os; environment = dict(os.environ); os.chroot('{root}');"
        "os.chdir('/');"
        "os.execve('/bin/sh', ['sh', '-c', 'echo in $LD_PRELOAD'], environment)",
    ],
}


@pytest.mark.parametrize("options", [("--mechanism=preload",), ("--layout=shared",)])
@pytest.mark.parametrize("name", IN_ANOTHER_ROOT)
def test_no_word_of_ld_so_in_another_root(
    ksmrun: str, tmp_path: Path, name: str, options: tuple[str, ...]
) -> None:
    """Nothing names the shim in a root without it; in a root with it, it is inherited."""
    for file in ("/bin/sh", "/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6"):
        copy = tmp_path / file.removeprefix("/")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    for root, inherited in ((str(tmp_path), ""), ("/", "libksmrun-preload.so")):
        command = [word.format(root=root) for word in IN_ANOTHER_ROOT[name]]
        done = run(ksmrun, "run", "--quiet", *options, "--", *command)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("in") and done.stdout.strip().endswith(inherited or "in")


def test_children_of_vfork_in_another_root_leave_nothing(ksmrun: str, tmp_path: Path) -> None:
    """They share their parent's memory, which must not keep what they need for their exec."""
    program, child = tmp_path / "vforks", tmp_path / "child"
    compile_to(program, ["gcc", "-O1", PROGRAMS / "vforks.c"])
    compile_to(child, ["gcc", "-O1", "-static", PROGRAMS / "vforks.c"])
    done = run(ksmrun, "run", "--quiet", "--mechanism=preload", "--", program, tmp_path, "/child")
    assert done.returncode == 0, done
