"""Statistics, tables and pictures from saved results. Reads nothing but saved files."""
