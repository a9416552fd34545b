"""All manual pages, made of the table of options."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from ksmrun.options.command import HELP, HELP_TEXT, Command
from ksmrun.options.item import Item, items
from ksmrun.options.launch import RUN, RunOptions
from ksmrun.options.monitor import DEFAULT_FILE, TABLE, MonitorKeys
from ksmrun.options.native import EXEC_OPTIONS, OCI_ANNOTATIONS, OCI_OPTIONS
from ksmrun.options.page import Lines, Page, Terms
from ksmrun.options.show import names_of, sentences_of
from ksmrun.options.table import leaves, top
from ksmrun.options.texts import page_of, texts

# Words for `ksmrun help` beside commands and texts, and the names of their pages.
TOPICS = {
    "overview": "ksmrun(7)",
    "environment": "ksmrun-files-and-environment(7)",
    "files": "ksmrun-files-and-environment(7)",
    "configuration": "ksmrun.toml(5)",
    "exec": "ksmrun-exec(1)",
    "oci": "ksmrun-oci(8)",
}
FILES = (
    (str(DEFAULT_FILE), "Configuration of `ksmrun monitor`; see ksmrun.toml(5)."),
    ("/etc/ksmrun/oci.json", "What containers may ask of ksmrun-oci(8)."),
    ("/etc/ksmrun/trust.toml", "Trust domains; see ksmrun-trust(7)."),
    (
        "/usr/libexec/ksmrun, /usr/local/libexec/ksmrun",
        "Launcher and shims for services and containers: a package's, or those of "
        "`ksmrun wrap install`.",
    ),
    ("/var/lib/ksmrun", "Records of what was changed on this host; `ksmrun host restore`."),
    ("/run/ksmrun/layout", "Secret keys of shared layouts. A reboot removes them."),
)
VARIABLES = (
    ("KSMRUN_STATE_DIR", "Folder in place of /var/lib/ksmrun."),
    ("KSMRUN_LAYOUT_DIR", "Folder in place of /run/ksmrun/layout, with mode 0700."),
    ("KSMRUN_OCI_RUNTIME", "Runtime that ksmrun-oci(8) runs, in place of runc or crun."),
    ("KSMRUN_OCI_CONFIG", "File in place of /etc/ksmrun/oci.json."),
    ("COLUMNS", "Width of help and tables."),
)


def pages() -> tuple[Page, ...]:
    """Return all pages, that of ksmrun first."""
    found = texts()
    commands = {each.words: each for each in (top(), *top().commands, *leaves())}
    made = (of_command(each, found) for each in commands.values())
    topics = (page_of(*each) for each in found.items())
    return (*made, _exec(), _oci(), _toml(), _overview(found), *topics)


def page_name(command: Command) -> str:
    """Return the name of a command's page: ksmrun-wrap-unit."""
    return "-".join(("ksmrun", *command.words))


def of_command(command: Command, topics: Collection[str]) -> Page:
    """Return the page of a command, which names that of a topic of the same name."""
    with_variable = command.reads_variables
    sections: list[tuple[str, tuple[str | Terms | Lines, ...]]] = [
        ("SYNOPSIS", (Lines((command.usage,)),)),
        ("DESCRIPTION", (f"{command.summary}.", *command.text)),
    ]
    inner = tuple((page_name(each) + "(1)", f"{each.summary}.") for each in command.commands)
    for heading, rows in (
        ("COMMANDS", inner),
        ("ARGUMENTS", _rows(command.arguments, with_variable)),
        ("OPTIONS", (*_rows(command.flags, with_variable), (", ".join(HELP), HELP_TEXT))),
        ("EXIT STATUS", command.all_exit_codes),
        ("ENVIRONMENT", tuple(_variables(command.options)) if with_variable else ()),
    ):
        if rows:
            sections.append((heading, (Terms(tuple(rows)),)))
    blocks: list[str | Terms | Lines] = []
    for what, line in command.examples:
        blocks += [f"{what}:", Lines((line,))]
    sections.append(("EXAMPLES", tuple(blocks)))
    above = (
        [page_name(top()) + "(1)"] if len(command.words) < 2 else [f"ksmrun-{command.words[0]}(1)"]
    )
    also = ["ksmrun(7)"] if not command.words else [*above, "ksmrun(7)"]
    if command.name in topics:
        also.append(f"ksmrun-{command.name}(7)")
    sections.append(("SEE ALSO", (", ".join(also),)))
    return Page(page_name(command), 1, _lower(command.summary), tuple(sections))


def _lower(text: str) -> str:
    """Return a summary as whatis(1) has them."""
    return text[0].lower() + text[1:]


def _rows(found: Iterable[Item], with_variable: bool) -> tuple[tuple[str, str], ...]:
    return tuple(
        (names_of(each), sentences_of(each, with_variable=with_variable)) for each in found
    )


def _variables(table: type) -> Iterator[tuple[str, str]]:
    for item in items(table):
        if item.variable:
            yield item.variable, f"Default of {item.name}."


