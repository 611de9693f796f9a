"""Images from folders, files, archives, tables, arrays and data sets."""

import glob
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from rosetta_core.api.arguments import whole_number
from rosetta_core.api.images.hub_datasets import hub_stream, is_hub_dataset
from rosetta_core.api.images.image_set import ImageSet, number_labels
from rosetta_core.api.images.parquet import parquet_stream
from rosetta_core.api.images.pixels import SIZE, decode, resized, to_bytes
from rosetta_core.api.images.rows import row_stream
from rosetta_core.api.images.stream import ImageStream, Reading, StreamedImage
from rosetta_core.api.images.tars import TAR_SUFFIXES, tar_stream
from rosetta_core.errors import RosettaError
from rosetta_core.io.image_files import list_images
from rosetta_core.mining.sampling.samples import UNCONDITIONAL
from rosetta_core.runtime.progress import log

__all__ = ["images", "open_stream"]

MAX_SIDE = 8192  # of images, in pixels
MAX_FILES = 100_000  # that a pattern names
PATTERN = re.compile(r"[{*?\[]")
BRACES = re.compile(r"\{([^{}]*)\}")
NUMBERS = re.compile(r"([0-9]{1,9})\.\.([0-9]{1,9})")


def images(
    source: Any,
    *,
    size: int | None = None,
    count: int | None = None,
    column: str | None = None,
    bit_depth: int | None = None,
) -> ImageSet:
    """Read images from where they are, with their labels if they have any.

    Encoded images (files, members of archives, bytes in tables) and PIL images are cropped to their
    central square and resized.

    Args:
        source: a folder; image files, WebDataset archives (.tar, .tar.gz) or Parquet files, as a
            path, a list, or a pattern such as "shards/train-{000..012}.tar" or "*.parquet"; an
            array (n, h, w, 3) uint8 or floats in 0..1; a tensor (n, 3, h, w) uint8 or floats in
            0..1; a data set of Hugging Face `datasets`, streaming or not; or any data set or loader
            that yields images (PIL, array or tensor), pairs of image and label, or rows with a
            column of images.
        size: side of the images in pixels; None: 256 for encoded and PIL images, otherwise
            unchanged.
        count: number of images to read, the first ones; None: all.
        column: column of images in rows, or their suffix in archives; None: found by its type or,
            in rows, by its name (image, img, jpg, jpeg, png or webp).
        bit_depth: bits of the values in 16-bit files.

    Raises:
        RosettaError: there are no images or fewer than `count`, they differ in size, or their
            pixels are not in 0..1 or 0..255; or an archive has a member that is not safe.
    """
    if count is not None:
        whole_number("count", count)
    stream = open_stream(
        source, size=size, count=count, column=column, bit_depth=bit_depth, encoded_size=SIZE
    )
    if isinstance(source, ImageSet):
        return _part(source, stream, size, count)
    read = list(stream.read(count))
    labels, label_names = number_labels([image.label for image in read], stream.label_names)
    names = tuple(image.name for image in read)
    return ImageSet(
        np.stack([image.pixels for image in read]),
        names if any(names) else (),
        labels=labels,
        label_names=label_names,
        classes=np.full(len(read), UNCONDITIONAL, dtype=np.int64),
        source=stream.source,
    )


def open_stream(
    source: Any,
    *,
    size: int | None,
    encoded_size: int,
    count: int | None = None,
    column: str | None = None,
    bit_depth: int | None = None,
) -> ImageStream:
    """Return the images of a source, to be read one after the other.

    Args:
        source: images, as `images` takes them.
        size: side of the images in pixels; None: `encoded_size` or unchanged.
        encoded_size: side of encoded and PIL images.
        count: number of images that will be read; None: all.
        column: column of images in rows, or their suffix in archives.
        bit_depth: bits of the values in 16-bit files.

    Raises:
        RosettaError: this is not a source of images.
    """
    if size is not None:
        whole_number("size", size, most=MAX_SIDE)
    if bit_depth is not None:
        whole_number("bit_depth", bit_depth, least=8, most=16)
    if column is not None and not isinstance(column, str):
        raise RosettaError(f"column: {column!r} is not a name; give a text")
    reading = Reading(size, size or encoded_size, column, bit_depth)
    if isinstance(source, ImageSet):
        return _set_stream(source, reading)
    if isinstance(source, np.ndarray | Tensor):
        return _array_stream(source, reading)
    if isinstance(source, str | Path):
        return _path_stream(source, reading, count)
    if isinstance(source, Sequence) and source and all(isinstance(x, str | Path) for x in source):
        return _files_stream([Path(x) for x in source], reading, "files")
    if is_hub_dataset(source):
        return hub_stream(source, reading)
    if isinstance(source, type | bytes) or not (
        isinstance(source, Iterable) or hasattr(source, "__getitem__")
    ):
        raise RosettaError(
            f"images: {type(source).__name__} is not a source of images; give a folder, files, an "
            "array, a tensor or a data set"
        )
    return row_stream(source, reading)


