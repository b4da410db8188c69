"""A maze whose grey box tells which of two others is the goal."""
