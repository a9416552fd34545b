"""Selection of running processes: options and the processes that they name."""

from __future__ import annotations

from ksmrun.facts.pids import require_proc
from ksmrun.facts.select import in_container, in_unit, matching
from ksmrun.model.errors import EXIT_USAGE, KsmrunError, UsageError
from ksmrun.observe.sampler import with_children
from ksmrun.options.select import SelectOptions
from ksmrun.support.words import shortened

# Where the names that can be given are shown.
TODO = {
    "--unit": "list the running units with `systemctl list-units --state=running`",
    "--container": "list the containers with `podman ps`, `docker ps` or `crictl ps`",
    "--match": "check the expression against the command lines that `ps -eo pid,args` shows",
}


def selected(options: SelectOptions) -> tuple[int, ...]:
    """Return the selected processes, in order. Raises KsmrunError if an option selects none."""
    require_proc()
    given = {"--match": (options.match,), "--unit": options.unit, "--container": options.container}
    for option, texts in given.items():
        if "" in texts:
            raise UsageError(f"{option} is empty", f"give a text after it; {TODO[option]}")
    named = [(f"--unit {shortened(unit)}", in_unit(unit)) for unit in options.unit]
    named += [(f"--container {shortened(name)}", in_container(name)) for name in options.container]
    if options.match:
        named.append((f"--match {shortened(options.match)}", matching(options.match)))
    for name, chosen in named:
        if not chosen:
            raise KsmrunError(f"no process found by {name}", TODO[name.partition(" ")[0]])
    found = {*options.pids, *(pid for _, chosen in named for pid in chosen)}
    if not found:
        raise KsmrunError(
            "no process is named",
            "give PIDs, --match REGEX, --unit UNIT or --container NAME",
            EXIT_USAGE,
        )
    return tuple(sorted(found | set(with_children(tuple(found))) if options.tree else found))
