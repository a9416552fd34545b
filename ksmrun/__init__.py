"""Start unmodified programs so that KSM merges their equal pages, and measure what that saves.

ksmrun plans, ksmrun-exec performs, ksmd merges.
"""

__version__ = "0.1.0"
