"""Bandits and random tabular MDPs."""
