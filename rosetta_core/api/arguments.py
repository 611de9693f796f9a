"""Checks of arguments, with errors of one line."""

import math
from typing import Any

import numpy as np

from rosetta_core.errors import RosettaError
from rosetta_core.validation import check_name, parse_bytes

__all__ = ["check_neighbours", "check_share", "memory_bytes", "model_name", "whole_number"]


def whole_number(key: str, value: Any, *, least: int = 1, most: int = 2**63 - 1) -> int:
    """Return an argument that is a whole number; RosettaError otherwise."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        limit = f"from {least} on" if most == 2**63 - 1 else f"from {least} to {most}"
        raise RosettaError(f"{key}: {value!r} is not a whole number {limit}")
    return int(value)


def check_share(key: str, value: Any, *, most: float = 1.0, zero: bool = True) -> float:
    """Return an argument from 0 to `most`; RosettaError otherwise."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or math.isnan(value) or not 0 <= value <= most or (value == 0 and not zero):
        raise RosettaError(f"{key}: {value!r} is not a number from 0 to {most:g}")
    return float(value)


def check_neighbours(k: int, units: int, *, what: str) -> None:
    """Check that a unit can have k neighbours among `units` units; RosettaError otherwise."""
    if k > units:
        raise RosettaError(
            f"k: {k} is more than the {units} {what} that can be neighbours; use a smaller k"
        )


def memory_bytes(key: str, value: Any) -> int:
    """Return the bytes of a memory size such as "2 GiB"; RosettaError for other values."""
    if not isinstance(value, str):
        raise RosettaError(f'{key}: {value!r} is not a memory size; write for example "2 GiB"')
    try:
        return parse_bytes(value)
    except ValueError as error:
        raise RosettaError(f"{key}: {error}") from None


def model_name(value: Any) -> str:
    """Return the name of a model, which is part of the ids of its units; RosettaError if bad."""
    if not isinstance(value, str):
        raise RosettaError(f"name: {value!r} is not a name; give a text")
    try:
        return check_name(value)
    except ValueError as error:
        raise RosettaError(f"name: {error}") from None
