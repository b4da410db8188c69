"""Numbers that sum up the scores of several runs on one list of tasks; pure NumPy."""
