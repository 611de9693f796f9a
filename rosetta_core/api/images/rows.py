"""Images of data sets and loaders: single images, pairs of image and label, or rows by column."""

from collections.abc import Iterator, Mapping
from itertools import count as count_from
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rosetta_core.api.images.image_set import Label
from rosetta_core.api.images.pixels import decode, resized, to_bytes
from rosetta_core.api.images.stream import ImageStream, Reading, StreamedImage
from rosetta_core.errors import RosettaError, describe_exception

__all__ = ["LABELS", "plain_label", "row_stream", "rows_of"]

COLUMNS = ("image", "img", "jpg", "jpeg", "png", "webp")  # of images, in rows of data sets
LABELS = ("label", "labels", "cls")  # columns of labels
MAX_LEVELS = 8  # of data sets within each other


def row_stream(source: Any, reading: Reading) -> ImageStream:
    """Return the images of a data set or a loader, whose batches are taken apart."""

    def read() -> Iterator[StreamedImage]:
        for row in rows_of(source):
            image, label = _split(row, reading.column)
            batched = isinstance(image, np.ndarray | Tensor) and image.ndim == 4
            parts = list(image) if batched else [image]
            labels = list(label) if batched and _has_length(label) else [label] * len(parts)
            if len(labels) != len(parts):
                raise RosettaError(
                    f"images: a batch has {len(parts)} images and {len(labels)} labels; correct "
                    "the data set"
                )
            for part, each in zip(parts, labels, strict=True):
                yield StreamedImage(_pixels(part, reading), label=plain_label(each))

    return ImageStream(read(), type(source).__name__, label_names=_class_names(source))


def _class_names(source: Any) -> tuple[str, ...]:
    """Return the names of classes, as data sets of torchvision have them; also of a subset."""
    for _ in range(MAX_LEVELS):
        names = getattr(source, "classes", None)
        if isinstance(names, list | tuple) and names:
            return tuple(", ".join(map(str, x)) if isinstance(x, tuple) else str(x) for x in names)
        source = getattr(source, "dataset", None)
        if source is None:
            break
    return ()


def _pixels(image: Any, reading: Reading) -> NDArray[np.uint8]:
    if isinstance(image, Mapping) and isinstance(image.get("bytes"), bytes):
        image = image["bytes"]
    if isinstance(image, bytes):
        return decode(image, "image", reading.encoded_size, bit_depth=reading.bit_depth)
    size = reading.encoded_size if isinstance(image, Image.Image) else reading.size
    return resized(to_bytes(image, reading.bit_depth), size)


def _has_length(label: Any) -> bool:
    if isinstance(label, np.ndarray | Tensor):
        return label.ndim > 0
    return isinstance(label, list | tuple)


def _split(row: Any, column: str | None) -> tuple[Any, Any]:
    """Return the image and the label of a row; the label is None if there is none."""
    if isinstance(row, Mapping):
        names = [column] if column else [name for name in COLUMNS if name in row]
        if not names or names[0] not in row:
            raise RosettaError(
                f"images: rows have the columns {', '.join(map(str, row))}; name that of images "
                "with column"
            )
        labels = [row[key] for key in LABELS if key in row]
        return row[names[0]], labels[0] if labels else None
    if isinstance(row, tuple | list) and row:
        return row[0], row[1] if len(row) > 1 else None
    return row, None


def rows_of(source: Any) -> Iterator[Any]:
    """Yield the rows of a data set; RosettaError with the number of a row that fails.

    A data set with indices ends at its length, or without one at the first IndexError.
    """
    iterable, sized = hasattr(source, "__iter__"), hasattr(source, "__len__")
    numbers = range(len(source)) if sized and not iterable else count_from(0)
    rows = iter(source) if iterable else map(source.__getitem__, numbers)
    for number in count_from(0):
        try:
            row = next(rows)
        except StopIteration:
            return
        except RosettaError:
            raise
        except Exception as error:  # of the user's data set
            if isinstance(error, IndexError) and not iterable and not sized:
                return  # the end of a sequence without a length
            raise RosettaError(
                f"images: the data set fails on row {number} ({describe_exception(error)}); "
                "correct it"
            ) from error
        yield row


def plain_label(label: Any) -> Label:
    """Return a whole number or a text as the label of an image; anything else is not a label."""
    if isinstance(label, np.ndarray | np.generic | Tensor) and label.ndim == 0:
        label = label.item()
    if isinstance(label, bytes):
        label = label.decode("utf-8", "replace")
    if isinstance(label, bool):
        return str(label)
    return label if isinstance(label, int | str) else None
