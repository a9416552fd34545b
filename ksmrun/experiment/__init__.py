"""A/B experiments: the same fleet in several arms, by turns, measured and saved."""
