"""Samples of processes and of the host, and the test of whether merging has converged."""
