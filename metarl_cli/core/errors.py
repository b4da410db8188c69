"""Errors with a meaning for the user; the command line turns each into one line."""


class UserError(Exception):
    """The request is wrong (configuration, path, checkpoint): exit code 2."""


class RunError(Exception):
    """The request is right but the run failed (non-finite numbers, disk full): exit code 1."""


class NonFiniteError(RunError):
    """A NaN or infinity in an observation, reward, loss, gradient or parameter."""
