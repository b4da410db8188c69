"""Commands that draw: curves of runs, films of agents, pictures of environments."""
