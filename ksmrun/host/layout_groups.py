"""Groups with a shared layout, and the running processes that have one."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from ksmrun.facts.launcher import launcher_path
from ksmrun.facts.stat import thread_with_memory
from ksmrun.host.container_keys import NAMESPACE, derived_key
from ksmrun.host.key_memory import MASTER_KEY
from ksmrun.host.layout_keys import GROUP, group_key, keys_folder
from ksmrun.model.errors import KsmrunError
from ksmrun.model.wrap import ContainerKey
from ksmrun.support.folders import make_folder
from ksmrun.support.safefile import create_file

DEFAULT_GROUP = "default"
TIMEOUT_SECONDS = 10.0
# One launch per group, with this many PIDs at most.
PIDS_MAX, GROUPS_MAX = 1000, 64


def remember_group(folder: Path, group: str) -> None:
    """Save the group's name, best effort: only `ps` and `explain` need it."""
    with contextlib.suppress(OSError):
        make_folder(folder / "groups", 0o700)
        (folder / "groups" / group).touch(mode=0o600, exist_ok=True)


def known_groups(folder: Path) -> tuple[str, ...]:
    """Return the names in use: the default one, those of launches and those of wrapped units."""
    names = {DEFAULT_GROUP}
    with contextlib.suppress(OSError):
        names |= {file.name for file in (folder / "groups").iterdir()}
    with contextlib.suppress(OSError):
        names |= {file.stem for file in (folder / "units").glob("*.key")}
    return tuple(sorted(name for name in names if GROUP.fullmatch(name)))


def groups_of(pids: Iterable[int]) -> dict[int, str]:
    """Return the group of each process that has the layout of one of this user's groups.

    Nothing is stored per process: with a group's key the addresses can be computed and compared.
    Processes started before a rotation no longer count as the group's.
    """
    wanted = list(pids)
    found: dict[int, str] = {}
    if not wanted:
        return found
    # Without usable keys nothing is known of groups.
    unknown = (KsmrunError, OSError, subprocess.SubprocessError, ValueError)
    with contextlib.ExitStack() as stack, contextlib.suppress(*unknown):
        folder, launcher = keys_folder(), launcher_path()
        if not (folder / MASTER_KEY).exists():
            return {}
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="ksmrun-"))
        for group in known_groups(folder)[:GROUPS_MAX]:
            for key in _keys(folder, group, Path(scratch)):
                found |= dict.fromkeys(_members(launcher, key, wanted), group)
    return found


def _keys(folder: Path, group: str, scratch: Path) -> Iterator[Path]:
    """Write the group's own key and those of its containers, for the host and for namespaces."""
    keys = [group_key(folder, group), derived_key(folder, ContainerKey(group, None, 0))]
    for namespace in (folder / "containers/namespaces").glob("*"):
        if NAMESPACE.fullmatch(namespace.name):
            keys.append(derived_key(folder, ContainerKey(group, namespace.name, 0)))
    for number, key in enumerate(keys):
        file = scratch / f"{group}-{number}.key"
        create_file(file, key, 0o400)
        yield file


def _members(launcher: Path, key: Path, pids: Iterable[int]) -> Iterator[int]:
    """Yield those that have the layout of this key."""
    unknown = []
    for pid, answer in _answers(launcher, key, [*pids]):
        if answer == "yes":
            yield pid
        elif answer == "unknown":
            unknown.append(pid)
    # Their main thread may have ended.
    threads = {thread_with_memory(pid): pid for pid in unknown}
    for thread, answer in _answers(
        launcher, key, [each for each in threads if each not in unknown]
    ):
        if answer == "yes":
            yield threads[thread]


def _answers(launcher: Path, key: Path, pids: list[int]) -> Iterator[tuple[int, str]]:
    for start in range(0, len(pids), PIDS_MAX):
        words = map(str, pids[start : start + PIDS_MAX])
        done = subprocess.run(
            [launcher, f"--layout-key={key}", "--layout-check", "--", *words],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
        for line in done.stdout.splitlines():
            pid, answer = line.split()
            yield int(pid), answer
