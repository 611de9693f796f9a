"""Data files of the pages: small scripts, since a page opened from disk can load nothing else.

write_data     content under a key, as a script that hands it over
pack           bytes as short text: zlib, then base64
thousandths    numbers as integers, which are short in JSON
significant    numbers with four digits
"""

import base64
import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["pack", "significant", "thousandths", "write_data"]


def write_data(folder: Path, key: str, content: Any) -> None:
    """Write `data/{key}.js`, which calls `rosetta.receive(key, content)`.

    Args:
        folder: of the pages.
        key: a path of digits, letters and slashes; names of models and layers never are in it.
        content: what JSON can hold; NaN and infinity can't be.
    """
    path = folder / "data" / f"{key}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    path.write_text(f"rosetta.receive({json.dumps(key)},{text});\n", encoding="utf-8")


def pack(arrays: Iterable[NDArray[np.uint8]]) -> str:
    """Return arrays of bytes, one behind the other, as text; `unpack` in data.js reads it."""
    content = b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
    return base64.b64encode(zlib.compress(content, 6)).decode("ascii")


def thousandths(values: ArrayLike) -> list[int]:
    """Return 1000 × each value, rounded; 0 where there is none."""
    return np.nan_to_num(np.asarray(values, np.float64) * 1000).round().astype(int).tolist()


def significant(values: Sequence[float] | NDArray) -> list[float]:
    """Return values with four significant digits."""
    return [float(f"{value:.4g}") for value in values]
