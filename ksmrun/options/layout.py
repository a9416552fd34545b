"""Commands of `ksmrun layout` and their options."""

from __future__ import annotations

from pathlib import Path

from ksmrun.model.frozen import dataclass
from ksmrun.options.command import Command
from ksmrun.options.item import Kind, Values, argument, option, path, switch, whole

UID_MAX = (1 << 32) - 2


@dataclass(frozen=True)
class KeyOptions:
    """Options of `ksmrun layout key`."""

    group: str = argument(
        "Group, as given to --layout-group.", "GROUP", is_required=True, values=Values.GROUP
    )
    output: Path | None = path(
        "New file for the key, with mode 0400. Without this option it goes to stdout, as bytes."
    )
    containers: bool = switch(
        "Make the key that containers get, from which the group's own cannot be found out. It is "
        "written below /run/ksmrun/layout/containers unless --output is given."
    )
    namespace: str | None = option(
        "With --containers: Kubernetes namespace of the containers.", metavar="NAMESPACE"
    )
    user: int = whole(
        "With --containers: the only user (UID) who can read the key.",
        0,
        metavar="UID",
        least=0,
        most=UID_MAX,
    )


@dataclass(frozen=True)
class RotateOptions:
    """Argument of `ksmrun layout rotate`."""

    group: str | None = argument(
        "Group; all groups where none is named.", "GROUP", Kind.TEXT, values=Values.GROUP
    )


KEY = Command(
    ("layout", "key"),
    "Write the key of a group's layout, for launches that cannot reach the host's key",
    (
        "For `ksmrun-exec --layout-key`. Whoever has the key knows every address of the group's "
        "programs.",
    ),
    KeyOptions,
    (("Write the key of a group", "sudo ksmrun layout key games --output games.key"),),
)
ROTATE = Command(
    ("layout", "rotate"),
    "Give later launches another layout; running programs keep theirs",
    (
        "Do this when a program of the group crashes again and again: somebody may be guessing its "
        "addresses.",
    ),
    RotateOptions,
    (("Rotate the key of a group", "sudo ksmrun layout rotate games"),),
)
LAYOUT = Command(
    ("layout",),
    "Manage the keys of shared address layouts",
    commands=(KEY, ROTATE),
    examples=(("Rotate the keys of all groups", "sudo ksmrun layout rotate"),),
)
