"""Bound on the labels of metrics: each is a time series, and anybody can choose program names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ksmrun.model.watch import Watched
from ksmrun.observe.processes import is_pause
from ksmrun.support.words import printable

# Label of the rest; its other labels are empty.
OTHERS = "(others)"
NAME_MAX = 128
# Label sets for root's processes, for each other user's, and for all other users' together.
OF_ROOT_MAX, OF_USER_MAX, OF_USERS_MAX = 2000, 100, 1000
# A label that was not seen for this long makes room for another.
KEPT_SECONDS = 3600.0

Key = tuple[str, ...]


class LabelBook:
    """Labels admitted so far, so that new names come at a bounded rate."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, Key], float] = {}

    def group(
        self, processes: Sequence[Watched], seconds: float, *, by_pid: bool
    ) -> dict[Key, list[Watched]]:
        """Return the processes by unit, namespace, pod, container, command, job and perhaps PID.

        Those beyond the bound are under OTHERS. Pause containers have no series: each pod has one,
        with hardly any memory. seconds: of the monotonic clock.
        """
        oldest = seconds - KEPT_SECONDS
        self._seen = {each: seen for each, seen in self._seen.items() if seen >= oldest}
        counts = Counter(uid for uid, _ in self._seen)
        groups: dict[Key, list[Watched]] = {}
        # Oldest processes are admitted first.
        for process in sorted(processes, key=_age):
            if is_pause(process):
                continue
            uid, key = process.identity.uid or 0, _key(process, by_pid=by_pid)
            if (uid, key) not in self._seen:
                if not _has_room(counts, uid):
                    key = ("", "", "", "", OTHERS, "", *([""] if by_pid else []))
                    groups.setdefault(key, []).append(process)
                    continue
                counts[uid] += 1
            self._seen[uid, key] = seconds
            groups.setdefault(key, []).append(process)
        return groups


def _age(process: Watched) -> tuple[int, int]:
    return process.identity.start_ticks, process.identity.pid


def _key(process: Watched, *, by_pid: bool) -> Key:
    who = process.identity
    namespace, pod, _ = who.pod_names or ("", "", "")
    # As kube-state-metrics has them, to join with; container is the whole name, as in `ksmrun ps`.
    names = (who.unit or "", namespace, pod, who.container or "", who.name, who.job or "")
    # Names may contain any byte for the kernel, but only UTF-8 for Prometheus.
    key = tuple(printable(name)[:NAME_MAX] for name in names)
    return (*key, str(who.pid)) if by_pid else key


def _has_room(counts: Counter[int], uid: int) -> bool:
    if uid == 0:
        return counts[0] < OF_ROOT_MAX
    users = counts.total() - counts[0]
    return counts[uid] < OF_USER_MAX and users < OF_USERS_MAX
