"""metarl: meta-reinforcement learning from the command line."""
