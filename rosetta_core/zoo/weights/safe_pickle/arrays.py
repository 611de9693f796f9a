"""Arrays and scalars of numpy in a pickle's graph.

ARRAYS    by "module name" the handlers of arrays, scalars and their types

Types are of numbers only: a type of objects would be a pickle in a pickle.
"""

import math
import re
from typing import Any

import numpy as np

from rosetta_core.zoo.weights.safe_pickle.graph import Call
from rosetta_core.zoo.weights.safe_pickle.values import Handler, Values

__all__ = ["ARRAYS"]

NUMBER = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c8|c16)")


def _dtype(values: Values, call: Call) -> np.dtype:
    """A numpy dtype: dtype('f4', False, True), whose state holds the order of its bytes."""
    name = values.arguments(call, least=1, most=3)[0]
    if not isinstance(name, str) or not (parts := NUMBER.fullmatch(name)):
        raise ValueError("a numpy dtype that isn't of numbers")
    match call.state:
        case ((int(), "<" | ">" | "|" | "=" as order, *_),):
            return np.dtype(parts[1]).newbyteorder(order)
        case None:
            return np.dtype(name)
    raise ValueError("a numpy dtype of an odd state")


def _scalar(values: Values, call: Call) -> Any:
    dtype, raw = values.arguments(call, least=2)
    return _array_of(values, values.of(dtype), (), values.raw(raw), order="C").item()


def _array(values: Values, call: Call) -> np.ndarray:
    """A numpy array: _reconstruct(ndarray, (0,), b'b'), whose state holds everything."""
    match call.state:
        case ((_, shape, dtype, bool(fortran), raw),):
            dtype, sizes, raw = values.of(dtype), values.sizes(shape), values.raw(raw)
            return _array_of(values, dtype, sizes, raw, order="F" if fortran else "C")
    raise ValueError("a numpy array without its state")


def _buffer_array(values: Values, call: Call) -> np.ndarray:
    """A numpy array of protocol 5: _frombuffer(bytes, dtype, shape, order)."""
    raw, dtype, shape, order = values.arguments(call, least=4)
    dtype, raw = values.of(dtype), values.raw(raw)
    return _array_of(values, dtype, values.sizes(shape), raw, order="F" if order == "F" else "C")


def _array_of(
    values: Values, dtype: Any, shape: tuple[int, ...], raw: bytes, *, order: Any
) -> np.ndarray:
    if not isinstance(dtype, np.dtype) or len(raw) != math.prod(shape) * dtype.itemsize:
        raise ValueError("a numpy array whose bytes don't fit its shape")
    values.spend(len(raw))
    array = np.frombuffer(raw, dtype).reshape(shape, order=order)
    return array.astype(dtype.newbyteorder("="))


ARRAYS: dict[str, Handler] = {
    "numpy dtype": _dtype,
    "numpy.core.multiarray _reconstruct": _array,
    "numpy.core.multiarray scalar": _scalar,
    "numpy.core.numeric _frombuffer": _buffer_array,
}
