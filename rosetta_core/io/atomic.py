"""Atomic writes: files and folders that appear complete, or not at all.

An output is written to a temporary path in the same folder and renamed when it is complete.
"""

import errno
import glob
import hashlib
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rosetta_core.errors import RosettaError

__all__ = [
    "READ_ONLY",
    "atomic_path",
    "check_replaceable",
    "delete_path",
    "explain_read_only",
    "file_sha256",
    "manifest_path",
]

PROCESS = re.compile("[1-9][0-9]{0,8}")  # number in the name of a temporary path
READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)  # errors of folders that cannot be written


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path; rename it to `path` on success, delete it on failure.

    Works for files and for folders, and replaces an existing file or folder. Temporary paths that
    killed processes of this machine left behind are deleted. An exception of the block gets a note
    with the path.

    Args:
        path: the final path; its parent folder is created.

    Yields:
        A path in the same folder, which does not exist yet.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = f".{path.name}.{platform.node()}"
    for leftover in path.parent.glob(f"{glob.escape(stem)}.*.part"):
        process = leftover.name.removeprefix(f"{stem}.").removesuffix(".part")
        if PROCESS.fullmatch(process) and not _is_running(int(process)):
            delete_path(leftover)
    temporary = path.with_name(f"{stem}.{os.getpid()}.part")
    try:
        yield temporary
        if temporary.is_dir():
            delete_path(path)
        temporary.replace(path)
    except Exception as error:  # the error of a full disk does not name a file
        error.add_note(f"while writing {path}")
        raise
    finally:
        delete_path(temporary)


def _is_running(process: int) -> bool:
    """Return whether another process of this machine has the given id."""
    if os.name == "nt":  # os.kill would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another user
        return True
    return process != os.getpid()


def delete_path(path: Path) -> None:
    """Delete a file or a folder with its content; do nothing if it does not exist."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def check_replaceable(
    folder: Path, is_earlier: Callable[[set[str]], bool], *, what: str, verb: str
) -> None:
    """Raise an error unless a folder is missing, empty, or an earlier output of the same kind.

    Args:
        folder: folder that is to be written.
        is_earlier: returns whether names in a folder are those of an earlier output.
        what: name of the output, for example "export of a run".
        verb: verb that writes it, for example "export".

    Raises:
        RosettaError: the path is a file, or a folder with other content.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise RosettaError(f"{folder}: is a file; {verb} into a folder of its own")
    names = {path.name for path in folder.iterdir()}
    if names and not is_earlier(names):
        raise RosettaError(
            f"{folder}: not an earlier {what} (it contains {min(names)!r}); {verb} into a folder "
            "of its own"
        )


@contextmanager
def explain_read_only(path: Path, *, cure: str) -> Iterator[None]:
    """Turn the error of a folder that cannot be written into one line.

    Args:
        path: file or folder that the block writes.
        cure: what to do, for example "use --to".

    Raises:
        RosettaError: the block could not write, because a folder is read-only.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        raise RosettaError(f"{path}: cannot be written ({error.strerror}); {cure}") from error


def manifest_path(store: Path) -> Path:
    """Return the path of a store's manifest: the same name with the suffix .json."""
    return store.with_suffix(".json")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
