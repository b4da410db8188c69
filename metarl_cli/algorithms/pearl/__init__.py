"""Off-policy meta-learning with a probabilistic context."""
