"""Exploring to find out what exploitation needs."""
