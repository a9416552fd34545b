"""Exec lines and unit files as systemd reads them, and what is kept of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmrun.wrap.execline import ExecLineError, next_word, parse, quote, unquote, wrap
from ksmrun.wrap.unitfile import values

LAUNCHER = "/x/ksmrun-exec"


def wrapped(line: str) -> str:
    return wrap(line, lambda _: [LAUNCHER, "--merge=on"])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/bin/a", f"{LAUNCHER} --merge=on -- /bin/a"),
        ("-/bin/a b  'c d' %i $X ${Y}", f"-{LAUNCHER} --merge=on -- /bin/a b  'c d' %i $X ${{Y}}"),
        ("@/bin/a name b", f"{LAUNCHER} --merge=on --argv0 name -- /bin/a b"),
        ("-@/bin/a 'a name' b", f"-{LAUNCHER} --merge=on --argv0 'a name' -- /bin/a b"),
        ("!!/bin/a", f"!!{LAUNCHER} --merge=on -- /bin/a"),
        ("+:/bin/$a $b", f"+:{LAUNCHER} --merge=on -- /bin/$a $b"),
        # argv[0] is the path too, and there $ is expanded.
        ("/bin/${a}", f"{LAUNCHER} --merge=on --argv0 /bin/${{a}} -- /bin/$${{a}}"),
        (":/bin/$a", f":{LAUNCHER} --merge=on -- /bin/$a"),
        ("/usr//bin/./a", f"{LAUNCHER} --merge=on --argv0 /usr//bin/./a -- /usr/bin/a"),
        ('"/bin/with blank" b', f'{LAUNCHER} --merge=on -- "/bin/with blank" b'),
        (r"/bin/with\x20blank", f'{LAUNCHER} --merge=on -- "/bin/with blank"'),
        (
            "/bin/a \\; ; /bin/b",
            f"{LAUNCHER} --merge=on -- /bin/a \\; ; {LAUNCHER} --merge=on -- /bin/b",
        ),
        ("/bin/a ';' b;", f"{LAUNCHER} --merge=on -- /bin/a ';' b;"),
        ("/bin/%p-%i", f"{LAUNCHER} --merge=on -- /bin/%p-%i"),
    ],
)
def test_wrapped_lines(line: str, expected: str) -> None:
    assert wrapped(line) == expected


@pytest.mark.parametrize(
    "line",
    ["", "-", "/bin/a 'open", "@/bin/a", "@/bin/a $B c", "|@/bin/a b", r"/bin/\xff", r"/bin/\q"],
)
def test_lines_that_cannot_be_wrapped(line: str) -> None:
    with pytest.raises(ExecLineError):
        wrapped(line)


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)


@given(st.lists(WORDS, max_size=6))
def test_a_quoted_word_is_the_word(words: list[str]) -> None:
    line = " ".join(["/bin/a", *(quote(word, expands=True) for word in words)])
    (command,) = parse(line)
    rest, found = command.arguments, []
    while rest:
        word, rest = next_word(rest)
        found.append(unquote(word).replace("%%", "%").replace("$$", "$"))
    assert found == words


@given(st.lists(WORDS.map(lambda word: quote(word, expands=True)), max_size=6))
def test_arguments_are_kept_as_they_are_written(words: list[str]) -> None:
    text = " ".join(words)
    assert wrapped(f"/bin/a {text}") == f"{LAUNCHER} --merge=on -- /bin/a {text}".rstrip(" ")


def test_values_in_force() -> None:
    unit = """
[Unit]
ExecStart=/bin/not-this
[Service]
# ExecStart=/bin/nor-this
ExecStart = /bin/a \\
  # between
  b \\
c
ExecStart=/bin/b \\\\
[Install]
ExecStart=/bin/nor-this
"""
    assert values([unit], "Service", "ExecStart") == ("/bin/a  b  c", "/bin/b \\\\")
    drop_in = "[Service]\nExecStart=\nExecStart=/bin/c"
    assert values([unit, drop_in], "Service", "ExecStart") == ("/bin/c",)
    assert values([unit, "[Service]\nExecStart=\n"], "Service", "ExecStart") == ()
    assert values(["[Service]\nExecStart=/bin/a \\"], "Service", "ExecStart") == ("/bin/a",)
