"""Images for mining in memory: drawn by a generator, or from folders, arrays and data sets."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count as count_from
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rosetta_core.api.arguments import whole_number
from rosetta_core.api.models import Model, check_evaluation, load_model
from rosetta_core.errors import RosettaError, describe_exception
from rosetta_core.io.image_files import list_images
from rosetta_core.io.images import convert_image, crop_square, read_image, resize_image
from rosetta_core.mining.sampling.generator import draw_samples
from rosetta_core.mining.sampling.samples import UNCONDITIONAL
from rosetta_core.runtime.progress import Progress, log
from rosetta_core.zoo.generators.output import ImageChecks
from rosetta_core.zoo.network import Generator

__all__ = ["ImageSet", "images", "sample"]

MAX_SIDE = 8192  # of images, in pixels
SIZE = 256  # default side of images that are read from files
RANGE = 1e-3  # pixels may lie so far outside 0..1
COLUMNS = ("image", "img", "jpg", "png")  # of images, in rows of data sets


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images in memory, as `images` and `sample` return them.

    Attributes:
        pixels: the images (n, h, w, 3) uint8.
        names: file name or label of each image; empty if they have none.
        latents: latents (n, z) that the images were drawn from; None if they were not drawn.
        classes: class of each drawn image (n,) int64; -1 for none.
        source: folder or kind of source, for pages; None for drawn images.
        seed: random seed of drawn images.
        generator: model that drew the images; None if they were not drawn.
    """

    pixels: NDArray[np.uint8]
    names: tuple[str, ...] = ()
    latents: NDArray[np.float32] | None = None
    classes: NDArray[np.int64] | None = None
    source: str | None = None
    seed: int = 0
    generator: Model | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    def __repr__(self) -> str:
        count, height, width, _ = self.pixels.shape
        return f"<ImageSet: {count} images of {height} × {width} pixels>"

    def read(self, numbers: range) -> NDArray[np.uint8]:
        """Return consecutive images (n, h, w, 3)."""
        return self.pixels[numbers.start : numbers.stop]


def sample(
    generator: Model | str, count: int, *, seed: int = 0, classes: Sequence[int] | None = None
) -> ImageSet:
    """Draw images from a generator; image i depends on the seed and i only.

    Args:
        generator: the generator, or its name; its truncation is set in `load_model`.
        count: number of images.
        seed: random seed.
        classes: classes to draw from, for a class-conditional generator; None for all.

    Raises:
        RosettaError: the model is not a generator, there is no such class, or what it returns are
            not images.
    """
    if isinstance(generator, str):
        generator = load_model(generator)
    if not isinstance(generator, Model):
        kind = type(generator).__name__
        raise RosettaError(f"sample: {kind} is not a model; use load_model or wrap")
    network = generator.network
    if not isinstance(network, Generator):
        raise RosettaError(f"{generator.name}: is not a generator; use images(…) for an encoder")
    whole_number("count", count)
    whole_number("seed", seed, least=0)
    check_evaluation(generator.name, network.network)
    if classes is not None and not network.classes:
        raise RosettaError(f"classes: {generator.name} has no classes; leave them out")
    wrong = [label for label in classes or () if not 0 <= label < network.classes]
    if wrong or (classes is not None and not len(classes)):
        raise RosettaError(f"classes: {list(classes or ())[:5]}; use 0 to {network.classes - 1}")
    checks = ImageChecks(generator.name, network.output_range, ranges=not generator.facts.random)
    arrays = draw_samples(
        network,
        range(count),
        title=f"sampling {generator.name}",
        seed=seed,
        classes=classes,
        checks=checks,
    )
    return ImageSet(
        arrays["images"],
        latents=arrays["latents"],
        classes=arrays["classes"],
        seed=seed,
        generator=generator,
    )


