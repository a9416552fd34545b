"""Frozen dataclasses that are made in a third of the time, which is a third of a short command's.

For each class, dataclasses generates and compiles six methods. Here it generates __init__ alone,
and the others are shared. To type checkers these are dataclasses, so mypy refuses assignments;
nothing does while it runs.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, frozen: bool, **more: bool) -> Any:
        """Return a decorator for classes whose instances have nothing but their fields."""
        assert frozen
        return functools.partial(_made, **more)


def _made(cls: type, **more: bool) -> type:
    made: type = dataclasses.dataclass(eq=False, repr=False, **more)(cls)
    for name, method in SHARED.items():
        # Methods of the class itself, or of one above it, stay.
        if getattr(made, name, None) is getattr(object, name):
            setattr(made, name, method)
    return made


def _equals(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    return self.__dict__ == other.__dict__


def _hash(self: Any) -> int:
    return hash(tuple(self.__dict__.values()))


def _repr(self: Any) -> str:
    fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
    return f"{self.__class__.__qualname__}({fields})"


SHARED = {"__eq__": _equals, "__hash__": _hash, "__repr__": _repr}
