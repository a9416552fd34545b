"""Error that the user can act on, and the exit codes."""

from __future__ import annotations

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_OWN_FAILURE = 125
EXIT_CANNOT_RUN = 126
EXIT_NOT_FOUND = 127


class KsmrunError(Exception):
    """Error that the user can act on: what happened, what to do, and the exit code."""

    def __init__(self, what: str, todo: str, exit_code: int = EXIT_FAILURE) -> None:
        super().__init__(f"{what}; {todo}")
        self.what = what
        self.todo = todo
        self.exit_code = exit_code


class UsageError(KsmrunError):
    """A command line, variable or setting that is not valid. `ksmrun run` ends with 125 for it."""

    def __init__(self, what: str, todo: str) -> None:
        super().__init__(what, todo, EXIT_USAGE)
