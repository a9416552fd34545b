"""Every message of the product is listed in messages.txt, to be read as its users read them."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

from product_messages import collected, literals

# The source tree, also where an installed package is tested.
ROOT = Path(__file__).parents[2]
LIST = Path(__file__).with_name("messages.txt")
# Words that have to be read twice, and what a message never has.
BANNED = re.compile(
    r"\banew\b|\bmend(s|ed)?\b|in the midst|\bnone of\b|\bit is so\b|\bis not "
    r"ours\b|(?<!there )\bis no (?!longer)[a-z]"
    r"|the kernel's own, not|  |\bNone\b"
    # A round of ksmd over all mergeable memory is a full scan.
    r"|\b(a|one|this|the|per|next|second|ninth) pass\b|\d passes\b|\} passes\b(?! annotations)"
)


# Commands for root, also those that show less to others; {}: sudo or nothing, as is needed there.
OF_ROOT = re.compile(
    r"(?<!sudo )(?<!\{\})ksmrun (host (on|off|unmerge|set|max-map-count|restore|install)"
    r"|wrap (install|unit(?! --user)|quadlet)|layout rotate|attach|detach|explain|estimate|ps)\b"
)
# Those that are mentioned, or asked of whoever may be no root.
MENTIONED = re.compile(
    r"(ritten by|taken away by|another user's|watch) `ksmrun [^`]*`"
    r"|`ksmrun ps --watch 5`|`ksmrun wrap unit --help`|`ksmrun [^`]*` of the last"
)


def listed() -> str:
    lines = ["Made by: KSMRUN_RENEW=1 pytest unit/test_messages.py"]
    for file, messages in collected(ROOT).items():
        lines += ["", file, *(f"    {' ; '.join(parts)}" for parts in messages)]
    return "\n".join(lines) + "\n"


def test_the_list_is_whole() -> None:
    text = listed()
    if os.environ.get("KSMRUN_RENEW"):
        LIST.write_text(text)
    missing = set(text.split("\n")) ^ set(LIST.read_text().split("\n"))
    assert text == LIST.read_text(), (
        f"messages differ from {LIST.name}: {sorted(missing)[:10]}; read them as an operator who "
        "does not know the project would, then: KSMRUN_RENEW=1 pytest unit/test_messages.py"
    )


def test_commands_for_root_begin_with_sudo() -> None:
    for file in sorted((ROOT / "ksmrun").rglob("*.py")):
        if file.parent.name != "options":
            for text in literals(file):
                found = OF_ROOT.search(MENTIONED.sub("", text))
                assert found is None, f"{file.name}: {text!r} has no sudo"


def test_each_says_what_happened_and_what_to_do() -> None:
    for file, messages in collected(ROOT).items():
        for parts in messages:
            assert all(part.strip() for part in parts), f"{file}: {parts}: an empty part"
            for part in parts:
                assert not BANNED.search(part), f"{file}: {part!r}: {BANNED.search(part)}"
                is_line = len(parts) == 1 or part.endswith("...")
                assert is_line or not part.endswith("."), f"{file}: {part!r} ends with a full stop"


def test_no_string_stands_by_itself() -> None:
    """It would be the rest of a message, which a line end without parentheses cut off."""
    for file in sorted((ROOT / "ksmrun").rglob("*.py")):
        tree = ast.parse(file.read_text())
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        docstrings = {node.body[0] for node in ast.walk(tree) if isinstance(node, documented)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and node not in docstrings:
                assert not isinstance(node.value, ast.Constant | ast.JoinedStr), (
                    f"{file.name}:{node.lineno}"
                )
