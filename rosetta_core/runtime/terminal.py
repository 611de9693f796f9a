"""Words that must not be missed in a terminal.

red               text in red, where a person reads it
NOTHING_LEARNED   what is said of random weights wherever they show
"""

import os
from typing import TextIO

__all__ = ["NOTHING_LEARNED", "red"]

NOTHING_LEARNED = "random weights: nothing here was learned"


def red(text: str, stream: TextIO) -> str:
    """Return text in red if `stream` is a terminal that shows colours (NO_COLOR is unset)."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain or not stream.isatty() else f"\x1b[1;31m{text}\x1b[0m"
