"""The one error a user is meant to read.

RosettaError    bad input, said in one line: what, where, what to do
raised          what code of the user's own raised, in one line
did_you_mean    " (did you mean 'x'?)" for a misspelt name, or nothing
one_line        an error for the terminal: in one line, whatever names and paths are in it
"""

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path

__all__ = ["RosettaError", "did_you_mean", "one_line", "raised"]


class RosettaError(Exception):
    """Bad input. The message is one line; the command line prints it and exits with 2."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names up to three of `known` that look like `word`."""
    near = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(repr(name) for name in near)}?)" if near else ""


def raised(error: BaseException, source: Path | None = None) -> str:
    """What a user's code raised, in one line: its kind, its message and, in `source`, where."""
    message = " ".join(str(error).split())
    said = f"{type(error).__name__}: {message}" if message else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(source)]
    return f"{said} ({source.name}, line {lines[-1]})" if source and lines else said


def one_line(error: BaseException | str) -> str:
    """An error as one line for the terminal, with newlines and control characters escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in str(error)
    )
