"""Readers of sysfs, procfs and ELF files. A field that this kernel lacks is None, never 0."""
