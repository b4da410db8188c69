"""From YAML and the command line to objects: compose, check, build. The only users of Hydra."""
