"""Version of a Java installation, from its release file; nothing is started."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from ksmrun.model.runtime import Runtime
from ksmrun.support.foreign import read_text, resolved

# Java 8 has its programs in jre/bin as well.
RELEASE_PLACES = ("release", "../release")
RELEASE_BYTES_MAX = 64 << 10
ARCHIVES = ("lib/server/classes.jsa", "lib/amd64/server/classes.jsa")
LINE = re.compile(r'^(JAVA_VERSION|JVM_VARIANT)="([\w.+-]{1,64})"\s*$', re.MULTILINE)


def with_release(runtime: Runtime, program: Path) -> Runtime:
    """Return the runtime with what the installation that this program belongs to says."""
    home = Path(resolved(program)).parent.parent
    for place in RELEASE_PLACES:
        text = read_text(home / place, RELEASE_BYTES_MAX)
        found = dict(LINE.findall(text or ""))
        if "JAVA_VERSION" in found:
            return replace(
                runtime,
                version=found["JAVA_VERSION"],
                variant=found.get("JVM_VARIANT", "").lower() or None,
                has_archive=any((home / archive).is_file() for archive in ARCHIVES),
            )
    return runtime
