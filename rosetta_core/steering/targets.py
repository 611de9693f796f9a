"""Images as an inversion sees them.

SAMPLES         names of the photographs that come with scikit-image
read_image      an image file
sample_image    one of the photographs
cropped         a square of an image
resized         an image at another size
sketched        an image as a pencil drawing
"""

from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from scipy.ndimage import gaussian_filter

from rosetta_core.errors import RosettaError, did_you_mean

__all__ = ["SAMPLES", "cropped", "read_image", "resized", "sample_image", "sketched"]

FILES = {  # all in the public domain; of scikit-image's others some need a download
    "astronaut": "astronaut.png",
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
}
SAMPLES = tuple(FILES)

# of a drawing: chosen by eye for faces, so that eyes and mouth can be read at 64 × 64
LINE = 0.007  # standard deviations of the two Gaussians, as shares of the side
SHADE = 0.025
LIGHT = 0.1  # less than this share of the strongest lines stays paper
PRESSURE = 1.8
STRONGEST = 0.98  # the quantile of the darkness that counts as the strongest lines
FAINTEST = 0.02  # in an image without contrast, noise is no line


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


def sample_image(name: str) -> NDArray[np.uint8]:
    """Return the pixels (h, w, 3) of one of `SAMPLES`, from disk, never from a network.

    Raises:
        RosettaError: there is no such photograph.
    """
    if name not in FILES:
        raise RosettaError(
            f"no sample image {name!r}; they are {', '.join(SAMPLES)}{did_you_mean(name, SAMPLES)}"
        )
    with as_file(files("skimage") / "data" / FILES[name]) as path:
        return read_image(path)


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


def sketched(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an image (h, w, 3) as a pencil drawing: soft grey lines on white paper (h, w, 3).

    A difference of Gaussians finds what is darker than its surroundings, and a soft threshold
    draws it (Winnemöller et al., XDoG, 2012). The strength is relative to the strongest lines
    of the image, and the lines' width to its shorter side, so that they survive a reduction.
    """
    luminance = image @ np.array([0.299, 0.587, 0.114]) / 255  # (h, w)
    side = min(luminance.shape)
    near, far = (
        gaussian_filter(luminance, share * side, mode="nearest") for share in (LINE, SHADE)
    )
    darker = np.maximum(far - near, 0)
    darker /= max(float(np.quantile(darker, STRONGEST)), FAINTEST)
    paper = 1 - np.tanh(PRESSURE * np.maximum(darker - LIGHT, 0))
    grey = (paper * 255).round().astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2)
