"""The Python half of `ksmrun`, started by native/front/ksmrun.c.

Before anything slow is imported: signals as the caller had them, and --version.
"""

import contextlib
import os
import signal
import sys
from typing import NoReturn

from ksmrun import __version__

FRONT_OPTION = "--front="


def main() -> None:
    """The console script; ends with an exit code."""
    arguments = sys.argv[1:]
    front = None
    if arguments and arguments[0].startswith(FRONT_OPTION):
        front = arguments.pop(0).removeprefix(FRONT_OPTION)
    _restore_signals(front)
    if arguments == ["--version"]:
        try:
            # Not print, which would fail once more, and loudly, when Python ends.
            os.write(1, f"ksmrun {__version__}\n".encode())
        except OSError as error:
            sys.exit(f"ksmrun: cannot write to stdout: {error.strerror}; check what it is")
        return
    try:
        from ksmrun.cli import run_app

        code = run_app(arguments)
    # An import without memory, a package that is gone: the program is to start all the same.
    except Exception as error:
        _start_without_us(arguments)
        if isinstance(error, MemoryError):
            _end(arguments, "out of memory; raise the limits (ulimit -v and -d)")
        # A package that is not there, or whose files this user cannot read.
        if isinstance(error, ImportError | PermissionError):
            todo = "install ksmrun again with pip, readable for all its users"
            _end(arguments, f"cannot load ksmrun's modules: {error}; {todo}")
        raise
    sys.exit(code)


def _end(arguments: list[str], message: str) -> NoReturn:
    """Say it, and end with the code of our own failures, which `ksmrun run` has apart."""
    print(f"ksmrun: {message}", file=sys.stderr)
    sys.exit(125 if arguments[:1] == ["run"] else 1)


def _start_without_us(arguments: list[str]) -> None:
    """Execute the front once more, which starts the program of `ksmrun run` by itself."""
    front = os.path.join(os.path.dirname(sys.argv[0]), "ksmrun")  # noqa: PTH118, PTH120
    if arguments[:1] == ["run"] and os.path.basename(sys.argv[0]) == "ksmrun-py":  # noqa: PTH119
        with contextlib.suppress(OSError):
            os.execv(front, [front, "--front=start", *arguments])


def _restore_signals(front: str | None) -> None:
    """Undoes what Python did at its start: it ignores SIGPIPE and SIGXFSZ, and catches SIGINT.

    Without the front (python -m ksmrun) nobody knows any more, and the defaults are assumed.
    """
    signal.signal(signal.SIGPIPE, signal.SIG_IGN if "P" in (front or "") else signal.SIG_DFL)
    # Under a limit of file sizes no cache of ours can be written, which must not end the launch.
    # What is caught has its default action again after an exec (signal(7)).
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN if "X" in (front or "") else _go_on)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if front is not None and "B" not in front:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _go_on(*_: object) -> None:
    """The write fails with EFBIG."""


if __name__ == "__main__":
    main()