def _part(source: ImageSet, stream: ImageStream, size: int | None, count: int | None) -> ImageSet:
    """Return the first images of a set, in another size if it is given."""
    if size is None and count is None:
        return source
    read = list(stream.read(count))
    first = slice(len(read))
    return replace(
        source,
        pixels=np.stack([image.pixels for image in read]),
        names=source.names[first],
        labels=None if source.labels is None else source.labels[first],
        latents=None if source.latents is None else source.latents[first],
        classes=None if source.classes is None else source.classes[first],
    )


def _set_stream(source: ImageSet, reading: Reading) -> ImageStream:
    def read() -> Iterator[StreamedImage]:
        labels = source.labels.tolist() if source.labels is not None else [None] * len(source)
        names = source.names or [""] * len(source)
        for pixels, name, label in zip(source.pixels, names, labels, strict=True):
            yield StreamedImage(resized(pixels, reading.size), name, label)

    return ImageStream(read(), source.source or "the set", len(source), source.label_names)


def _array_stream(source: np.ndarray | Tensor, reading: Reading) -> ImageStream:
    if source.ndim != 4:
        raise RosettaError(
            f"images: shape {tuple(source.shape)} is not one of images; give (n, h, w, 3) or "
            "a tensor (n, 3, h, w)"
        )
    parts = (StreamedImage(resized(to_bytes(part), reading.size)) for part in source)
    return ImageStream(parts, "array", len(source))


def _path_stream(source: str | Path, reading: Reading, count: int | None) -> ImageStream:
    """Return the images of a file, a folder or a pattern of files."""
    path, text = Path(source), str(source)
    if re.match(r"[a-z][a-z0-9+.-]*://", text):
        raise RosettaError(f"images: {text} is an address; download it and give its path")
    if path.is_file() or (
        not path.is_dir() and _kind(path) != "image" and not PATTERN.search(text)
    ):
        return _files_stream([path], reading, text)
    if path.is_dir() or not PATTERN.search(text):
        folder = list_images(path, key="images")
        if count is None or count <= len(folder.images):
            for line in folder.notes(count):
                log.warning("%s", line)
        names = [file.relative_to(path).as_posix() for file in folder.images]
        return _image_stream(folder.images, names, reading, text)
    return _files_stream(_expand(text), reading, text)


def _expand(pattern: str) -> list[Path]:
    """Return the files of a pattern: braces as in a shell, then *, ? and [ ], in path order."""
    parts = BRACES.split(pattern)  # text and content of braces in turns
    choices = [[part] if n % 2 == 0 else _alternatives(part) for n, part in enumerate(parts)]
    total = np.prod([len(part) for part in choices], dtype=float)
    if total > MAX_FILES:
        raise RosettaError(f"images: {pattern} names {total:,.0f} files; use at most {MAX_FILES:,}")
    files: list[Path] = []
    for text in map("".join, product(*choices)):
        found = sorted(glob.glob(text, recursive=True)) if glob.has_magic(text) else [text]  # noqa: PTH207
        if not found:
            raise RosettaError(f"images: no file matches {text}; correct the pattern")
        files += map(Path, found)
    return files


def _alternatives(content: str) -> list[str]:
    """Return what stands for the content of braces: numbers of a range, or a list of texts."""
    numbers = NUMBERS.fullmatch(content)
    if not numbers:
        return content.split(",")
    first, last = numbers.groups()
    if int(last) - int(first) >= MAX_FILES:
        raise RosettaError(f"images: {{{content}}} names too many files; use at most {MAX_FILES:,}")
    return [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]


def _files_stream(files: Sequence[Path], reading: Reading, source: str) -> ImageStream:
    """Return the images of files of one kind: archives, Parquet files or images."""
    kinds = {_kind(file) for file in files}
    if len(kinds) > 1:
        raise RosettaError(
            f"images: {source} are files of several kinds ({', '.join(sorted(kinds))}); give "
            "files of one kind"
        )
    match kinds.pop():
        case "tar":
            return tar_stream(files, reading, source)
        case "parquet":
            return parquet_stream(files, reading, source)
        case _:
            return _image_stream(files, [file.name for file in files], reading, source)


def _kind(file: Path) -> str:
    name = file.name.lower()
    if name.endswith(TAR_SUFFIXES):
        return "tar"
    return "parquet" if name.endswith(".parquet") else "image"


def _image_stream(
    files: Sequence[Path], names: Sequence[str], reading: Reading, source: str
) -> ImageStream:
    images = (
        StreamedImage(
            decode(None, str(file), reading.encoded_size, bit_depth=reading.bit_depth), name
        )
        for file, name in zip(files, names, strict=True)
    )
    return ImageStream(images, source, len(files))
