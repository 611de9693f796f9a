"""Data files of the pages, and the encoding of arrays and numbers in them.

A data file is a small script, because a page opened from disk cannot read any other file.
Missing numbers (NaN) are written as null and never as 0.
"""

import base64
import json
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["pack", "rounded", "significant", "write_data"]


def write_data(folder: Path, key: str, content: Any) -> None:
    """Write `data/{key}.js`, which calls `rosetta.receive(key, content)`.

    Args:
        folder: folder of the pages.
        key: path of digits, letters and slashes; it never contains names of models or layers.
        content: any JSON value; NaN and infinity are refused.

    Raises:
        ValueError: the content contains NaN or infinity.
    """
    path = folder / "data" / f"{key}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    path.write_text(f"rosetta.receive({json.dumps(key)},{text});\n", encoding="utf-8")


def pack(arrays: Iterable[NDArray[np.uint8]]) -> str:
    """Return the concatenated bytes of arrays as text: zlib, then base64.

    The counterpart in the browser is `rosetta.unpack` (dictionary/static/core.js).
    """
    content = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    return base64.b64encode(zlib.compress(content, 6)).decode("ascii")


def rounded(values: ArrayLike, digits: int = 3) -> list[float | None]:
    """Return values rounded to that many decimals; NaN and infinity become None."""
    numbers = np.asarray(values, np.float64).round(digits) + 0.0  # no negative zero
    return [value if np.isfinite(value) else None for value in numbers.tolist()]


def significant(values: ArrayLike, digits: int = 4) -> list[float | None]:
    """Return values with that many significant digits; NaN and infinity become None."""
    numbers = (np.asarray(values, np.float64) + 0.0).tolist()  # no negative zero
    return [float(f"{value:.{digits}g}") if np.isfinite(value) else None for value in numbers]
