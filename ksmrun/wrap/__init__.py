"""Render the files that make services and containers merge: pure text."""
