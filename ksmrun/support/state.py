"""Read JSON that ksmrun saved, after checking its owner and its content."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, NoReturn

from ksmrun.model.errors import KsmrunError
from ksmrun.support.foreign import drain, open_regular
from ksmrun.support.shape import misfit

STATE_BYTES_MAX = 32 << 20


def read_state(
    file: Path, schema: str, shape: dict[str, Any], todo: str, *, ours: bool = True
) -> dict[str, Any] | None:
    """Return the object in a file; None if there is no file. Raises KsmrunError with this todo.

    shape: see support/shape.py; members that it does not name are ignored. ours: require that the
    file belongs to root or this user, is writable by nobody else and is no link, because root acts
    on it.
    """
    try:
        descriptor = open_regular(file, follow=not ours)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        todo = "run this as root, or as a user who may read it"
        raise KsmrunError(f"cannot read {file}: {error.strerror}", todo) from error
    except OSError as error:
        raise KsmrunError(f"cannot read {file}: {error.strerror}", todo) from error
    if ours and (wrong := distrust(descriptor)):
        os.close(descriptor)
        raise KsmrunError(f"{file} {wrong}, so it is not trusted", todo)
    try:
        text = drain(descriptor, STATE_BYTES_MAX).decode()
        data = json.loads(text, parse_constant=_refuse_constant)
    except OSError as error:
        raise KsmrunError(f"cannot read {file}: {error.strerror}", todo) from error
    except RecursionError as error:
        raise KsmrunError(f"{file} is damaged (it is nested too deeply)", todo) from error
    except ValueError as error:
        raise KsmrunError(f"{file} is damaged ({error})", todo) from error
    found = data.get("schema") if isinstance(data, dict) else None
    if found != schema:
        raise KsmrunError(
            f"{file} was written by another version of ksmrun (its schema is not {schema})", todo
        )
    if wrong := misfit(data, shape):
        raise KsmrunError(f"{file} is damaged ({wrong})", todo)
    assert isinstance(data, dict)
    return data


def distrust(descriptor: int) -> str:
    """Return why others may have written this file; empty if they cannot have."""
    status = os.fstat(descriptor)
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to UID {status.st_uid}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"can be written by others (mode {stat.S_IMODE(status.st_mode):o})"
    return ""


def _refuse_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")
