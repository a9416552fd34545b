"""Write the tunables in /sys/kernel/mm/ksm, each recorded first, and restore them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from ksmrun.facts.ksm import FOLDER, read_ksm, require_ksm
from ksmrun.facts.pids import require_proc
from ksmrun.host.allowed import KHUGEPAGED_NAMES, allowed, canonical
from ksmrun.host.record import (
    ANY_VALUE,
    Change,
    Record,
    current_boot_id,
    drop,
    load,
    locked,
    save,
)
from ksmrun.host.recorded import (
    CPUS,
    THREAD_NAMES,
    checked,
    present,
    put,
    refuse_fewer_cpus,
    short_name,
)
from ksmrun.host.unmerge_safety import check_maps_fit, check_unmerge_fits
from ksmrun.model.errors import KsmrunError, UsageError
from ksmrun.model.ksm import KsmFacts
from ksmrun.support.words import quoted, shortened

RUN = str(FOLDER / "run")
# khugepaged's tunables undo merging where huge pages are on; they have this prefix.
KHUGEPAGED = "khugepaged/"
HUGE_FOLDER = Path("sys/kernel/mm/transparent_hugepage")
# These change only while nothing is merged (mm/ksm.c).
WHILE_UNMERGED = ("merge_across_nodes", "max_page_sharing")
MAX_MAP_COUNT = "proc/sys/vm/max_map_count"


def parse_settings(texts: Sequence[str]) -> dict[str, str]:
    """Parse settings NAME=VALUE. Raises KsmrunError."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise UsageError(
                f"{quoted(text)} is not NAME=VALUE", "give for example pages_to_scan=2000"
            )
        pairs[name] = value
    return pairs


def tunable_names(root: Path) -> tuple[str, ...]:
    """Return the writable files of this kernel: the others are counters."""
    require_ksm(root)
    files = sorted((root / FOLDER).iterdir())
    return tuple(f.name for f in files if f.stat().st_mode & stat.S_IWUSR)


def set_tunables(
    settings: Mapping[str, str],
    record_file: Path,
    root: Path,
    *,
    force: bool = False,
    unmerge: bool = False,
) -> list[str]:
    """Write each setting, recorded first. Return a line for each. Raises KsmrunError.

    A setting that unmerges (run=2) is refused if the memory would not fit, unless forced. unmerge:
    allow unmerging for a setting that changes only while nothing is merged.
    """
    known = tunable_names(root)
    for name in settings:
        if name not in (*known, *THREAD_NAMES) and not (
            name.startswith(KHUGEPAGED) and name.removeprefix(KHUGEPAGED) in KHUGEPAGED_NAMES
        ):
            raise UsageError(
                f"this kernel has no KSM tunable {quoted(name)}", f"it has {', '.join(known)}"
            )
    lines: list[str] = []
    with locked(record_file):
        for name, wanted in settings.items():
            try:
                if unmerge and name in WHILE_UNMERGED:
                    lines += _set_unmerged(record_file, root, name, wanted, force)
                else:
                    lines.append(_set(record_file, root, name, wanted, force))
            except KsmrunError as error:
                if lines:
                    done = ", ".join(lines)
                    raise KsmrunError(f"{error.what} (done before: {done})", error.todo) from error
                raise
    return lines


def _set(record_file: Path, root: Path, name: str, wanted: str, force: bool) -> str:
    path = path_of(name)
    before = current(root, path)
    is_thread = name in THREAD_NAMES
    value = checked(root, name, wanted, before) if is_thread else canonical(name, wanted, before)
    if before == value:
        return f"{name}: {value} already"
    if path == RUN and value == "2" and not force:
        check_unmerge_fits(root)
    _write_recorded(record_file, root, path, value)
    if path == CPUS:
        refuse_fewer_cpus(root, value, before)
    return f"{name}: {before} -> {value}"


def path_of(name: str) -> str:
    """Return the path of a setting, below the root."""
    if name in THREAD_NAMES:
        return name
    return str((HUGE_FOLDER if name.startswith(KHUGEPAGED) else FOLDER) / name)


def _set_unmerged(record_file: Path, root: Path, name: str, wanted: str, force: bool) -> list[str]:
    """Unmerge everything first if that is necessary, and let ksmd start again afterwards."""
    run = current(root, RUN)
    if not read_ksm(root).number("pages_shared") or wanted == current(root, str(FOLDER / name)):
        return [_set(record_file, root, name, wanted, force)]
    lines = [_set(record_file, root, "run", "2", force)]
    try:
        lines.append(_set(record_file, root, name, wanted, force))
    finally:
        lines.append(_set(record_file, root, "run", run, force))
    return lines


