"""Numbers that sum up the scores of several runs on one list of tasks, or compare two."""