def images(
    source: Any,
    *,
    size: int | None = None,
    count: int | None = None,
    column: str | None = None,
    bit_depth: int | None = None,
) -> ImageSet:
    """Read images from where they are.

    Files and PIL images are cropped to their central square and resized.

    Args:
        source: a folder; a list of image files; an array (n, h, w, 3) uint8 or floats in 0..1; a
            tensor (n, 3, h, w) uint8 or floats in 0..1; or a data set or loader that yields images
            (PIL, array or tensor), pairs of image and label, or rows with a column of images.
        size: side of the images in pixels; None: 256 for files and PIL images, otherwise unchanged.
        count: number of images to read, the first ones; None: all.
        column: column of images in rows; None: image, img, jpg or png.
        bit_depth: bits of the values in 16-bit files.

    Raises:
        RosettaError: there are no images, they differ in size, or their pixels are not in 0..1 or
            0..255.
    """
    if count is not None:
        whole_number("count", count)
    if size is not None:
        whole_number("size", size, most=MAX_SIDE)
    if bit_depth is not None:
        whole_number("bit_depth", bit_depth, least=8, most=16)
    if isinstance(source, ImageSet):
        return source
    if isinstance(source, np.ndarray | Tensor):
        if source.ndim != 4:
            raise RosettaError(
                f"images: shape {tuple(source.shape)} is not one of images; give (n, h, w, 3) or "
                "a tensor (n, 3, h, w)"
            )
        found = [_to_bytes(part) for part in source[:count]]
        return _collect([_resized(part, size) for part in found], "array")
    if isinstance(source, str | Path):
        if Path(source).is_file():
            return _read_files([Path(source)], size or SIZE, bit_depth, str(source))
        folder = list_images(Path(source), key="images")
        for line in folder.notes(count):
            log.warning("%s", line)
        return _read_files(folder.images[:count], size or SIZE, bit_depth, str(source))
    if isinstance(source, Sequence) and source and all(isinstance(x, str | Path) for x in source):
        return _read_files([Path(x) for x in source[:count]], size or SIZE, bit_depth, "files")
    if isinstance(source, type) or not (
        isinstance(source, Iterable) or hasattr(source, "__getitem__")
    ):
        raise RosettaError(
            f"images: {type(source).__name__} is no source of images; give a folder, files, an "
            "array, a tensor or a data set"
        )
    return _read_rows(source, size=size, count=count, column=column, bit_depth=bit_depth)


def _read_files(files: Sequence[Path], size: int, bit_depth: int | None, source: str) -> ImageSet:
    pixels = []
    with Progress("images", total=len(files)) as progress:
        for file in files:
            pixels.append(_resized(read_image(file, bit_depth=bit_depth), size, crop=True))
            progress.advance()
    return _collect(pixels, source, names=[file.name for file in files])


def _read_rows(
    source: Any,
    *,
    size: int | None,
    count: int | None,
    column: str | None,
    bit_depth: int | None,
) -> ImageSet:
    """Read a data set or a loader, whose batches are taken apart."""
    pixels: list[NDArray[np.uint8]] = []
    labels: list[str] = []
    kinds = getattr(source, "classes", None)  # names of classes, as torchvision's data sets have
    with Progress("images", total=count or 0) as progress:
        for row in _rows(source):
            image, label = _split(row, column)
            batched = isinstance(image, np.ndarray | Tensor) and image.ndim == 4
            parts = list(image) if batched else [image]
            pixels += [_resized(_to_bytes(x, bit_depth), size, crop=_is_picture(x)) for x in parts]
            names = list(label) if batched and label is not None else [label] * len(parts)
            labels += [_label(name, kinds) for name in names]
            progress.advance(len(parts))
            if count is not None and len(pixels) >= count:
                break
    named = any(labels)
    return _collect(pixels[:count], type(source).__name__, names=labels[:count] if named else ())


