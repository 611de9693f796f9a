"""Strict JSON: bounded size and depth, no duplicate keys, finite numbers, valid Unicode.

All JSON of a run is read here, since a run may come from others. Python's own reader accepts NaN
and Infinity, keeps the last of duplicate keys, and raises RecursionError on deep nesting. Integers
are bounded as in most other readers, to 64 bits.
"""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

from rosetta_core.io.regular_files import MAX_TEXT, read_regular

__all__ = ["parse_json", "read_json"]

MAX_DEPTH = 50  # of lists and mappings within each other
MAX_INTEGER = 2**64
MAX_DIGITS = 20


def read_json(path: Path, *, max_bytes: int = MAX_TEXT) -> Any:
    """Return the content of a regular file of JSON.

    Raises:
        OSError: the file is missing, cannot be read, or is not a regular file.
        ValueError: as in `parse_json`, or the file has more than `max_bytes` bytes.
    """
    return parse_json(read_regular(path, max_bytes=max_bytes))


def parse_json(content: bytes | str) -> Any:
    """Return the values of JSON in UTF-8.

    Raises:
        ValueError: the content is not UTF-8, not JSON, nested more than 50 levels deep, or has a
            duplicate key, a number that is not finite, an integer of more than 64 bits, or a
            character that is half of a surrogate pair.
    """
    text = content.decode() if isinstance(content, bytes) else content
    try:
        values = json.loads(
            text,
            object_pairs_hook=_mapping,
            parse_constant=_refuse_constant,
            parse_float=_number,
            parse_int=_integer,
        )
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from None
    _check(values)
    return values


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        (repeated, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"duplicate key {repeated[:40]!r}")
    return content


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not a number in JSON")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large")
    return value


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS + 1 or abs(int(text)) >= MAX_INTEGER:
        raise ValueError(f"{text[:40]} is too large")
    return int(text)


def _check(values: Any) -> None:
    """Check depth and texts; iterative, since depth is what is checked."""
    pending = [(values, 1)]
    while pending:
        value, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        if isinstance(value, dict):
            pending += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            pending += [(part, depth + 1) for part in value]
        elif isinstance(value, str):
            value.encode()  # UnicodeEncodeError, a ValueError
