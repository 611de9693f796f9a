"""Small texts that save time: kept next to shared files or, if that folder is read-only, elsewhere.

A text is stored under a name that contains a hash of everything it depends on. Losing it costs time
and nothing else, so a folder that cannot be written is not an error: the text goes to the user's
cache (`$XDG_CACHE_HOME/rosetta`, by default `~/.cache/rosetta`) or, if that is read-only too, is
not kept.
"""

import os
from pathlib import Path

from rosetta_core.io.atomic import READ_ONLY, atomic_path

__all__ = ["can_be_written", "read_cached", "user_cache", "write_cached"]


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
    cache = user_cache()
    return [path, *([cache / "rosetta" / path.parent.name / path.name] if cache else [])]


def user_cache() -> Path | None:
    """Return the folder of the user's caches; None for a user without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        return None


def can_be_written(folder: Path) -> bool:
    """Return whether a folder can be written or, if it does not exist, created."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK)
