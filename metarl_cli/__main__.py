"""`python -m metarl_cli` is `metarl`, for launchers such as torchrun."""

from metarl_cli.cli import run

if __name__ == "__main__":
    run()
