"""Drop-in that wraps a container of Podman's Quadlet (podman-systemd.unit(5))."""

from __future__ import annotations

import shlex
from pathlib import PurePath

from ksmrun.model.wrap import OCI_RUNTIME
from ksmrun.wrap.dropin import DomainClaim, KeyPlace
from ksmrun.wrap.header import header, without_ksmrun


def render(
    file: str,
    key: KeyPlace | None,
    scope: str,
    *,
    require: bool,
    claim: DomainClaim | None = None,
) -> str:
    """Return the drop-in: it sets a runtime that puts the launcher before what the image starts.

    So an update of the image may change its entrypoint. PodmanArgs= comes after `podman run`, where
    --runtime is accepted too. scope: "--user " for a user's manager.
    """
    annotations = ["Annotation=ksmrun.merge=on"]
    if require:
        annotations.append("Annotation=ksmrun.require=true")
    if claim is not None:
        annotations.append(f"Annotation=ksmrun.domain={claim.domain}")
    service_lines = [] if claim is None or not claim.settings else ["[Service]", *claim.settings]
    unit = []
    if key is not None:
        annotations += [
            "Annotation=ksmrun.layout=shared",
            f"Annotation=ksmrun.layout-group={key.group}",
        ]
        unit = ["[Unit]", f"Wants={key.unit}", f"After={key.unit}"]
    remove = f"{'' if scope else 'sudo '}ksmrun wrap quadlet {scope}--remove {file}"
    lines = [*unit, "[Container]", f"PodmanArgs=--runtime={OCI_RUNTIME}", *annotations]
    lines += service_lines
    what = "it is started with its memory merged"
    folder = "~/.config/containers/systemd" if scope else "/etc/containers/systemd"
    service = shlex.quote(f"{PurePath(file).stem}.service")
    without = without_ksmrun(folder, file, service, scope)
    return header(f"wrap quadlet {scope}{file}", what, remove, without) + "\n".join(lines) + "\n"
