"""Table of options, one item each.

Command line, environment variables, configuration keys, units, help, man pages and completion are
derived from it. Imports neither typer nor anything slow.
"""
