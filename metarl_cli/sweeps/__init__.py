"""Many runs at once: side by side on one machine, watched together, summed up at the end."""
