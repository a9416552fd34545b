"""Parts of `ksmrun ab`."""

from ksmrun.commands.ab.command import register

__all__ = ["register"]
