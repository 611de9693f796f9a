"""Image files as RGB arrays, and square crops and resizing of images.

`open_image` is the only place where image files are opened: decoders of a list, in this process,
and a limit of pixels that holds before anything is decoded. Transparent images are shown on white,
photographs are turned upright by their EXIF orientation, and grey images of 16 bits are scaled to 8
bits. Pixels without a known range are refused: floats, signed integers, and 16-bit values below a
quarter of the range, like those of a 12-bit camera.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from rosetta_core.errors import RosettaError, one_line

__all__ = [
    "HEIF_SUFFIXES",
    "MAX_BIT_DEPTH",
    "MAX_PIXELS",
    "MIN_MASK",
    "convert_image",
    "crop_square",
    "has_frames",
    "image_suffixes",
    "open_image",
    "read_image",
    "read_mask",
    "resize_image",
]

HEIF_SUFFIXES = (".heic", ".heics", ".heif", ".heifs", ".hif")
# formats that are decoded in this process. Left out, of those that Pillow opens: EPS runs
# Ghostscript; IPTC hands its content to any decoder; BLP and ICNS hold files of other formats, FITS
# a gzip file; WMF, BUFR, GRIB, HDF5 and MPEG need another library
FORMATS = (
    *("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP", "AVIF", "JPEG2000", "PPM", "TGA", "PSD", "HEIF"),
    *("CUR", "DCX", "DDS", "DIB", "FLI", "FTEX", "GBR", "ICO", "IM", "IMT", "MCIDAS", "MSP", "PCD"),
    *("PCX", "PIXAR", "QOI", "SGI", "SPIDER", "SUN", "XBM", "XPM", "XVTHUMB"),
)
FULL_RANGE = {"JPEG2000", "PNG", "PPM", "TIFF"}  # formats whose unsigned integers fill 16 bits
SEQUENCES = {"AVIF", "FLI", "GIF", "HEIF", "PNG", "TIFF", "WEBP"}  # may have several frames
MAX_BIT_DEPTH = 16
DARK = 2**14  # values of 16 bits below this are at most a quarter as bright as white
MAX_PIXELS = 2**26  # of an image: takes up to 1 GiB while it is decoded
HEAD = 256  # bytes in which a file that is not an image is recognised
MIN_MASK = 0.1  # smallest value of the brightest pixel of a mask
LARGE = 2**24  # pixels of images of which a process decodes one at a time
_opening, _decoding = RLock(), RLock()


@cache
def _formats() -> tuple[str, ...]:
    """Return the names of the formats that are read, after all plugins were loaded."""
    Image.init()
    if find_spec("pillow_heif"):
        import_module("pillow_heif").register_heif_opener()
    return tuple(name for name in FORMATS if name in Image.OPEN)


@cache
def image_suffixes() -> tuple[str, ...]:
    """Return the suffixes of all formats that are read, in lower case and sorted."""
    read = _formats()
    registered = Image.registered_extensions().items()
    return tuple(sorted({".mpo", *(suffix for suffix, name in registered if name in read)}))


@contextmanager
def open_image(
    path: Path, *, max_pixels: int | None = None, content: bytes | None = None
) -> Iterator[Image.Image]:
    """Open an image file whose pixels are not decoded yet.

    Args:
        path: image file.
        max_pixels: largest number of pixels (width × height); None: `MAX_PIXELS`.
        content: content of the file, for example of a member of an archive; then `path` only names
            the image in errors.

    Yields:
        The image.

    Raises:
        RosettaError: the file is missing, damaged, too large or not an image; also if it turns out
            in the block.
    """
    limit = max_pixels or MAX_PIXELS
    try:
        with _opening, _pixel_limit(limit):
            file = path if content is None else BytesIO(content)
            opened = Image.open(file, formats=_formats())
        if (pixels := _largest_tile(opened)) > limit:
            raise Image.DecompressionBombError(f"{pixels} pixels in a tile")
        large = opened.width * opened.height > LARGE
        with opened as image, _decoding if large else nullcontext():
            yield image
    except UnidentifiedImageError:
        raise RosettaError(f"{path}: {_describe_foreign(path, content)}") from None
    except Image.DecompressionBombError as error:
        number = re.search(r"\d+", str(error))
        size = f"{int(number[0]):,}" if number else "too many"
        raise RosettaError(
            f"{path}: has {size} pixels, but at most {limit:,} are read; use a smaller image, or "
            "raise max_pixels"
        ) from error
    except _RangeError as error:
        raise RosettaError(f"{path}: {error}") from None
    except RosettaError:
        raise
    except Exception as error:  # a damaged file can raise anything
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise RosettaError(f"{path}: cannot be read: {text.splitlines()[0]}") from error


def _describe_foreign(path: Path, content: bytes | None) -> str:
    """Return what a file is that is not an image, and what to do."""
    with path.open("rb") if content is None else BytesIO(content) as file:
        start = file.read(HEAD)
    head = start.lstrip().lower()
    if head.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, not the image; run git lfs pull"
    if head.startswith((b"../.git/annex/", b"/annex/objects/")):
        return "is a git-annex pointer, not the image; run git annex get"
    if head.startswith((b"<!doctype html", b"<html")):
        return "is a web page, not an image; download the image itself"
    problem = "not an image that Pillow reads" if start else "is empty"
    return f"{problem}; use a PNG or JPEG file"


def _largest_tile(image: Image.Image) -> int:
    """Return the pixels of a tile of a TIFF file, which is decoded as a whole; 0 without tiles."""
    tags: Any = getattr(image, "tag_v2", {})
    width, height = (np.atleast_1d(tags.get(tag, 0)) for tag in (322, 323))
    return int(width.max()) * int(height.max())


@contextmanager
def _pixel_limit(limit: int) -> Iterator[None]:
    """Set the limit that Pillow checks before it allocates: of images, tiles, frames and icons.

    Pillow's own limit is a variable of the process, and half of the number that it refuses.
    """
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = limit / 2  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def read_image(
    path: Path,
    *,
    bit_depth: int | None = None,
    max_pixels: int | None = None,
    content: bytes | None = None,
) -> NDArray[np.uint8]:
    """Read an image file; of an animation the first frame.

    Args:
        path: image file.
        bit_depth: number of bits that the values of a grey 16-bit file use; None: 16, and an error
            if all values are below a quarter of the range. Other files ignore it.
        max_pixels: as in `open_image`.
        content: as in `open_image`.

    Returns:
        Pixels (h, w, 3).

    Raises:
        RosettaError: the file is missing, damaged, too large, not an image, or its pixels have no
            known range.
    """
    with open_image(path, max_pixels=max_pixels, content=content) as image:
        return np.array(_to_rgb(image, bit_depth))


def convert_image(image: Image.Image, *, bit_depth: int | None = None) -> NDArray[np.uint8]:
    """Return the pixels (h, w, 3) of an open image, as `read_image` returns those of a file.

    Raises:
        RosettaError: the image is damaged, or its pixels have no known range.
    """
    try:
        duplicate = image.copy()  # rotated in place
        duplicate.format = image.format
        return np.array(_to_rgb(duplicate, bit_depth))
    except (_RangeError, OSError, SyntaxError) as error:
        raise RosettaError(f"image: {one_line(error)}") from error


def read_mask(path: Path, *, max_pixels: int | None = None) -> NDArray[np.float32]:
    """Read an image file as a mask (h, w) from 0, black, to 1, white.

    Args:
        path: image file of 8 or 16 bits.
        max_pixels: as in `read_image`.

    Raises:
        RosettaError: as in `read_image`; or no pixel is bright, as in files of labels 0 and 1.
    """
    pixels = read_image(path, bit_depth=MAX_BIT_DEPTH, max_pixels=max_pixels)
    mask = pixels.mean(axis=2).astype(np.float32) / 255
    if mask.max(initial=0) < MIN_MASK:
        raise RosettaError(
            f"{path}: no pixel of the mask is bright (the largest value is {mask.max():.2g}, white "
            "is 1), as in files of labels 0 and 1; make the pixels white where units may change"
        )
    return mask


class _RangeError(ValueError):
    """Pixels whose range is unknown; the message includes the remedy."""


def has_frames(path: Path, *, max_pixels: int | None = None) -> bool:
    """Return whether a readable image file has more than one frame or page."""
    with open_image(path, max_pixels=max_pixels) as image:
        return image.format in SEQUENCES and bool(getattr(image, "is_animated", False))


def _to_rgb(opened: Image.Image, bit_depth: int | None) -> Image.Image:
    sixteen = ";16" in _raw_mode(opened)  # Pillow reduces colours to the upper 8 bits
    stated = _stated_bits(opened)
    file_format = opened.format
    opened.load()
    ImageOps.exif_transpose(opened, in_place=True)  # a copy would take as much memory again
    image: Image.Image = opened
    if image.mode == "F":
        raise _RangeError("float pixels have no known range; save it with 8 bits")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if file_format not in FULL_RANGE or stated > MAX_BIT_DEPTH or values.min(initial=0) < 0:
            raise _RangeError("its integer pixels have no known range; save it with 8 bits")
        image = _to_8_bits(values, stated if stated < MAX_BIT_DEPTH else bit_depth)
    elif sixteen and bit_depth != MAX_BIT_DEPTH:
        _check_upper_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _raw_mode(image: Image.Image) -> str:
    """Return the layout of the pixels in the file, for example "RGB;16B"."""
    return " ".join(str(tile[3]) for tile in getattr(image, "tile", []))


def _stated_bits(image: Image.Image) -> int:
    """Return the bits per value that a TIFF file states; 16 for other formats."""
    tags: Any = getattr(image, "tag_v2", {})
    return int(max(np.atleast_1d(tags.get(258, MAX_BIT_DEPTH))))


def _to_8_bits(values: NDArray[Any], bit_depth: int | None) -> Image.Image:
    """Scale integers (h, w) of 16 bits, or of fewer bits in 16, to 8 bits."""
    largest = int(values.max(initial=0))
    if bit_depth is None:
        if 0 < largest < DARK:
            raise _RangeError(_describe_dark(largest))
        bit_depth = MAX_BIT_DEPTH
    if largest >= 2**bit_depth:
        raise _RangeError(
            f"its values go up to {largest:,}, which exceeds bit_depth: {bit_depth}; correct "
            "bit_depth"
        )
    scaled = values.astype(np.float64) * (255 / (2**bit_depth - 1))
    return Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8))


def _describe_dark(largest: int) -> str:
    bits = max(8, largest.bit_length())
    bits += bits % 2  # cameras have 10, 12 or 14 bits
    return (
        f"its 16-bit values stop at {largest:,} of 65,535, as in {bits}-bit data, and would be "
        f"dark; set bit_depth: {bits}, or 16 if the image is dark, or save it with 8 bits"
    )


def _check_upper_bits(image: Image.Image) -> None:
    """Refuse colours of 16 bits that use the lower bits only, of which Pillow reads the upper 8."""
    extremes: Any = image.getextrema()
    bands = [extremes] if isinstance(extremes[0], int) else list(extremes)
    colours = bands[: len(bands) - image.mode.endswith(("A", "a"))]
    largest = 256 * max(high for _, high in colours)
    if 0 < largest < DARK:
        raise _RangeError(
            f"its 16-bit colours stop near {largest:,} of 65,535 and would be dark; save it with 8 "
            "bits, or set bit_depth: 16 if the image is dark"
        )


def crop_square(
    image: NDArray[np.uint8], box: tuple[int, int, int] | None = None
) -> NDArray[np.uint8]:
    """Return a square crop (side, side, 3) of an image, as a copy.

    Args:
        image: pixels (h, w, 3).
        box: (left, top, side) in pixels; None for the largest centred square.

    Raises:
        RosettaError: the box exceeds the image.
    """
    height, width = image.shape[:2]
    if box is None:
        side = min(height, width)
        box = ((width - side) // 2, (height - side) // 2, side)
    left, top, side = box
    if side < 1 or left < 0 or top < 0 or left + side > width or top + side > height:
        raise RosettaError(
            f"box [{left}, {top}, {side}] (left, top, side): exceeds the image, which is {width} "
            f"pixels wide and {height} high"
        )
    return image[top : top + side, left : left + side].copy()


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize an image with a Lanczos filter.

    Pillow widens the filter when it reduces an image, so every pixel counts and nothing aliases.

    Args:
        image: pixels (h, w, 3).
        size: new height and width.
    """
    height, width = size
    resized = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.array(resized)
