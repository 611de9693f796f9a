"""Small texts that save time: kept next to shared files or, if that folder is read-only, elsewhere.

A text is stored under a name that contains a hash of everything it depends on. Losing it costs time
and nothing else, so a folder that cannot be written is not an error: the text goes to the user's
cache (`$XDG_CACHE_HOME/rosetta`, by default `~/.cache/rosetta`) or, if that is read-only too, is
not kept.
"""

import errno
import os
from pathlib import Path

from rosetta_core.io.atomic import atomic_path

__all__ = ["READ_ONLY", "read_cached", "write_cached"]

READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)


def read_cached(path: Path) -> str | None:
    """Return the text stored under a path or in the user's cache; None if there is none."""
    for place in _places(path):
        try:
            return place.read_text(encoding="utf-8")
        except OSError:
            continue
    return None


def write_cached(path: Path, text: str) -> None:
    """Store a text under a path, in the user's cache if that is read-only, or not at all.

    Raises:
        OSError: the disk is full or damaged.
    """
    for place in _places(path):
        try:
            with atomic_path(place) as temporary:
                temporary.write_text(text, encoding="utf-8")
            return
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise


def _places(path: Path) -> list[Path]:
    """Return the path, and the path in the user's cache, which repeats its last folder."""
    try:
        home = Path.home()
    except RuntimeError:  # a user without a home
        return [path]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return [path, cache / "rosetta" / path.parent.name / path.name]
