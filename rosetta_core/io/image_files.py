"""Image files of a folder: listing with the files that are left out, and a check of all of them.

Links to folders are followed. A file that is left out is counted with its reason, so that no part
of a data set disappears unnoticed.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rosetta_core.errors import RosettaError
from rosetta_core.io.checked_files import check_once
from rosetta_core.io.images import HEIF_SUFFIXES, has_frames, image_suffixes, read_image
from rosetta_core.runtime.code_fingerprint import code_fingerprint
from rosetta_core.runtime.progress import log

__all__ = ["ImageFolder", "check_images", "list_images"]

MAX_KINDS = 8  # kinds of files that are left out, named in one line
MAX_NAMED = 3  # files named in one line


@dataclass(frozen=True)
class ImageFolder:
    """Content of a folder of images.

    Attributes:
        folder: the folder.
        images: its image files, sorted by path.
        left_out: number of files and folders that are left out, by reason.
        repeated: folders whose content is listed a second time, under another path; and links to
            files that are listed too.
    """

    folder: Path
    images: list[Path] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    repeated: list[Path] = field(default_factory=list)

    def notes(self, used: int | None = None) -> list[str]:
        """Return a line about each kind of files that a run does not read, or reads twice.

        Args:
            used: number of images that are read, the first ones; None: all.
        """
        lines = []
        if self.left_out:
            lines.append(f"{self.folder}: left out: {self.describe_left_out()}")
        if used is not None and used < len(self.images):
            lines.append(
                f"{self.folder}: the first {used:,} of {len(self.images):,} images are used, in "
                "path order"
            )
        if self.repeated:
            lines.append(
                f"{self.folder}: images are listed twice, because links lead to files or folders "
                f"that are listed too: {_name_some(self.repeated)}"
            )
        return lines

    def describe_left_out(self) -> str:
        """Return what is left out, for example "3 × suffix .txt, 1 × hidden file"."""
        kinds = self.left_out.most_common()
        parts = [f"{count:,} × {reason}" for reason, count in kinds[:MAX_KINDS]]
        if others := sum(count for _, count in kinds[MAX_KINDS:]):
            parts.append(f"{others:,} × other reasons")
        return ", ".join(parts)


def list_images(folder: Path, *, key: str = "sampling.folder") -> ImageFolder:
    """List the image files in a folder and its subfolders; links to folders are followed.

    Left out are hidden files and folders, dangling links, and files without the suffix of an image.

    Args:
        folder: folder to list.
        key: configuration key that an error names.

    Raises:
        RosettaError: the folder does not exist, cannot be read, contains no image, is linked from
            within itself, or has an image whose name is not UTF-8.
    """
    content = ImageFolder(folder)
    try:
        if not folder.is_dir():
            raise RosettaError(f"{key}: there is no folder {folder}; correct the path")
        for path in _walk(folder, content, {_identity(folder): folder}, ancestors=frozenset()):
            if reason := _reason_to_omit(path):
                content.left_out[reason] += 1
            else:
                _check_name(path)
                content.images.append(path)
        content.images.sort()
        content.repeated.extend(_repeated_files(content.images))
    except OSError as error:  # in a folder whose files may be listed but not read, or behind a link
        raise RosettaError(
            f"{_printable(Path(error.filename or folder))}: cannot be read ({error.strerror}); "
            "make it and its folder readable, or move it elsewhere"
        ) from error
    if not content.images:
        left_out = content.describe_left_out()
        state = f" (left out: {left_out})" if left_out else ""
        raise RosettaError(
            f"{key}: there is no image in {folder}{state}; give a folder with PNG, JPEG or other "
            "image files"
        )
    return content


def _walk(
    folder: Path,
    content: ImageFolder,
    seen: dict[tuple[int, int], Path],
    *,
    ancestors: frozenset[tuple[int, int]],
) -> Iterator[Path]:
    """Yield the files below a folder, and links that lead nowhere.

    Args:
        folder: folder to walk.
        content: counts hidden files and folders, and names repeated folders.
        seen: folders that were visited, by device and inode.
        ancestors: the folders on the way to this one, to notice loops.
    """
    ancestors |= {_identity(folder)}
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise RosettaError(
            f"{_printable(folder)}: cannot be read ({error.strerror}); make the folder readable, "
            "or move it elsewhere"
        ) from error
    for path in entries:
        if path.name.startswith("."):
            content.left_out["hidden folder" if path.is_dir() else "hidden file"] += 1
        elif path.is_dir():
            identity = _identity(path)
            if identity in ancestors:
                raise RosettaError(
                    f"{_printable(path)}: links to a folder that contains it; remove the link"
                )
            if seen.setdefault(identity, path) != path:
                content.repeated.append(path)
            yield from _walk(path, content, seen, ancestors=ancestors)
        else:
            yield path


def _repeated_files(images: Sequence[Path]) -> list[Path]:
    """Return the links among files that lead to a file that is listed already, or directly."""
    links = [path for path in images if path.is_symlink()]
    seen = {_identity(path) for path in images if not path.is_symlink()} if links else set()
    repeated = []
    for path in links:
        identity = _identity(path)
        if identity in seen:
            repeated.append(path)
        seen.add(identity)
    return repeated


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _reason_to_omit(path: Path) -> str:
    """Return why a file is not an image, for example "dangling link"; empty if it may be one."""
    if not path.exists():
        return "dangling link"
    if not path.is_file():
        return "device, pipe or socket"
    suffix = path.suffix.lower()
    if suffix in image_suffixes():
        return ""
    if suffix in HEIF_SUFFIXES:
        return f"suffix {suffix} (to read it: pip install 'rosetta-core[heic]')"
    return f"suffix {_printable(Path(suffix))}" if suffix else "no suffix"


def _check_name(path: Path) -> None:
    """Refuse a name that is not UTF-8: tables, pages and JSON files cannot contain it."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        encoding = sys.getfilesystemencoding()
        cure = "rename the file or its folder"
        if encoding.lower().replace("-", "") != "utf8":
            cure = f"the locale's encoding is {encoding}: set PYTHONUTF8=1"
        raise RosettaError(f"{_printable(path)}: the name is not UTF-8; {cure}") from error


