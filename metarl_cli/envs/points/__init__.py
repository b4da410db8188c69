"""A point in the plane that looks for a goal."""
