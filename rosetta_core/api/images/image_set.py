"""Images in memory, with their names, labels, and the latents that they were drawn from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.api.models import Model
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path

__all__ = [
    "UNLABELLED",
    "ImageSet",
    "Label",
    "image_captions",
    "image_table",
    "label_texts",
    "number_labels",
]

Label = int | str | None  # of one image: a class number, a text, or none
UNLABELLED = -1


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images in memory, as `images` and `sample` return them.

    Attributes:
        pixels: the images (n, h, w, 3) uint8.
        names: file name or key of each image; empty if they have none.
        labels: label of each image (n,) int64, -1 for none; None if no image has one.
        label_names: name of each label; empty if labels are numbers only.
        latents: latents (n, z) that the images were drawn from; None if they were not drawn.
        classes: class of each drawn image (n,) int64; -1 for none.
        source: folder or kind of source, for pages; None for drawn images.
        seed: random seed of drawn images.
        generator: model that drew the images; None if they were not drawn.
        drawn_from: classes that the images were drawn from; None for all.
    """

    pixels: NDArray[np.uint8]
    names: tuple[str, ...] = ()
    labels: NDArray[np.int64] | None = None
    label_names: tuple[str, ...] = ()
    latents: NDArray[np.float32] | None = None
    classes: NDArray[np.int64] | None = None
    source: str | None = None
    seed: int = 0
    generator: Model | None = None
    drawn_from: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        count, height, width, _ = self.pixels.shape
        labels = self.label_texts
        kinds = f", {len(set(labels) - {''})} labels" if labels else ""
        return f"<ImageSet: {count} images of {height} × {width} pixels{kinds}>"

    def read(self, numbers: range) -> NDArray[np.uint8]:
        """Return consecutive images (n, h, w, 3)."""
        return self.pixels[numbers.start : numbers.stop]

    def save(self, folder: str | Path) -> Path:
        """Write the images as PNG files named by their numbers; return the folder.

        Raises:
            RosettaError: the folder exists and is not empty.
        """
        folder = Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RosettaError(f"{folder}: is not an empty folder; choose another")
        digits = len(str(len(self) - 1))
        with atomic_path(folder) as temporary:
            temporary.mkdir()
            for number, pixels in enumerate(self.pixels):
                Image.fromarray(pixels).save(temporary / f"{number:0{digits}d}.png")
        return folder

    @property
    def label_texts(self) -> tuple[str, ...]:
        """Label of each image as text, "" for none; empty if no image has one."""
        return label_texts(self.labels, self.label_names)

    @property
    def captions(self) -> tuple[str, ...]:
        """Name and label of each image, for figures and pages; empty if it has neither."""
        return image_captions(self.names, self.label_texts)

    @property
    def table(self) -> pd.DataFrame:
        """Images, one row each: image (number), name and label; NaN where there is none."""
        return image_table(len(self), self.names, self.label_texts)


def label_texts(labels: NDArray[np.int64] | None, names: Sequence[str]) -> tuple[str, ...]:
    """Return labels as texts, "" for none; empty if there are no labels."""
    if labels is None:
        return ()
    return tuple(
        "" if label == UNLABELLED else names[label] if names else str(label)
        for label in labels.tolist()
    )


def image_captions(names: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """Return name and label of each image as one text; empty if there are neither."""
    if not names or not labels:
        return tuple(names or labels)
    return tuple(" · ".join(filter(None, pair)) for pair in zip(names, labels, strict=True))


def image_table(count: int, names: Sequence[str], labels: Sequence[str]) -> pd.DataFrame:
    """Return one row per image: image (number), name and label; NaN where there is none."""
    table = pd.DataFrame({"image": np.arange(count)})
    for column, values in {"name": names, "label": labels}.items():
        texts = pd.Series(list(values) or [""] * count, dtype="str")
        table[column] = texts.mask(texts == "")
    return table


def number_labels(
    labels: Sequence[Label], names: Sequence[str] = ()
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """Return labels as numbers (n,), and the name of each number.

    Args:
        labels: labels of the images. Texts are numbered in alphabetical order, unless they are
            names; negative numbers are no labels.
        names: name of each class number, if the source has names.

    Returns:
        The numbers, -1 where there is no label, or None without any label; and the names, empty if
        labels are numbers only.
    """
    plain = [None if isinstance(label, int) and label < 0 else label for label in labels]
    known = {label for label in plain if label is not None}
    if not known:
        return None, ()
    number_of: dict[Label, int] = {name: number for number, name in enumerate(names)}
    number_of |= {number: number for number in range(len(names))}
    if known <= set(number_of):
        every = tuple(names)
    elif all(isinstance(label, int) for label in known):
        every, number_of = (), {label: int(label) for label in known if label is not None}
    else:
        texts = {x: names[x] if isinstance(x, int) and x < len(names) else str(x) for x in known}
        every = tuple(sorted(set(texts.values())))
        number_of = {label: every.index(text) for label, text in texts.items()}
    numbers = [UNLABELLED if label is None else number_of[label] for label in plain]
    return np.array(numbers, np.int64), every
