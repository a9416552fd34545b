"""Samples of processes and of the host, and when merging has settled."""
