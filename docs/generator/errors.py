"""What is wrong with a page."""

from __future__ import annotations


class PageError(Exception):
    """A page asks for something that is not there."""
