"""`ksmrun host install`: what `host tune` sets, at every boot."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ksmrun.commands.host_tune import (
    MaxCpu,
    PassTime,
    Profile,
    intent_words,
    made_plan,
    parse_intent,
)
from ksmrun.commands.output import print_file, print_line, sudo_line
from ksmrun.facts.ksm import ROOT
from ksmrun.facts.systemd import Systemd
from ksmrun.host import service
from ksmrun.model import KsmrunError
from ksmrun.support.paste import own_program


def install(
    pass_time: PassTime = None,
    max_cpu: MaxCpu = None,
    profile: Profile = None,
    print_: Annotated[
        bool, typer.Option("--print", help="Print the systemd unit, and do nothing.")
    ] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take it away, and put KSM back.")
    ] = False,
) -> None:
    """Set ksmd's speed now and at every boot, by a systemd unit.

    To adapt it to what starts and grows, use `ksmrun monitor --auto --print-unit` instead.
    """
    options = intent_words(pass_time, max_cpu, profile)
    words = ["host", "install", *options, *(["--remove"] if remove else [])]
    if not print_ and os.geteuid() != 0:
        raise KsmrunError("a unit for the host needs root", f"run: {sudo_line(words)}")
    if remove:
        for line in service.remove(ROOT, Systemd()):
            print_line(line)
        return
    intent = parse_intent(pass_time, max_cpu, profile)
    plan, _, _ = made_plan(intent, may_try=not print_)
    settings = {knob.name: knob.then for knob in plan.knobs}
    text = service.unit_text(own_program(), settings, f"ksmrun host tune {' '.join(options)}")
    if print_:
        print_file(text)
        return
    for line in service.install(ROOT, text, Systemd()):
        print_line(line)
    print_line("undo: ksmrun host install --remove")