def _name_some(files: Sequence[Path]) -> str:
    names = ", ".join(map(_printable, files[:MAX_NAMED]))
    return f"{names} and {len(files) - MAX_NAMED:,} more" if len(files) > MAX_NAMED else names


def _printable(path: Path) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def check_images(
    files: Sequence[Path],
    cache: Path,
    *,
    bit_depth: int | None = None,
    max_pixels: int | None = None,
) -> None:
    """Check before a run that all image files can be read.

    The check takes about as long as reading the images in the run, so its result is recorded:
    unchanged files (by size and time of modification) are not read again. Files with several frames
    or pages are logged, since only the first one is read.

    Args:
        files: image files.
        cache: folder of the records of earlier checks; it may be read-only.
        bit_depth: as in `read_image`.
        max_pixels: as in `read_image`.

    Raises:
        RosettaError: a file cannot be read; the first of them is named.
    """
    frames = check_once(
        files,
        partial(_files_with_frames, files, bit_depth, max_pixels),
        key=[bit_depth, max_pixels, code_fingerprint(__name__)],
        cache=cache,
    )
    if frames:
        log.warning(
            "%d of %d images have several frames or pages, of which the first is read: %s",
            len(frames),
            len(files),
            _name_some([files[number] for number in frames]),
        )


def _files_with_frames(
    files: Sequence[Path], bit_depth: int | None, max_pixels: int | None
) -> list[int]:
    """Read all files; return the numbers of those with several frames or pages."""

    def check(file: Path) -> bool:
        read_image(file, bit_depth=bit_depth, max_pixels=max_pixels)
        return has_frames(file, max_pixels=max_pixels)

    threads = ThreadPoolExecutor(os.cpu_count())
    try:
        return [number for number, several in enumerate(threads.map(check, files)) if several]
    finally:
        threads.shutdown(cancel_futures=True)  # after an error or Ctrl-C
