"""The one error a user is meant to read.

RosettaError    bad input, said in one line: what, where, what to do
did_you_mean    " (did you mean 'x'?)" for a misspelt name, or nothing
"""

import difflib
from collections.abc import Iterable

__all__ = ["RosettaError", "did_you_mean"]


class RosettaError(Exception):
    """Bad input. The message is one line; the command line prints it and exits with 2."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names up to three of `known` that look like `word`."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(repr(name) for name in near)}?)" if near else ""
