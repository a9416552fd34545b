"""`ksmrun wrap runtime`: the configuration that gives ksmrun-oci to a container engine."""

from __future__ import annotations

import sys
from pathlib import Path

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import say
from ksmrun.host.installed_launcher import installed
from ksmrun.host.layout_keys import group_label, keys_folder
from ksmrun.model.container import RuntimeEngine
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.wrap import CONTAINERD_FILE, INSTALL_LAUNCHER, OCI_RUNTIME
from ksmrun.options.wrap import RUNTIME, RuntimeOptions
from ksmrun.support import foreign
from ksmrun.wrap.runtime import render


def register(registry: Registry) -> None:
    """Add the command."""
    declare(registry, RUNTIME, print_runtime)


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
    for note in (*_first(), *lines.notes):
        say(note)


def _first() -> tuple[str, ...]:
    """Return what is needed before the lines are, if the runtime is not installed."""
    try:
        found = installed()
    except KsmrunError as error:
        return (f"{error.what}; to do: {error.todo}",)
    is_ready = found is not None and found.is_current and OCI_RUNTIME.exists()
    return () if is_ready else (f"first: {INSTALL_LAUNCHER}",)


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
