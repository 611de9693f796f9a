"""Image files as RGB arrays, and square crops and resizing of images.

Reading covers every format of Pillow: transparent images are shown on white, photographs are turned
upright by their EXIF orientation, and 16-bit images are scaled to 8 bits.
"""

import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path
from rosetta_core.runtime.code_fingerprint import code_fingerprint

__all__ = ["check_images", "crop_square", "read_image", "resize_image"]


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read an image file; of an animation the first frame.

    Returns:
        Pixels (h, w, 3).

    Raises:
        RosettaError: the file is missing, damaged, too large, or not an image.
    """
    try:
        with Image.open(path) as image:
            return np.array(_to_rgb(ImageOps.exif_transpose(image)))
    except UnidentifiedImageError:
        problem = "not an image that Pillow reads" if path.stat().st_size else "is empty"
        raise RosettaError(f"{path}: {problem}; use a PNG or JPEG file") from None
    except Image.DecompressionBombError as error:
        raise RosettaError(f"{path}: has too many pixels; use a smaller image") from error
    except Exception as error:  # a damaged file can raise anything
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise RosettaError(f"{path}: cannot be read: {text.splitlines()[0]}") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("float pixels have no known range")
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip instead of scale
        scaled = np.asarray(image).astype(np.float64) * (255 / 65535)
        image = Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image)
    return image.convert("RGB")


def check_images(files: Sequence[Path], cache: Path) -> None:
    """Check before a run that all image files can be read.

    The check takes about as long as reading the images in the run, so its success is recorded:
    unchanged files (by size and time of modification) are not read again.

    Args:
        files: image files.
        cache: folder of the records of earlier checks.

    Raises:
        RosettaError: a file cannot be read; the first of them is named.
    """
    states = [(str(file.absolute()), *_size_and_time(file)) for file in files]
    content = json.dumps([states, code_fingerprint("rosetta_core.io.images")])
    record = cache / f"{sha256(content.encode()).hexdigest()[:24]}.json"
    if record.is_file():
        return
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for _ in threads.map(lambda file: read_image(file).size, files):
            pass
    with atomic_path(record) as temporary:
        temporary.write_text(json.dumps({"images": len(files)}))


def _size_and_time(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


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
