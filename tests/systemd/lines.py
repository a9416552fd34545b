"""Generate command lines of ExecStart= from all parts of their grammar.

systemd.service(5), "Command lines"; systemd.unit(5), "Specifiers".
"""

from __future__ import annotations

from random import Random

# Names of the helper, as a unit writes them; the first is the usual one. systemd does not expand
# $VAR in a path, but does in an argument.
PATHS = {
    "/usr/local/bin/see": "/usr/local/bin/see",
    '"/usr/local/bin/see"': "/usr/local/bin/see",
    "'/usr/local/bin/see'": "/usr/local/bin/see",
    "/usr//local/./bin/see": "/usr/local/bin/see",
    r"/usr/local/bin/s\x65e": "/usr/local/bin/see",
    '"/srv/with blank/see"': "/srv/with blank/see",
    "/srv/$ONE/see": "/srv/$ONE/see",
    "/srv/${ONE}/see": "/srv/${ONE}/see",
    "/srv/100%%/see": "/srv/100%/see",
    "/srv/%p/see": "/srv/sweep/see",
    "/srv/ünïcode/see": "/srv/ünïcode/see",
}
SETTINGS = r"""
Environment=ONE=one "TWO=two words" "EMPTY=" "QUOTE=a'b" "DOLLAR=$$ONE" "TAB=a\tb" "GLOB=*"
Environment="BACK=a\\b" "LONG=%p and more" "DASH=--dash" "SEMI=;"
"""
ATOMS = (
    *("a", "b.c", "--long=x", "-s", "--", "x=y", "~", "*", "?", "[a]", "{b,c}", "#", "!", "@", ":"),
    *("+", "|", "&", "<", ">", "&&", "`", "(", ")", "é", "日本", ",", "/", "=", "^"),
    *(
        r"\x41",
        r"\x20",
        r"\t",
        r"\\",
        r"\"",
        r"\'",
        r"\u00e9",
        r"\U0001f600",
        r"\101",
        r"\s",
        r"\n",
    ),
    *("%%", "%n", "%N", "%p", "%i", "%j", "%u", "%U", "%h", "%H", "%t", "%S", "%m", "%b", "%v"),
    *("$ONE", "${ONE}", "${TWO}", "${EMPTY}", "${UNSET}", "$$", "$$ONE", "$${ONE}", "$", "${", "}"),
    *("${QUOTE}", "${DOLLAR}", "${TAB}", "${GLOB}", "${BACK}", "${LONG}", "${SEMI}", "x$ONE"),
)
# Alone, such a word can become none or several.
WORDS = ("$ONE", "$TWO", "$EMPTY", "$UNSET", "$QUOTE", "$TAB", "$BACK", "$DASH", "$SEMI", "$LONG")
# At the beginning of a line they make it one, also if it continues another.
COMMENTS = (";", "#")
PRIVILEGES = ("", "", "", "+", "!", "!!")


def line(random: Random, output: str) -> str:
    """Generate one value of ExecStart=, with one command that writes what it sees to output."""
    marks = [mark for mark in "@-:" if random.random() < 0.3] + [random.choice(PRIVILEGES)]
    random.shuffle(marks)
    path = random.choice(list(PATHS))
    prefixes = "".join(marks)
    if path[0] in "\"'" and random.random() < 0.5:
        first = path[0] + prefixes + path[1:]
    else:
        first = prefixes + path
    words = [first, *([one_word(random)] if "@" in prefixes else []), output]
    words += [argument(random) for _ in range(random.randint(0, 6))]
    text = words[0]
    for word in words[1:]:
        breaks = () if word.startswith(COMMENTS) else (" \\\n  ", " \\\n# between\n\t")
        text += random.choice((" ", " ", " ", "  ", "\t", *breaks)) + word
    return text


def argument(random: Random) -> str:
    """Generate one word that systemd accepts."""
    kind = random.random()
    if kind < 0.2:
        return random.choice(WORDS)
    if kind < 0.25:
        return random.choice(
            ('""', '"$ONE"', "'${TWO}'", "'$TWO'", "''", r"\;", '";"', "';'", ";x", "a;")
        )
    return one_word(random)


def one_word(random: Random) -> str:
    """Generate one that stays one word, whatever is in the environment."""
    kind = random.random()
    atoms = [random.choice(ATOMS) for _ in range(random.randint(1, 3))]
    if kind < 0.3:
        return f'"x{random.choice((" ", "")).join(atoms)}"'
    if kind < 0.6:
        return f"'x{random.choice((' ', '')).join(atoms)}'"
    return "x" + "".join(atoms)
