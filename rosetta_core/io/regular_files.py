"""Files and folders of runs by others: read only if regular, deleted only inside their run.

A link, a named pipe, a socket or a device in the place of a file is an error, so that a folder by
others neither redirects a reader nor lets it wait. Deletion opens every folder on the way from the
run without following links, and removes names relative to the opened folders, so a link that
appears in between is not followed either.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from rosetta_core.errors import RosettaError

__all__ = ["check_inside", "delete_inside", "open_regular", "read_regular"]

MAX_TEXT = 64 * 2**20  # bytes of a JSON file or another text
KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
# flags that Windows lacks are 0
READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
READ |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | os.O_RDONLY


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading, unbuffered.

    Raises:
        OSError: the path is missing, cannot be read, or is a link, a pipe, a socket, a device or a
            folder.
    """
    _check_regular(path, os.lstat(path).st_mode)
    descriptor = os.open(path, READ)
    try:
        _check_regular(path, os.fstat(descriptor).st_mode)  # the path may have changed since
        return os.fdopen(descriptor, "rb", buffering=0)
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, *, max_bytes: int = MAX_TEXT) -> bytes:
    """Return the content of a regular file.

    Raises:
        OSError: as in `open_regular`.
        ValueError: the file has more than `max_bytes` bytes.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise ValueError(f"{size:,} bytes are more than the limit of {max_bytes:,}")
        parts = []
        while part := file.read(max_bytes + 1):
            parts.append(part)
        return b"".join(parts)


def _check_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "not a file")
        raise OSError(errno.EINVAL, f"is {kind}, not a regular file", str(path))


def check_inside(run: Path, path: Path) -> None:
    """Check that a path lies inside a run, and that no link leads there.

    The folder of the run itself may be reached through links.

    Args:
        run: folder of the run.
        path: path below it, which need not exist.

    Raises:
        RosettaError: the path is outside the run, or a part of it is a link.
    """
    place = run
    for part in _parts_inside(run, path):
        place = place / part
        if place.is_symlink():
            raise _is_link(place, run)


def delete_inside(run: Path, paths: Iterable[Path]) -> None:
    """Delete regular files and folders of regular files inside a run; missing ones are left out.

    Every path is checked before the first is deleted.

    Args:
        run: folder of the run, which may be reached through links.
        paths: files and folders below it.

    Raises:
        RosettaError: a path is outside the run, a part of it is a link, or it contains anything
            but regular files and folders.
    """
    existing = []
    for path in paths:
        check_inside(run, path)
        if os.path.lexists(path):
            _check_content(path, run)
            existing.append(path)
    for path in existing:
        *folders, name = _parts_inside(run, path)
        descriptors = [os.open(run, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))]
        try:
            for folder in folders:
                descriptors.append(os.open(folder, FOLDER, dir_fd=descriptors[-1]))
            if stat.S_ISDIR(os.lstat(name, dir_fd=descriptors[-1]).st_mode):
                shutil.rmtree(name, dir_fd=descriptors[-1])
            else:
                os.unlink(name, dir_fd=descriptors[-1])
        finally:
            for descriptor in descriptors:
                os.close(descriptor)


def _parts_inside(run: Path, path: Path) -> tuple[str, ...]:
    """Return the parts of a path below a run; RosettaError if there are none, or one is `..`."""
    try:
        parts = path.relative_to(run).parts
    except ValueError:
        parts = ()
    if not parts or any(part == ".." or "\0" in part for part in parts):
        raise RosettaError(f"{path}: is outside of the run {run}; nothing there is changed")
    return parts


def _is_link(path: Path, run: Path) -> RosettaError:
    return RosettaError(
        f"{path}: is a link, and files are replaced and deleted only inside the run {run}; replace "
        "the link by what it links to, or remove it"
    )


def _check_content(path: Path, run: Path) -> None:
    """Check that a path is a regular file, or a folder of regular files and such folders."""
    mode = os.lstat(path).st_mode
    if not stat.S_ISDIR(mode):
        if stat.S_ISLNK(mode):
            raise _is_link(path, run)
        if not stat.S_ISREG(mode):
            kind = KINDS.get(stat.S_IFMT(mode), "not a file")
            raise RosettaError(f"{path}: is {kind}, not a regular file; delete it yourself")
        return
    with os.scandir(path) as entries:
        for entry in entries:
            _check_content(Path(entry.path), run)
