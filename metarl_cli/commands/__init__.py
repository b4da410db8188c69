"""One file per command: the only code that knows all parts."""
