"""User errors: messages of one line, and suggestions for misspelt names."""

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path

__all__ = ["MAX_LINE", "RosettaError", "describe_exception", "did_you_mean", "one_line"]

MAX_LINE = 2000  # characters of an error or a line of a log


class RosettaError(ValueError):
    """Invalid input, as one line `where: what is wrong (value); what to do`.

    It is a ValueError. The command line prints the message and exits with 2.
    """


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" with up to three similar names of `known`, or nothing."""
    similar = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(repr(name) for name in similar)}?)" if similar else ""


def describe_exception(error: BaseException, source: Path | None = None) -> str:
    """Describe an exception of a user's code in one line.

    Args:
        error: the exception.
        source: the user's file, whose last line in the traceback is added.

    Returns:
        Type, message and place of the exception.
    """
    message = " ".join(str(error).split())
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(source)]
    return f"{text} ({source.name}, line {lines[-1]})" if source and lines else text


def one_line(error: BaseException | str, *, longest: int | None = None) -> str:
    """Return an error or another text in one line.

    Newlines, control characters, escape codes, invisible characters and marks that change the
    direction of writing are escaped.

    Args:
        error: error or text, which may contain text from outside.
        longest: number of characters from which on the middle is left out; None: no limit.
    """
    text = str(error)
    if longest is not None and len(text) > longest:
        text = f"{text[: 2 * longest // 3]} … {text[-longest // 3 :]}"
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )
