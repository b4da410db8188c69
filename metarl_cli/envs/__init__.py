"""Environments: families of tasks by what they are made of, and adapters to gymnasium."""
