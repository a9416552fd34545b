"""`ksmrun host install`: what `host tune` sets, at every boot."""

from __future__ import annotations

import os

from ksmrun.commands.declare import Given
from ksmrun.commands.host.tune import intent_words, made_plan
from ksmrun.commands.output import print_file, print_line, sudo_line
from ksmrun.facts.ksm import ROOT
from ksmrun.facts.systemd import Systemd
from ksmrun.host import boot_unit
from ksmrun.model.errors import KsmrunError
from ksmrun.options.host import InstallOptions
from ksmrun.support.paste import own_program


def install(options: InstallOptions, given: Given) -> None:
    """Install, print or remove the unit."""
    if not options.show and os.geteuid() != 0:
        raise KsmrunError(
            "installing a unit for the host needs root", f"run: {sudo_line(given.line)}"
        )
    if options.remove:
        for text in boot_unit.remove(ROOT, Systemd()):
            print_line(text)
        return
    plan = made_plan(options, may_try=not options.show)[0]
    settings = {knob.name: knob.then for knob in plan.knobs}
    text = boot_unit.unit_text(
        own_program(), settings, f"ksmrun host tune {' '.join(intent_words(given))}"
    )
    if options.show:
        print_file(text)
        return
    for done in boot_unit.install(ROOT, text, Systemd()):
        print_line(done)
    print_line("undo: sudo ksmrun host install --remove")
