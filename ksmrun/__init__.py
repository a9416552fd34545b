"""ksmrun plans, ksmrun-exec performs, ksmd merges, ksmrun proves."""

__version__ = "0.1.0"
