"""What many runs say together: numbers, tables, pictures and a page."""
