"""Shapes of JSON documents, written as plain values. The first mismatch is named.

int, float, str, bool, None, object   a value of that type (float: also integers; object: any)
re.compile(...)                       a string that matches completely
[shape]                               a list of any length
[shape, shape]                        a list of exactly these items
{str: shape}                          an object with any keys
{"name": shape, "other?": shape}      an object with these keys; those with ? are optional
(shape, shape)                        either
"""

from __future__ import annotations

import math
import re
from typing import Any

INT_MAX = 1 << 63
# Bound on numbers: sums and squares of them stay finite.
FLOAT_MAX = 1e18


def misfit(value: Any, shape: Any, where: str = "") -> str:
    """Return the first mismatch, as "plan.copies is no int"; empty if the value fits."""
    if isinstance(shape, tuple):
        wrong = [misfit(value, each, where) for each in shape]
        return "" if "" in wrong else wrong[0]
    if isinstance(shape, list):
        return _list_misfit(value, shape, where)
    if isinstance(shape, dict):
        return _object_misfit(value, shape, where)
    if isinstance(shape, re.Pattern):
        fits = isinstance(value, str) and shape.fullmatch(value) is not None
        return "" if fits else f"{where or 'it'} is not of the form {shape.pattern}"
    return "" if _is_kind(value, shape) else f"{where or 'it'} is not {_kind_name(shape)}"


def _is_kind(value: Any, kind: Any) -> bool:
    if kind is object or kind is None:
        return kind is object or value is None
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        is_number = isinstance(value, int | float)
        return is_number and abs(value) <= FLOAT_MAX and math.isfinite(value)
    if kind is int:
        return isinstance(value, int) and abs(value) <= INT_MAX
    return isinstance(value, kind)


def _kind_name(kind: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return "null" if kind is None else names.get(kind, str(kind.__name__))


def _list_misfit(value: Any, shape: list[Any], where: str) -> str:
    if not isinstance(value, list):
        return f"{where or 'it'} is not a list"
    shapes = shape if len(shape) > 1 else shape * len(value)
    if len(shapes) != len(value):
        return f"{where or 'it'} does not have {len(shapes)} members"
    pairs = enumerate(zip(value, shapes, strict=True))
    wrong = (misfit(each, of, f"{where}[{i}]") for i, (each, of) in pairs)
    return next(filter(None, wrong), "")


def _object_misfit(value: Any, shape: dict[Any, Any], where: str) -> str:
    if not isinstance(value, dict):
        return f"{where or 'it'} is not an object"
    if str in shape:
        wrong = (misfit(each, shape[str], _below(where, name)) for name, each in value.items())
        return next(filter(None, wrong), "")
    for name, of in shape.items():
        key = name.removesuffix("?")
        if key not in value:
            if key == name:
                return f"{_below(where, name)} is missing"
            continue
        if found := misfit(value[key], of, _below(where, key)):
            return found
    return ""


def _below(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name
