"""Images of data sets of Hugging Face `datasets`, in memory, on disk or streaming.

The columns of images and class labels are found by the types of the features. Encoded images are
decoded as files are, not by `datasets`.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rosetta_core.api.images.pixels import decode, resized, to_bytes
from rosetta_core.api.images.rows import LABELS, plain_label, row_stream, rows_of
from rosetta_core.api.images.stream import ImageStream, Reading, StreamedImage
from rosetta_core.errors import RosettaError

__all__ = ["choose_column", "hub_stream", "is_hub_dataset", "label_column"]


def is_hub_dataset(source: Any) -> bool:
    """Return whether this is a data set of `datasets`, which is not imported for it."""
    return any(kind.__module__.split(".")[0] == "datasets" for kind in type(source).__mro__)


def hub_stream(source: Any, reading: Reading) -> ImageStream:
    """Return the images of a data set.

    Raises:
        RosettaError: the data set has several splits, or its column of images is not clear.
    """
    kind = type(source).__name__
    if isinstance(source, Mapping):
        raise RosettaError(
            f"images: {kind} has the splits {', '.join(map(str, source))}; choose one, for example "
            f"data[{next(iter(source), 'train')!r}]"
        )
    features = getattr(source, "features", None)
    # without types, and with a transform of the user's own, rows are what the data set returns
    if not features or _is_transformed(source):
        return row_stream(source, reading)
    found = [name for name, feature in features.items() if _is(feature, "Image")]
    column = choose_column(found, reading.column, known=list(features), where=kind)
    if column not in found:
        return row_stream(source, reading)
    classes = [name for name, feature in features.items() if _is(feature, "ClassLabel")]
    label = label_column(classes, list(features))
    names = tuple(getattr(features[label], "names", None) or ()) if label else ()
    plain = source.select_columns([column, label] if label else [column])
    if hasattr(plain, "with_format"):
        plain = plain.with_format(None)
    feature = features[column]
    plain = plain.cast_column(column, type(feature)(decode=False))

    def read() -> Iterator[StreamedImage]:
        for number, row in enumerate(rows_of(plain)):
            pixels = _pixels(row[column], feature, f"{kind}, row {number}", reading)
            yield StreamedImage(pixels, label=plain_label(row[label]) if label else None)

    total = len(source) if hasattr(source, "__len__") else None
    return ImageStream(read(), kind, total, names)


def choose_column(
    found: Sequence[str], chosen: str | None, *, known: Sequence[str], where: str
) -> str:
    """Return the column of images.

    Args:
        found: columns whose type is that of images.
        chosen: column that the user names; None: the only one in `found`.
        known: all columns.
        where: data set or file, for errors.

    Raises:
        RosettaError: the column does not exist, or there are none or several to choose from.
    """
    if chosen is not None:
        if chosen not in known:
            raise RosettaError(
                f"images: {where} has no column {chosen!r}; use one of {', '.join(known)}"
            )
        return chosen
    if len(found) != 1:
        state = f"the image columns {', '.join(found)}" if found else "no column of images"
        raise RosettaError(
            f"images: {where} has {state}; choose one of {', '.join(found or known)} with column"
        )
    return found[0]


def label_column(classes: Sequence[str], known: Sequence[str]) -> str | None:
    """Return the column of labels: the only one of class labels, or one named as such, or None."""
    named = [name for name in LABELS if name in (classes or known)]
    return classes[0] if len(classes) == 1 else named[0] if named else None


def _is(feature: Any, name: str) -> bool:
    kind = type(feature)
    return kind.__name__ == name and kind.__module__.split(".")[0] == "datasets"


def _is_transformed(source: Any) -> bool:
    form = getattr(source, "format", None)
    return isinstance(form, Mapping) and form.get("type") == "custom"


def _pixels(content: Any, feature: Any, where: str, reading: Reading) -> NDArray[np.uint8]:
    """Return the pixels of an encoded image, from its bytes or its file."""
    if not isinstance(content, Mapping):
        raise RosettaError(f"images: {where}: there is no image; leave the row out")
    size, path = reading.encoded_size, content.get("path")
    if content.get("bytes") is not None:
        return decode(content["bytes"], path or where, size, bit_depth=reading.bit_depth)
    if path and Path(path).is_file():
        return decode(None, path, size, bit_depth=reading.bit_depth)
    try:  # a file on a server or in an archive, which only `datasets` opens
        image = feature.decode_example(content)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise RosettaError(f"images: {where}: the image cannot be read ({reason})") from error
    return resized(to_bytes(image, reading.bit_depth), size)
