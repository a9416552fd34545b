"""Flags for the runtime of a program that is launched: what it is, and what fits it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from ksmrun.facts.runtime import find_runtime
from ksmrun.facts.target import look_at
from ksmrun.model.launch import Request, RuntimeFlags, TargetFacts
from ksmrun.model.runtime import SHELL, Runtime, RuntimeVariables
from ksmrun.plan.command_words import program_words
from ksmrun.plan.runtime_flags import runtime_variables

# Whatever starts there: as behind a start script.
CONTAINER = Runtime(SHELL, "a container")


def variables_now(request: Request, target: TargetFacts) -> RuntimeVariables:
    """Return the variables for a program that is started here and now, also behind `env`."""
    if request.runtime_flags is RuntimeFlags.OFF:
        return RuntimeVariables()
    words = [os.fsdecode(word) for word in request.command]
    behind = program_words(words)
    if behind and behind[0] != words[0]:
        target = look_at(os.fsencode(behind[0]), os.environb, [*map(os.fsencode, behind[1:])])
        words = behind
    runtime = find_runtime(target)
    return runtime_variables(request.runtime_flags, runtime, words[1:], os.environ)


def variables_of_unit(
    mode: RuntimeFlags,
    target: TargetFacts,
    arguments: Sequence[str],
    environment: Mapping[str, str] | None,
) -> RuntimeVariables:
    """Return the variables for a service, whose runtime may be upgraded.

    environment: None if it is not all known.
    """
    # systemd replaces $VAR by what is only known at the start.
    is_known = environment is not None and not any("$" in word for word in arguments)
    runtime = find_runtime(target) if mode is not RuntimeFlags.OFF else None
    words = arguments if is_known else None
    return runtime_variables(mode, runtime, words, environment or {}, is_later=True)


def variables_of_container(mode: RuntimeFlags) -> RuntimeVariables:
    """Return the variables for whatever an image contains."""
    return runtime_variables(mode, CONTAINER, None, {}, is_later=True)
