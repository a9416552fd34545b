"""From saved results to answers: statistics, tables, pictures. Reads nothing but saved files."""
