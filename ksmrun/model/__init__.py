"""Frozen dataclasses that pass between the rooms of ksmrun, and its one error class.

Units are part of the names. What a kernel, a user or a container does not show is None, never 0.
"""
