"""Python half of `ksmrun`, started by native/front/ksmrun.c.

Restores the caller's signal dispositions and answers --version before anything slow is imported.
"""

import os
import signal
import sys
from types import ModuleType

FRONT_OPTION = "--front="
# Modules of the standard library that are imported when they are first used. dataclasses imports
# inspect, which takes longer to import than all of ours, for classes without a docstring.
LAZY = (
    *(
        "copy",
        "ctypes",
        "difflib",
        "hashlib",
        "hmac",
        "inspect",
        "ipaddress",
        "json",
        "locale",
        "ntpath",
    ),
    *("platform", "random", "secrets", "select", "shutil", "socket", "string", "subprocess"),
    *("tempfile", "textwrap", "tomllib"),
)
# Commands with threads: before Python 3.12, two must not use such a module first at the same time.
THREADED = ("ab", "monitor", "top")


def main() -> None:
    """Run the console script; exits with the command's exit code."""
    arguments = sys.argv[1:]
    front = None
    if arguments and arguments[0].startswith(FRONT_OPTION):
        front = arguments.pop(0).removeprefix(FRONT_OPTION)
    _restore_signals(front)
    # In the C locale Python sets it (PEP 538). Without /proc/self/environ a program would have it.
    if front is not None and "L" not in front and arguments[:1] == ["run"]:
        os.environ.pop("LC_CTYPE", None)
    if arguments[:1] not in ([each] for each in THREADED):
        _import_when_used(LAZY)
    if arguments == ["--version"]:
        try:
            # Not print, which would fail once more, and loudly, when Python ends.
            from ksmrun.commands.version import WRITE_TODO, version_text

            os.write(1, f"{version_text()}\n".encode())
        except OSError as error:
            sys.exit(f"ksmrun: cannot write to stdout: {error.strerror}; {WRITE_TODO}")
        return
    try:
        from ksmrun.cli import run_app

        code = run_app(arguments)
    except MemoryError:
        # The front then starts the program without us, as after whatever else is raised.
        if arguments[:1] == ["run"]:
            raise
        sys.exit("ksmrun: out of memory; raise the limits (ulimit -v and -d)")
    # A package that is not installed, or whose files this user cannot read.
    except (ImportError, PermissionError) as error:
        if arguments[:1] == ["run"]:
            raise
        todo = "install ksmrun again, readable for all its users"
        # No module of ours may be there to make it printable.
        why = "".join(c if c.isprintable() else "?" for c in str(error))[:200]
        sys.exit(f"ksmrun: cannot load its modules: {why}; {todo}")
    sys.exit(code)


def _restore_signals(front: str | None) -> None:
    """Undo what Python did to signals at its start: SIGPIPE and SIGXFSZ ignored, SIGINT caught.

    Without the front (python -m ksmrun) the caller's dispositions are lost, and the defaults are
    set.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_IGN if "P" in (front or "") else signal.SIG_DFL)
    # Under a file size limit our cache cannot be written; that must not end the launch. A caught
    # signal gets its default action at the exec (signal(7)).
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN if "X" in (front or "") else _go_on)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if front is not None and "B" not in front:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


class _Unused(ModuleType):
    """Stand-in for a module, which is imported when an attribute of it is first asked for.

    Unlike that of importlib's LazyLoader, it survives further import statements: they look at
    __spec__ (Python/import.c: import_ensure_initialized).
    """

    def __getattr__(self, name: str) -> object:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        module = __import__(self.__name__)
        self.__dict__.update(module.__dict__)
        return getattr(module, name)


def _import_when_used(names: tuple[str, ...]) -> None:
    for name in names:
        sys.modules.setdefault(name, _Unused(name))


def _go_on(*_: object) -> None:
    """Ignore the signal: the write then fails with EFBIG."""


if __name__ == "__main__":
    main()
