"""Stores of experience: preallocated tensors, sampled without copies of the rest."""
