"""Processes grouped and sorted."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ksmrun.model.process import By, Identity, ProcessKsm, Sort
from ksmrun.observe.groups import group, sort_groups


def process(pid: int, who: dict[str, Any] | None = None, **figures: int | None) -> ProcessKsm:
    identity = Identity(
        **{
            **dict.fromkeys(field.name for field in fields(Identity)),
            **{"pid": pid, "name": "web", "uid": 0, "user": "root"},
            **(who or {}),
        }
    )
    known = dict.fromkeys(field.name for field in fields(ProcessKsm)) | figures
    return ProcessKsm(**{**known, "identity": identity, "enabled_by": "prctl"})  # type: ignore[arg-type]


def names(processes: list[ProcessKsm], by: By, sort: Sort = Sort.NAME) -> list[str]:
    return [row.name for row in sort_groups(group(processes, by), sort)]


def test_containers_of_one_name_are_not_mixed_up() -> None:
    """Two users may each have a Podman container of the same name."""
    processes = [
        process(1, {"engine": "podman", "container": "web", "container_id": "a"}),
        process(2, {"engine": "podman", "container": "web", "container_id": "b"}),
        process(3, {"container": "x", "container_id": "c"}),
        process(4),
    ]
    found = ["(no container)", "web (podman)", "web (podman)", "x"]
    assert names(processes, By.CONTAINER) == found
    assert names(processes, By.UNIT) == ["(no unit)"]


def test_sums_and_what_is_not_known() -> None:
    (row,) = group(
        [process(1, pss_bytes=5, maps=7), process(2, maps=9), process(3, pss_bytes=1)], By.USER
    )
    assert (row.pss_bytes, row.maps, row.headroom_maps(10)) == (6, 9, 1)
    assert row.rss_bytes is None
    assert row.headroom_maps(None) is None


def test_pods_and_their_namespaces() -> None:
    def of_pod(pid: int, container: str | None, pod: str | None = "uid-1") -> ProcessKsm:
        return process(pid, {"container": container, "pod": pod})

    processes = [
        of_pod(1, "shop/web-0/app"),
        of_pod(2, "shop/web-0/log"),
        of_pod(3, "shop/web-1/app"),
        # The same name, in another namespace.
        of_pod(4, "test/web-0/app"),
        # Neither kubelet nor the runtime told more than its uid.
        of_pod(5, "0123456789ab", "uid-2"),
        of_pod(6, "podman", None),
        of_pod(7, None, None),
    ]
    unknown = ["(no pod)", "(pod uid-2)"]
    assert names(processes, By.NAMESPACE) == [*unknown, "shop", "test"]
    assert names(processes, By.POD) == [*unknown, "shop/web-0", "shop/web-1", "test/web-0"]
    sizes = [len(row.processes) for row in group(processes, By.NAMESPACE)]
    assert sizes == [3, 1, 1, 2]


@given(
    st.lists(
        st.tuples(*[st.integers(0, 1 << 30)] * 3, st.none() | st.integers(0, 1 << 20)), min_size=1
    )
)
def test_request(rows: list[tuple[int, int, int, int | None]]) -> None:
    """All of them fit into the sum of their requests while one is unmerged."""
    (row,) = group(
        [
            process(pid, uss_bytes=uss, pss_bytes=pss, merging_pages=pages, zero_pages=zero)
            for pid, (uss, pss, pages, zero) in enumerate(rows)
        ],
        By.USER,
    )
    request = row.request_bytes(4096)
    assert request is not None
    room = (request + 1) * len(rows) - sum(pss for _, pss, _, _ in rows)
    assert all(room > (pages + (zero or 0)) * 4096 for _, _, pages, zero in rows)
    assert row.copy_bytes() == sum(uss for uss, *_ in rows) // len(rows)


def test_request_of_what_is_not_known() -> None:
    """A sum that leaves one out would be too small."""
    known = process(1, pss_bytes=5, uss_bytes=3, merging_pages=1)
    for other in (process(2, merging_pages=1), process(2)):
        (row,) = group([known, other], By.USER)
        assert (row.request_bytes(4096), row.copy_bytes()) == (None, 3)
    (row,) = group([process(1, pss_bytes=5)], By.USER)
    assert (row.request_bytes(4096), row.copy_bytes()) == (None, None)


def test_order() -> None:
    processes = [
        process(10, maps=3, pss_bytes=None),
        process(9, maps=5, pss_bytes=-1),
        process(100, maps=4, pss_bytes=2),
    ]
    assert names(processes, By.PROCESS) == ["9", "10", "100"]
    assert names(processes, By.PROCESS, Sort.HEADROOM) == ["9", "100", "10"]
    assert names(processes, By.PROCESS, Sort.PSS) == ["100", "9", "10"]
