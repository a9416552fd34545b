"""A/B runs: the same fleet in several arms, by turns, measured and saved."""