def _split(row: Any, column: str | None) -> tuple[Any, Any]:
    """Return the image and the label of a row; the label is None if there is none."""
    if isinstance(row, Mapping):
        names = [column] if column else [name for name in COLUMNS if name in row]
        if not names or names[0] not in row:
            raise RosettaError(
                f"images: rows have the columns {', '.join(map(str, row))}; name that of images "
                "with column"
            )
        labels = [row[key] for key in ("label", "labels", "cls") if key in row]
        return row[names[0]], labels[0] if labels else None
    if isinstance(row, tuple | list) and row:
        return row[0], row[1] if len(row) > 1 else None
    return row, None


def _rows(source: Any) -> Iterator[Any]:
    """Yield the rows of a data set; RosettaError with the number of a row that fails."""
    rows = iter(source) if hasattr(source, "__iter__") else map(source.__getitem__, count_from(0))
    for number in count_from(0):
        try:
            row = next(rows)
        except (StopIteration, IndexError):
            return
        except RosettaError:
            raise
        except Exception as error:  # of the user's data set
            raise RosettaError(
                f"images: the data set fails on row {number} ({describe_exception(error)}); "
                "correct it"
            ) from error
        yield row


def _label(label: Any, classes: Any) -> str:
    """Return a label as text: the name of its class, if the data set has names."""
    plain = label.item() if isinstance(label, np.generic | Tensor) and label.ndim == 0 else label
    named = isinstance(classes, list | tuple) and type(plain) is int and 0 <= plain < len(classes)
    return "" if plain is None else str(classes[plain] if named else plain)


def _is_picture(image: Any) -> bool:
    return isinstance(image, Image.Image)


def _to_bytes(image: Any, bit_depth: int | None = None) -> NDArray[np.uint8]:
    """Return one image as bytes (h, w, 3)."""
    if isinstance(image, Image.Image):
        return convert_image(image, bit_depth=bit_depth)
    if not isinstance(image, np.ndarray | Tensor) or image.ndim != 3:
        shape = tuple(getattr(image, "shape", ())) or type(image).__name__
        raise RosettaError(f"images: {shape} is not an image; give (h, w, 3), (3, h, w) or PIL")
    if isinstance(image, Tensor):
        values = image.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        array = values.permute(1, 2, 0).numpy()
    else:
        array = image
    if array.shape[2] not in (1, 3):
        raise RosettaError(
            f"images: shape {tuple(image.shape)} has no axis of 3 colours in its place; give "
            "arrays (h, w, 3) or tensors (3, h, w)"
        )
    if array.dtype != np.uint8:
        if array.dtype.kind != "f":
            kind = array.dtype
            raise RosettaError(
                f"images: type {kind} is neither uint8 nor float; convert it to uint8"
            )
        low, high = float(array.min()), float(array.max())
        if not np.isfinite([low, high]).all():
            raise RosettaError("images: pixels are not finite; remove the image")
        if low < -RANGE or high > 1 + RANGE:
            raise RosettaError(
                f"images: pixels are in {low:.3g}..{high:.3g}, not in 0..1; give uint8, or pixels "
                "before their normalisation"
            )
        array = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


def _resized(
    image: NDArray[np.uint8], size: int | None, *, crop: bool = False
) -> NDArray[np.uint8]:
    """Return an image with a side of `size` pixels, if it is given."""
    if size is None and not crop:
        return image
    side = size or SIZE
    return resize_image(crop_square(image), (side, side))


def _collect(
    pixels: Sequence[NDArray[np.uint8]], source: str, *, names: Sequence[str] = ()
) -> ImageSet:
    if not pixels:
        raise RosettaError(f"images: there is none in {source}; give at least one")
    shapes = {image.shape for image in pixels}
    if len(shapes) > 1:
        one, other = sorted(shapes)[:2]
        raise RosettaError(
            f"images: they differ in size ({one[0]} × {one[1]}, {other[0]} × {other[1]}); give size"
        )
    unlabelled = np.full(len(pixels), UNCONDITIONAL, dtype=np.int64)
    return ImageSet(np.stack(pixels), tuple(names), classes=unlabelled, source=source)
