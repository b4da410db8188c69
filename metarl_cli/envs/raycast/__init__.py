"""First-person pictures of small worlds, on the CPU."""
