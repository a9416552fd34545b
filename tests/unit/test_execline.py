"""Exec lines and unit files: read as systemd reads them, and preserved."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ksmrun.wrap.execline import ExecLineError, next_word, parse, quote, simplified, unquote, wrap
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
    ("line", "said"),
    [
        ("", "no command"),
        (" \t", "no command"),
        ("-", "a command without a path"),
        ("/bin/a 'open", "the quote ' is not closed"),
        ("@/bin/a", "the prefix @ without a name"),
        ("@/bin/a ; /bin/b", "the prefix @ without a name"),
        ("@/bin/a $B c", r"the name after @ is \$B"),
        ("|@/bin/a b", r"the prefix \|"),
        ("/bin/a\\", "a backslash at the end"),
        (r"/bin/\xff", r"the escape \\x cannot"),
        (r"/bin/\q1", r"the escape \\q cannot"),
    ],
)
def test_lines_that_cannot_be_wrapped(line: str, said: str) -> None:
    with pytest.raises(ExecLineError, match=said):
        wrapped(line)


def test_a_name_after_at_that_is_one_word() -> None:
    """${A} and $$A always are one word; $A only where nothing is expanded."""
    for line in ("@/bin/a ${B} c", "@/bin/a $$B c", ":@/bin/a $B c"):
        (command,) = parse(line)
        assert command.arguments == "c"
        assert f"--argv0 {command.argv0} -- /bin/a c" in wrapped(line)


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        ("/bin/a b ;", [("/bin/a", "b")]),
        ("/bin/a ;\t/bin/b  c; ;  /bin/c", [("/bin/a", ""), ("/bin/b", "c;"), ("/bin/c", "")]),
        ("/bin/a b;c ';' \\; ;x", [("/bin/a", "b;c ';' \\; ;x")]),
    ],
)
def test_a_lone_semicolon_ends_a_command(line: str, commands: list[tuple[str, str]]) -> None:
    assert [(command.path, command.arguments) for command in parse(line)] == commands


# systemd.syntax(7), "Quoting".
@pytest.mark.parametrize(
    ("name", "character"),
    list(zip("abfnrtv\\\"'s", "\a\b\f\n\r\t\v\\\"' ", strict=True)),
)
def test_c_escapes(name: str, character: str) -> None:
    assert unquote(f"1\\{name}2") == f"1{character}2"
    assert unquote(f'"\\{name}"') == character


@given(st.integers(0, 0x110010))
@example(0)
@example(0x7F)
@example(0x80)
@example(0xFF)
@example(0xD7FF)
@example(0xD800)
@example(0xDFFF)
@example(0xE000)
@example(0xFFFF)
@example(0x10FFFF)
@example(0x110000)
def test_characters_by_number(number: int) -> None:
    r"""Escapes that systemd accepts and that are characters: \x and octal escapes mean bytes."""
    is_character = 0 < number < 0xD800 or 0xDFFF < number < 0x110000
    for escape, is_there, is_kept in (
        (f"\\x{number:02x}", number <= 0xFF, 0 < number <= 0x7F),
        (f"\\{number:03o}", number <= 0o777, 0 < number <= 0x7F),
        (f"\\u{number:04X}", number <= 0xFFFF, is_character),
        (f"\\U{number:08x}", True, is_character),
    ):
        if is_there and is_kept:
            assert unquote(f"<{escape}7>") == f"<{chr(number)}7>"
        elif is_there:
            with pytest.raises(ExecLineError):
                unquote(f"<{escape}7>")


@pytest.mark.parametrize(
    "escape",
    [
        r"\x4",
        r"\x4g",
        r"\x+4",
        r"\x 4",
        r"\12",
        r"\128",
        r"\1_1",
        r"\u041",
        r"\u+041",
        r"\U0000041",
    ],
)
def test_numbers_that_are_none(escape: str) -> None:
    with pytest.raises(ExecLineError, match="cannot be kept"):
        unquote(escape)


def test_quotes_side_by_side() -> None:
    assert unquote("""'a"'"b'"c'"'""") == 'a"b\'c"'


@pytest.mark.parametrize("blank", ["\x0b", "\f", "\xa0", "\u2003"])
def test_blanks_that_are_none_to_systemd(blank: str) -> None:
    """WHITESPACE of src/basic/string-util.h has only four characters."""
    assert next_word(f"a \t{blank}b {blank}") == ("a", f"{blank}b {blank}")
    commands = parse(f"/bin/a {blank} ; {blank}b")
    assert [(command.path, command.arguments) for command in commands] == [
        *(("/bin/a", blank), (f"{blank}b", "")),
    ]


def test_simplified() -> None:
    """Same result as path_simplify()."""
    for path, expected in (
        ("//a/./b//", "/a/b"),
        ("/", "/"),
        ("./a/.b", "a/.b"),
        ("/a/..", "/a/.."),
    ):
        assert simplified(path) == expected


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


def read_by_systemd(word: str, *, expands: bool) -> str:
    """Return the word as it is in argv: specifiers and variables are expanded after unquoting."""
    text, signs = unquote(word), "%$" if expands else "%"
    for sign in signs:
        assert sign not in text.replace(sign * 2, "")
        text = text.replace(sign * 2, sign)
    return text


@given(WORDS | st.sampled_from([";", "", "a;", "$x%n", "\n", "a\tb\rc", '"', "\\n"]), st.booleans())
def test_a_quoted_word_is_the_word(word: str, expands: bool) -> None:
    quoted = quote(word, expands=expands)
    assert read_by_systemd(quoted, expands=expands) == word
    assert next_word(quoted) == (quoted, "")
    # A line of a unit file would end there.
    assert not set("\r\n") & set(quoted)
    (command,) = parse(f"/bin/a {quoted} ; /bin/b")[:1]
    assert command.arguments == quoted


def test_words_are_left_as_they_are_where_they_can() -> None:
    for word in ("aX", "--b=c", ";;", "a;", "\xa0"):
        assert quote(word, expands=True) == word
    assert quote("$a", expands=False) == "$a"
    assert quote("", expands=True) == '""'


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
