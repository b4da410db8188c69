"""A room with a sign to be read."""
