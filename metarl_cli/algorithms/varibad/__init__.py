"""Acting on a belief about the task."""
