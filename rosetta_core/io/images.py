"""Images out of files, and cut to squares.

read_image      an image file
check_images    that many of them can be read
cropped         a square of an image
resized         an image at another size
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

__all__ = ["check_images", "cropped", "read_image", "resized"]


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return the pixels (h, w, 3) of any image file that Pillow reads, of a film the first.

    What is transparent shows white; a turned photograph (EXIF) is set upright.

    Raises:
        RosettaError: the file is missing, no image, broken, or absurdly large.
    """
    try:
        with Image.open(path) as image:
            return np.array(_rgb(ImageOps.exif_transpose(image)))
    except UnidentifiedImageError:
        reason = "is no image that Pillow reads" if path.stat().st_size else "is empty"
        raise RosettaError(f"{path}: {reason}; give a PNG or JPEG") from None
    except Image.DecompressionBombError as error:
        raise RosettaError(f"{path}: has too many pixels; give a smaller image") from error
    except Exception as error:  # Pillow raises whatever a broken file leads it to
        said = (getattr(error, "strerror", None) or str(error) or type(error).__name__).split("\n")
        raise RosettaError(f"{path}: cannot be read: {said[0]}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floats of no known range")
    if image.mode.startswith("I"):  # 16 bit, for which Pillow would clip and not scale
        scaled = np.asarray(image).astype(np.float64) * (255 / 65535)
        image = Image.fromarray(scaled.round().clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        paper = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(paper, image)
    return image.convert("RGB")


def check_images(files: Sequence[Path], remembered: Path) -> None:
    """Read image files, to know before a run that they can be read.

    That takes about as long as taking them: files that were read once are not read again until
    their size or time changes.

    Args:
        files: to read.
        remembered: a folder for what was found good.

    Raises:
        RosettaError: for the first that can't be read.
    """
    found = [(str(file.absolute()), *_state(file)) for file in files]
    content = json.dumps([found, code_fingerprint("rosetta_core.io.images")])
    good = remembered / f"{sha256(content.encode()).hexdigest()[:24]}.json"
    if good.is_file():
        return
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for _ in threads.map(lambda file: read_image(file).size, files):
            pass
    with atomic_path(good) as temporary:
        temporary.write_text(json.dumps({"images": len(files)}))


def _state(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def cropped(image: NDArray[np.uint8], box: tuple[int, int, int] | None) -> NDArray[np.uint8]:
    """Return a square (side, side, 3) of an image.

    Args:
        image: (h, w, 3).
        box: left, top and side, in pixels of the image; None for the largest centred square.

    Raises:
        RosettaError: the box leaves the image.
    """
    height, width = image.shape[:2]
    if box is None:
        side = min(height, width)
        box = ((width - side) // 2, (height - side) // 2, side)
    left, top, side = box
    if side < 1 or left < 0 or top < 0 or left + side > width or top + side > height:
        raise RosettaError(
            f"box {left}, {top}, {side} (left, top, side): leaves the image, which is {width} wide "
            f"and {height} high"
        )
    return image[top : top + side, left : left + side].copy()


def resized(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return an image (h, w, 3) at another size (height, width).

    By Lanczos' filter, which Pillow widens as it reduces, so that every pixel counts: sharper than
    a box, and nothing aliases.
    """
    height, width = size
    scaled = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.array(scaled)
