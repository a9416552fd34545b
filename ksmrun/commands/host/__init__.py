"""Parts of `ksmrun host`."""

from ksmrun.commands.host.command import register

__all__ = ["register"]
