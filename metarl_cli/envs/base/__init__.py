"""What all environments share: families of tasks, batches, randomness, plain drawing."""
