"""Grid worlds: hidden goals, bus lines, a kitchen."""
