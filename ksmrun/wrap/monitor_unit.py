"""Unit of `ksmrun monitor` with the options that it was printed with. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath

from ksmrun.options.item import items
from ksmrun.options.monitor import MonitorKeys
from ksmrun.wrap.execline import program_word, quote

# Setting that takes the command, and section before which other settings end.
COMMAND, INSTALL = "@COMMAND@", "\n[Install]"
LISTEN = "127.0.0.1:9739"
# In a list of paths no escapes are resolved (config_parse_namespace_path_strv() in systemd's
# src/core/load-fragment.c).
UNQUOTABLE = frozenset("\"'\\\n\r")


def render(
    template: str,
    program: str,
    options: Mapping[str, str | bool],
    *,
    listen: str | None = LISTEN,
) -> str:
    """Return the unit. options: by their names without dashes; True for one without a value.

    listen: address of the metrics where the options name none; None serves none.
    """
    defaults: dict[str, str | bool] = {} if listen is None else {"listen": listen}
    words = [
        f"--{name}" if value is True else f"--{name}={value}"
        for name, value in (defaults | dict(options)).items()
        if value is not False
    ]
    expands = "$" not in program
    line = [program_word(program), "monitor", *(quote(word, expands=expands) for word in words)]
    needed = "".join(f"{setting}\n" for setting in _needs(options))
    if needed:
        needed = f"\n# What its options need.\n{needed}"
    text = template.replace(INSTALL, f"{needed}{INSTALL}")
    return text.replace(COMMAND, " ".join(line))


def _needs(options: Mapping[str, str | bool]) -> Iterator[str]:
    # Needed beyond the unit's sandbox (systemd.exec(5)).
    given = [
        item.unit_setting
        for item in items(MonitorKeys)
        if options.get(item.name.removeprefix("--"), False) not in (False, item.default)
    ]
    yield from filter(None, dict.fromkeys(given))
    folder = options.get("textfile")
    if isinstance(folder, str) and PurePath(folder).is_absolute() and not UNQUOTABLE & set(folder):
        yield f"ReadWritePaths={quote(folder, expands=False)}"
