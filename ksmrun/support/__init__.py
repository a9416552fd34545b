"""Readers, writers and escapes that every room uses for data that others control."""
