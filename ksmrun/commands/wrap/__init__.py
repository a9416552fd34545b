"""Parts of `ksmrun wrap`."""

from ksmrun.commands.wrap.command import register

__all__ = ["register"]
