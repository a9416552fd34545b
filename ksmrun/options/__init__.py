"""The table of options: one item each, from which command line, variables, configuration keys,
units, help, man pages and completion come. Imports neither typer nor anything slow.
"""
