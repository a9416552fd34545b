"""Parts of `ksmrun top`."""

from ksmrun.commands.top.command import register

__all__ = ["register"]
