"""Program that is started through its loader: `ld-musl-x86_64.so.1 -- ./server`."""

from __future__ import annotations

from collections.abc import Sequence

# Without PT_INTERP these are loaders; musl's is its libc.so too.
MUSL_NAMES = ("ld-musl", "libc.so")
NAMES = ("ld-linux", "ld64.so", "ld.so", "ld-2.", *MUSL_NAMES)
# glibc: elf/rtld.c (dl_main); musl: ldso/dynlink.c (__dls3), which also takes NAME=VALUE.
WITH_VALUE = (
    *(b"--library-path", b"--inhibit-rpath", b"--audit", b"--preload", b"--argv0"),
    *(b"--glibc-hwcaps-prepend", b"--glibc-hwcaps-mask"),
)


def is_loader(*names: str) -> bool:
    """Return whether one of a file's names is a loader's."""
    return any(name.rsplit("/", 1)[-1].startswith(NAMES) for name in names)


def is_musl(*names: str) -> bool:
    """Return whether one of a loader's names is musl's."""
    return any(name.rsplit("/", 1)[-1].startswith(MUSL_NAMES) for name in names)


def program_of(words: Sequence[bytes]) -> bytes | None:
    """Return the program in a loader's command line; None if it names none.

    words: the command line, from the loader's own name on.
    """
    rest = iter(words[1:])
    for word in rest:
        if word == b"--":
            return next(rest, None)
        if not word.startswith(b"--"):
            return word
        if word in WITH_VALUE:
            next(rest, None)
    return None
