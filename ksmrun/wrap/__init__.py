"""Renders the files that put merging around services and containers: pure text."""
