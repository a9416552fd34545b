"""Language runtime of a program, and variables from which runtimes take flags."""

from __future__ import annotations

from ksmrun.model.frozen import dataclass

JAVA = "OpenJDK"
MONO = "Mono"
NODE = "Node.js"
NODE_APPLICATION = "single executable application"
# A start script: the program that it starts is what counts.
SHELL = "shell"
HOTSPOT = "hotspot"


@dataclass(frozen=True)
class Runtime:
    """Runtime: its name, as plan/runtimes.py knows it, and the evidence for it.

    is_inside: the program is another one that embeds this interpreter. version, variant: of Java,
    as its release file gives them; None if it does not. Of Node, variant may be NODE_APPLICATION.
    has_archive: Java's own classes are there in the form that copies share (CDS).
    """

    name: str
    evidence: str
    is_inside: bool = False
    version: str | None = None
    variant: str | None = None
    has_archive: bool | None = None

    @property
    def major(self) -> int | None:
        """Major version: 17 of 17.0.15, 8 of 1.8.0_402."""
        parts = (self.version or "").replace("_", ".").replace("+", ".").split(".")
        number = parts[1] if parts[0] == "1" and len(parts) > 1 else parts[0].split("-")[0]
        return int(number) if number.isdecimal() and len(number) < 4 else None


@dataclass(frozen=True)
class Variable:
    """Variable that a launch adds. An environment that has it keeps its value.

    is_prepended: the text, which then ends with a separator, goes before that value.
    """

    name: str
    text: str
    is_prepended: bool = False


@dataclass(frozen=True)
class RuntimeVariables:
    """Variables to add, and a sentence about them; None if no flags were asked for."""

    variables: tuple[Variable, ...] = ()
    said: str | None = None
