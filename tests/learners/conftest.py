from helpers import one_thread

__all__ = ["one_thread"]  # for all tests of this folder
