"""What the command line says: explanations of settings, and what should have been typed."""
