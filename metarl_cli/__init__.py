"""metarl: meta-reinforcement learning from the command line."""

import os

# Idle OpenMP threads must sleep, not spin: they would take the cores from the physics threads (and
# from any other program). On a calm machine not at once, though: small networks pay a wake-up for
# every operation, and learn at little more than half the speed. Where others use the same cores,
# a short spin costs more than it gains (docs/speed.md has both). Read once, when torch is first
# imported; whoever has set the policy knows better. Results do not depend on it.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    if os.getloadavg()[0] < (os.cpu_count() or 1) / 2:
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