def _exec() -> Page:
    return Page(
        "ksmrun-exec",
        1,
        "start a program with its memory merged, without Python",
        (
            ("SYNOPSIS", (Lines(("ksmrun-exec [OPTIONS] [--] COMMAND [ARG...]",)),)),
            (
                "DESCRIPTION",
                (
                    "The launcher that ksmrun-run(1), services and containers execute: a static "
                    "program that sets up merging and becomes COMMAND, with the same PID. "
                    "`ksmrun run --dry-run` prints its command line.",
                ),
            ),
            ("OPTIONS", (Terms(EXEC_OPTIONS),)),
            ("EXIT STATUS", (Terms(RUN.exit_codes),)),
            (
                "EXAMPLES",
                ("See whether the flag arrives:", Lines(("ksmrun-exec --verify -- sleep 1",))),
            ),
            ("SEE ALSO", ("ksmrun-run(1), ksmrun(7)",)),
        ),
    )


def _oci() -> Page:
    return Page(
        "ksmrun-oci",
        8,
        "OCI runtime that starts containers with their memory merged",
        (
            ("SYNOPSIS", (Lines(("ksmrun-oci [--ksmrun-OPTION...] WORD...",)),)),
            (
                "DESCRIPTION",
                (
                    "A runtime for podman --runtime, dockerd --add-runtime, containerd and CRI-O. "
                    "It hands its words to runc or crun, and puts ksmrun-exec(1) before the "
                    "program of a container that is created or entered. Where it cannot, the "
                    "container starts as it is, with one line in the log.",
                    "`ksmrun wrap runtime ENGINE` prints the configuration of an engine.",
                ),
            ),
            ("OPTIONS", (Terms(OCI_OPTIONS),)),
            ("ANNOTATIONS", (Terms(OCI_ANNOTATIONS),)),
            ("FILES", (Terms((("/etc/ksmrun/oci.json", "What containers may ask for."),)),)),
            ("EXAMPLES", (Lines(("ksmrun wrap runtime docker",)),)),
            ("SEE ALSO", ("ksmrun-wrap-runtime(1), ksmrun-exec(1), ksmrun(7)",)),
        ),
    )


def _toml() -> Page:
    rows = tuple(
        (f"{item.key} = {item.value_word or 'true|false'}", sentences_of(item, with_variable=False))
        for item in items(MonitorKeys)
    )
    return Page(
        "ksmrun.toml",
        5,
        "configuration of ksmrun monitor",
        (
            ("SYNOPSIS", (str(DEFAULT_FILE),)),
            (
                "DESCRIPTION",
                (
                    f"A file in TOML. Its keys, below [{TABLE}], are the options of "
                    "ksmrun-monitor(1), which override them. Texts, and shares and times with a "
                    'unit, are in quotes: map_reserve = "20%", interval = "1m". SIGHUP reads the '
                    "file again. It has to belong to root or to the user of the monitor, and may "
                    "not be writable by others, as it names commands.",
                ),
            ),
            ("KEYS", (Terms(rows),)),
            (
                "EXAMPLES",
                (
                    Lines(
                        (
                            f"[{TABLE}]",
                            'listen = "127.0.0.1:9739"',
                            "auto = true",
                            'max_cpu = "50%"',
                        )
                    ),
                ),
            ),
            ("SEE ALSO", ("ksmrun-monitor(1), ksmrun(7)",)),
        ),
    )


def _overview(topics: Iterable[str]) -> Page:
    others = ("ksmrun-exec(1)", "ksmrun-oci(8)", "ksmrun.toml(5)")
    of_topics = (f"ksmrun-{topic}(7)" for topic in topics)
    return Page(
        "ksmrun",
        7,
        "run programs so that Linux keeps equal pages of their memory once",
        (
            (
                "DESCRIPTION",
                (
                    "Linux can keep equal pages of memory once (Kernel Samepage Merging, KSM), but "
                    "only of programs that ask for it. ksmrun starts unmodified programs so that "
                    "their memory merges, switches and tunes KSM, and measures what that saves.",
                    "A page merges in the second full scan of ksmd after it last changed. Merging "
                    "is worth it where many copies of a program hold the same data, and not across "
                    "trust domains: whoever shares a page can find out by timing a write that "
                    "somebody else holds the same bytes.",
                ),
            ),
            ("EXIT STATUS", ("Of ksmrun-run(1) and ksmrun-exec(1):", Terms(RUN.exit_codes))),
            ("ENVIRONMENT", (Terms((*_variables(RunOptions), *VARIABLES)),)),
            ("FILES", (Terms(FILES),)),
            (
                "EXAMPLES",
                (
                    "Switch KSM on, and start a program:",
                    Lines(("sudo ksmrun host on", "ksmrun run --verify -- sleep 1")),
                ),
            ),
            ("SEE ALSO", (", ".join(("ksmrun(1)", *others, *of_topics)),)),
        ),
    )
