"""What every room opens, writes and shows by: nothing of somebody else's is believed here."""
