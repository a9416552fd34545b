"""`ksmrun layout`: the keys of shared layouts."""

from __future__ import annotations

import sys

from ksmrun.commands.declare import Registry, declare
from ksmrun.commands.output import print_line, say
from ksmrun.host.container_keys import renew_container_keys, write_container_key
from ksmrun.host.layout_groups import known_groups
from ksmrun.host.layout_keys import group_key, keys_folder, rotate, write_group_key
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.wrap import ContainerKey
from ksmrun.options.layout import KEY, ROTATE, KeyOptions, RotateOptions


def register(registry: Registry) -> None:
    """Add the commands."""
    declare(registry, KEY, key)
    declare(registry, ROTATE, rotate_layout)


def key(options: KeyOptions) -> None:
    """Write a key to a file or stdout."""
    if options.containers:
        container_key = ContainerKey(options.group, options.namespace, options.user)
        print_line(str(write_container_key(keys_folder(), container_key, options.output)))
        return
    if options.namespace is not None or options.user:
        raise KsmrunError("--namespace and --user apply to container keys only", "add --containers")
    if options.output is not None:
        write_group_key(keys_folder(), options.group, options.output)
        return
    if sys.stdout.isatty():
        raise UsageError(
            "the key is secret and binary, and stdout is a terminal",
            "give --output FILE, or pipe it",
        )
    sys.stdout.buffer.write(group_key(keys_folder(), options.group))


def rotate_layout(options: RotateOptions) -> None:
    """Rotate the key of one group, or of all; a mistyped name is not taken for done."""
    known = known_groups(keys_folder())
    rotate(keys_folder(), options.group)
    renew_container_keys(keys_folder())
    which = "all groups" if options.group is None else f"the group {options.group}"
    print_line(f"later launches of {which} get a new layout; running programs keep theirs")
    if options.group is not None and options.group not in known:
        say(
            f"no launch or wrapped unit of this user has used the group {options.group} yet (there "
            f"are: {', '.join(known)}); to do: check the name"
        )
