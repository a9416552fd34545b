"""Security domains of processes: SELinux contexts, AppArmor profiles."""

from __future__ import annotations

from pathlib import Path

from ksmrun.facts.text import read_text


def selinux_enabled(root: Path = Path("/")) -> bool:
    """Return whether SELinux is on (selinuxfs exists), in enforcing or permissive mode."""
    return (root / "sys/fs/selinux/enforce").exists()


def domain_of(pid: int, root: Path = Path("/")) -> str | None:
    """Return the process's context or profile (proc(5): attr/current); None without any."""
    text = read_text(root / f"proc/{pid}/attr/current")
    return None if text is None else text.rstrip("\0\n") or None
