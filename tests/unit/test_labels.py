"""Labels of metrics are bounded, whatever names programs choose."""

from __future__ import annotations

from dataclasses import replace

from ksmrun.model.watch import Watched
from ksmrun.watch import labels
from ksmrun.watch.labels import OTHERS, LabelBook

from .test_conditions import PROCESS


def process(number: int, name: str, uid: int) -> Watched:
    who = replace(PROCESS.identity, pid=number, start_ticks=number, name=name, uid=uid)
    return replace(PROCESS, identity=replace(who, unit=None, container=None))


def key(command: str) -> tuple[str, ...]:
    return ("", "", "", "", command, "")


def test_one_user_takes_no_labels_from_others() -> None:
    book = LabelBook()
    many = [process(number, f"n{number}", 1000) for number in range(500)]
    found = book.group(
        [*many, process(900, "good", 1001), process(901, "init", 0)], 0, by_pid=False
    )
    assert {key("good"), key("init")} <= found.keys()
    assert len(found) == labels.OF_USER_MAX + 3
    assert len(found[key(OTHERS)]) == 500 - labels.OF_USER_MAX
    assert sum(map(len, found.values())) == 502, "every process is counted once"


def test_new_names_come_at_a_bounded_rate() -> None:
    book, seen = LabelBook(), set[tuple[str, ...]]()
    for second in range(0, 3000, 15):
        seen |= book.group([process(second, f"n{second}", 1000)], second, by_pid=False).keys()
    assert len(seen) == labels.OF_USER_MAX + 1
    found = book.group([process(1, "later", 1000)], 3000 + labels.KEPT_SECONDS, by_pid=False)
    assert key("later") in found


def test_all_users_together() -> None:
    """As in a user namespace, which has 65,536 users."""
    book = LabelBook()
    many = [process(number, f"n{number}", 100_000 + number) for number in range(5000)]
    found = book.group([*many, process(9000, "init", 0)], 0, by_pid=True)
    assert len(found) == labels.OF_USERS_MAX + 2
    assert (*key(OTHERS), "") in found and (*key("init"), "9000") in found


def test_what_is_in_a_label() -> None:
    (found,) = LabelBook().group([process(1, "a\n\udcff" + "x" * 500, 0)], 0, by_pid=False)
    assert found[4].startswith(r"a\x0a\xffx") and len(found[4]) == labels.NAME_MAX


def in_container(name: str, merging_pages: int = 9) -> Watched:
    who = replace(PROCESS.identity, unit=None, container=name)
    return replace(PROCESS, identity=who, merging_pages=merging_pages, pss_bytes=None)


def test_pods_have_their_names() -> None:
    found = [in_container("shop/web-0/app"), in_container("web"), in_container("a//b")]
    assert [each[:4] for each in LabelBook().group(found, 0, by_pid=False)] == [
        ("", "shop", "web-0", "shop/web-0/app"),
        ("", "", "", "web"),
        ("", "", "", "a//b"),
    ]


def test_pause_containers_have_no_series() -> None:
    """Each pod has one: separate series would be as many as there are pods."""
    small = in_container("shop/web-0/POD")
    large = in_container("shop/web-1/POD", merging_pages=9999)
    for by_pid in (False, True):
        (key,) = LabelBook().group([small, large], 0, by_pid=by_pid)
        assert key[2] == "web-1", "nobody hides by that name"
