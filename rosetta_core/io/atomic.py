"""Outputs that appear whole or not at all.

whole              a temporary path that is renamed to the real one when its block succeeds
remove             delete a file or a folder
keep_others        an error where a folder holds something else than what is to be replaced
manifest_of        where the manifest of a store lies
sha256_of          the checksum of a file
"""

import glob
import hashlib
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rosetta_core.errors import RosettaError

__all__ = ["atomic_path", "keep_others", "manifest_of", "remove", "sha256_of"]


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it on success, remove it on failure.

    Works for files and for folders; what stood at `path` before is replaced, and what killed
    processes of this machine left of it is removed. An error of the block gets a note of the path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = f".{path.name}.{platform.node()}"
    for left in path.parent.glob(f"{glob.escape(stem)}.*.part"):
        if not _alive(int(left.suffixes[-2][1:])):
            remove(left)
    temporary = path.with_name(f"{stem}.{os.getpid()}.part")
    try:
        yield temporary
        if temporary.is_dir():
            remove(path)
        temporary.replace(path)
    except Exception as error:  # that of a full disk doesn't name a file
        error.add_note(f"while writing {path}")
        raise
    finally:
        remove(temporary)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return process != os.getpid()


def remove(path: Path) -> None:
    """Delete a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def keep_others(folder: Path, holds: Callable[[set[str]], bool], *, what: str, verb: str) -> None:
    """RosettaError if something stands at a path that is no empty folder, and not to be replaced.

    Args:
        folder: that is to be written.
        holds: tells by the names in it whether it is an earlier one.
        what: it is, as "export of a run".
        verb: what was to be done into it, as "export".
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RosettaError(f"{folder}: is a file; {verb} into a folder of its own")
    found = {path.name for path in folder.iterdir()}
    if found and not holds(found):
        raise RosettaError(
            f"{folder}: is no {what} (it holds {min(found)!r}); {verb} into a folder of its own"
        )


def manifest_of(store: Path) -> Path:
    """Return the path of a store's manifest: the same name with the suffix .json."""
    return store.with_suffix(".json")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
