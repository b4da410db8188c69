"""metarl: meta-reinforcement learning from the command line."""

import os

# Idle OpenMP threads must sleep, not spin: they would take the cores from the physics threads (and
# from any other program). Read once, when torch is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
