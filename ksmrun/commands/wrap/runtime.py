"""`ksmrun wrap runtime`: the configuration that gives ksmrun-oci to a container engine."""

from __future__ import annotations

import sys
from pathlib import Path

import typer

from ksmrun.commands.declare import declare
from ksmrun.commands.output import say
from ksmrun.host.layout_keys import group_label, keys_folder
from ksmrun.model.container import RuntimeEngine
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.wrap import CONTAINERD_FILE, INSTALL_LAUNCHER
from ksmrun.options.wrap import RUNTIME, RuntimeOptions
from ksmrun.support import foreign
from ksmrun.wrap.runtime import render


def register(group: typer.Typer) -> None:
    """Add the command."""
    declare(group, RUNTIME, print_runtime)


def print_runtime(options: RuntimeOptions) -> None:
    """Print the lines, and on stderr what to do with them."""
    engine, layout_group, config = options.engine, options.layout_group, options.config
    if layout_group is not None:
        if engine is not RuntimeEngine.DOCKER:
            raise KsmrunError(
                f"--layout-group applies to docker only, as {engine} passes annotations on",
                f"start containers with the annotation ksmrun.layout-group={layout_group}",
            )
        group_label(keys_folder(), layout_group)
    if config != Path(CONTAINERD_FILE) and engine is not RuntimeEngine.CONTAINERD:
        raise UsageError(f"--config is for containerd, not for {engine}", "leave it out")
    lines = render(
        engine,
        options.default,
        environment=options.environment,
        group=layout_group,
        config=_text(config) if engine is RuntimeEngine.CONTAINERD else None,
        file=str(config),
    )
    sys.stdout.write(lines.text)
    sys.stdout.flush()
    for note in (f"first: {INSTALL_LAUNCHER}", *lines.notes):
        say(note)


def _text(file: Path) -> str | None:
    """Return the file's text; None if there is no file. Raises KsmrunError."""
    try:
        return foreign.read_bytes(file).decode()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise KsmrunError(
            f"cannot read {file}: {why}", "give containerd's configuration with --config FILE"
        ) from error