def restore(record_file: Path, root: Path, *, force: bool = False) -> list[str]:
    """Restore what the record contains. Return a line for each file.

    A file with none of the values that we wrote was changed by somebody else and stays as it is. If
    one cannot be restored, the others are; it stays in the record, and KsmrunError is raised.
    """
    with locked(record_file):
        record = load(record_file)
        if record is None:
            return []
        if record.boot_id and record.boot_id != current_boot_id(root):
            drop(record_file)
            return ["nothing to put back: the host has rebooted since, which reset everything"]
        lines: list[str] = []
        failures: list[tuple[Change, KsmrunError]] = []

        def put_back(change: Change) -> None:
            try:
                lines.append(_put_back(record_file, root, change, force))
            except KsmrunError as error:
                failures.append((change, error))

        # run goes last: tunables that change only while nothing is merged may need run=2 before.
        for change in reversed(record.changes):
            if change.path != RUN:
                put_back(change)
        # Read again: an unmerge on the way is recorded as a change of run.
        record = load(record_file) or record
        for change in record.changes:
            if change.path == RUN:
                put_back(change)
        if not failures:
            drop(record_file)
            return lines
        save(record_file, Record(record.boot_id, tuple(change for change, _ in failures)))
        done = f" ({', '.join(lines)})" if lines else ""
        raise KsmrunError(
            f"not all could be put back: {'; '.join(error.what for _, error in failures)}{done}",
            failures[0][1].todo,
        )


def set_max_map_count(limit: int, record_file: Path, root: Path) -> str:
    """Set vm.max_map_count, recorded first. Refuses less than what running processes use."""
    require_proc()
    check_maps_fit(limit)
    with locked(record_file):
        before = current(root, MAX_MAP_COUNT)
        if before == str(limit):
            return f"vm.max_map_count: {limit} already"
        _write_recorded(record_file, root, MAX_MAP_COUNT, str(limit))
    return f"vm.max_map_count: {before} -> {limit}"


def _put_back(record_file: Path, root: Path, change: Change, force: bool) -> str:
    name = short_name(change.path)
    found = current(root, change.path)
    if found == change.before:
        return f"{name}: {change.before} already"
    if found not in change.written and ANY_VALUE not in change.written:
        return (
            f"{name}: left at {found}, which another program has set since ({change.before} before)"
        )
    if name == "pages_to_scan" and _advisor_runs(read_ksm(root)):
        return f"{name}: left to the advisor, which sets it"
    if change.path == RUN and change.before == "2" and not force:
        check_unmerge_fits(root)
    if change.path == MAX_MAP_COUNT and not force:
        check_maps_fit(int(change.before))
    try:
        _write(root, change.path, change.before)
    except KsmrunError as error:
        # merge_across_nodes and max_page_sharing change only while nothing is merged.
        if not isinstance(error.__cause__, OSError) or error.__cause__.errno != errno.EBUSY:
            raise
        if not force:
            check_unmerge_fits(root)
        _write_recorded(record_file, root, RUN, "2")
        _write(root, change.path, change.before)
    return f"{name}: {found} -> {change.before}"


def _write_recorded(record_file: Path, root: Path, path: str, value: str) -> None:
    boot_id = current_boot_id(root)
    record = load(record_file)
    if record is None or (record.boot_id and record.boot_id != boot_id):
        record = Record(boot_id)
    if Path(path).name == "advisor_mode":
        rate = str(FOLDER / "pages_to_scan")
        record = record.with_written(rate, current(root, rate), ANY_VALUE)
    save(record_file, record.with_written(path, current(root, path), value))
    _write(root, path, value)


def current(root: Path, path: str) -> str:
    """Return the present value of what a record can name. Raises KsmrunError."""
    found = present(root, path)
    if found is not None:
        return found
    if path in THREAD_NAMES:
        raise KsmrunError("ksmd is not visible here", "run this on the host, not in a container")
    raise KsmrunError(
        f"cannot read /{path}", "check that /sys and /proc are mounted, and run this as root"
    )


def _write(root: Path, path: str, value: str) -> None:
    try:
        put(root, path, value)
    except OSError as error:
        name = short_name(path)
        if error.errno in (errno.EINVAL, errno.ERANGE) and not _is_advised(name, root):
            raise UsageError(
                f"the kernel refuses {name}={shortened(value)} (now {current(root, path)})",
                f"give {allowed(name)}",
            ) from error
        what, todo = _explain(path, value, error.errno or 0, root)
        raise KsmrunError(what, todo) from error


def _is_advised(name: str, root: Path) -> bool:
    return name == "pages_to_scan" and _advisor_runs(read_ksm(root))


def _explain(path: str, value: str, error: int, root: Path) -> tuple[str, str]:
    ksm = read_ksm(root)
    name = short_name(path)
    if path in THREAD_NAMES:
        return (
            f"cannot set {name}={value}: {os.strerror(error)}",
            "run this as root; a systemd unit needs CapabilityBoundingSet=CAP_SYS_NICE",
        )
    refused = f"the kernel refuses {name}={value}"
    if error == errno.EBUSY:
        shared = ksm.number("pages_shared")
        return (
            f"{refused}: it can only change while nothing is merged, and {shared} pages are",
            "run `sudo ksmrun host unmerge`, set it, then run `sudo ksmrun host on`",
        )
    if error == errno.EINVAL:
        return (
            f"{refused}: the {ksm.values['advisor_mode']} advisor sets it",
            "set advisor_mode=none first, or change the advisor's limits instead",
        )
    if error == errno.EROFS:
        return (
            f"/{path} is read-only here, as in most containers and sandboxed units",
            f"change it on the host; in a systemd unit, set ReadWritePaths=/{path}",
        )
    if error in (errno.EACCES, errno.EPERM):
        return f"only root can write /{path}", "run this as root"
    return f"cannot write {value} to /{path}: {os.strerror(error)}", "see the kernel log (dmesg)"


def _advisor_runs(ksm: KsmFacts) -> bool:
    return ksm.values.get("advisor_mode", "none") != "none"
