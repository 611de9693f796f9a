"""NumPy arrays and PyTorch tensors in pickles, with their data inline.

PyTorch writes a tensor as a view, by offset, sizes and strides, of a storage. The storage is bytes
in the older container of `torch.save`: five pickles (a magic number, a protocol number, facts about
the system, the storage as a persistent id, the keys of storages), then the number of elements and
the elements, little-endian. The device of the tensor is ignored.
"""

import io
import math
import re
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rosetta_core.zoo.weights.pickles.records import (
    PERSISTENT,
    Record,
    parse_pickle,
    record_pairs,
)
from rosetta_core.zoo.weights.pickles.values import Evaluator, Handler, unsupported

__all__ = ["ARRAY_HANDLERS", "DTYPES", "SMALL_DTYPES", "STORAGES", "UNTYPED", "make_elements"]

MAX_INSTRUCTIONS = 1000  # of a pickle in a storage; PyTorch writes fewer than 100
STORAGE_MAGIC, STORAGE_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.BoolStorage": torch.bool,
    "torch.ByteStorage": torch.uint8,
    "torch.CharStorage": torch.int8,
    "torch.ComplexDoubleStorage": torch.complex128,
    "torch.ComplexFloatStorage": torch.complex64,
    "torch.DoubleStorage": torch.float64,
    "torch.FloatStorage": torch.float32,
    "torch.HalfStorage": torch.float16,
    "torch.IntStorage": torch.int32,
    "torch.LongStorage": torch.int64,
    "torch.ShortStorage": torch.int16,
}
UNTYPED = "torch.storage.UntypedStorage"  # of tensors whose dtype has no storage class
DTYPES = {str(dtype): dtype for dtype in STORAGES.values()}
# further dtypes of files of torch.save; no network of the zoo has them
SMALL_DTYPES = {
    str(dtype): dtype
    for dtype in (
        *(torch.uint16, torch.uint32, torch.uint64),
        *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
    )
}
# NumPy types of numbers; a type of objects would be a pickle in a pickle
NUMERIC = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|c8|c16)")


def _numpy_dtype(values: Evaluator, record: Record) -> np.dtype:
    """A call of dtype('f4', False, True), with the byte order in its state."""
    name = values.arguments(record, least=1, most=3)[0]
    if not isinstance(name, str) or not (parts := NUMERIC.fullmatch(name)):
        raise ValueError("a NumPy type that is not numeric")
    match record.state:
        case ((int(), "<" | ">" | "|" | "=" as order, *_),):
            return np.dtype(parts[1]).newbyteorder(order)
        case None:
            return np.dtype(name)
    raise ValueError("a NumPy type with an invalid state")


def _numpy_scalar(values: Evaluator, record: Record) -> Any:
    dtype, data = values.arguments(record, least=2)
    return _make_array(values, data, dtype, (), order="C").item()


def _numpy_array(values: Evaluator, record: Record) -> np.ndarray:
    """A call of _reconstruct(ndarray, (0,), b'b'), with everything in its state."""
    match record.state:
        case ((_, shape, dtype, bool(fortran), data),):
            return _make_array(values, data, dtype, shape, order="F" if fortran else "C")
    raise ValueError("a NumPy array without its state")


def _numpy_buffer(values: Evaluator, record: Record) -> np.ndarray:
    """A call of _frombuffer(bytes, dtype, shape, order), of protocol 5."""
    data, dtype, shape, order = values.arguments(record, least=4)
    return _make_array(values, data, dtype, shape, order="F" if order == "F" else "C")


def _make_array(values: Evaluator, data: Any, dtype: Any, shape: Any, *, order: Any) -> np.ndarray:
    dtype, sizes, data = values.value(dtype), values.sizes(shape), values.data(data)
    if not isinstance(dtype, np.dtype) or len(data) != math.prod(sizes) * dtype.itemsize:
        raise ValueError("a NumPy array whose bytes do not fit its shape")
    values.spend(len(data))
    array = np.frombuffer(data, dtype).reshape(sizes, order=order)
    return array.astype(dtype.newbyteorder("="))


def _storage(values: Evaluator, node: Any) -> Tensor:
    """Return all elements of a storage, as a vector."""
    if isinstance(node, Record) and node.name == PERSISTENT and values.storages is not None:
        return values.storages(values, node.arguments)
    if not isinstance(node, Record) or node.name != "torch.storage._load_from_bytes":
        raise ValueError("a tensor whose storage is not inline")
    (data,) = values.arguments(node, least=1)
    return values.once(data, lambda: _elements(values, values.data(data)))


def _elements(values: Evaluator, data: bytes) -> Tensor:
    file = io.BytesIO(data)
    magic, protocol, system, storage, _ = (
        parse_pickle(file, max_instructions=MAX_INSTRUCTIONS) for _ in range(5)
    )
    if magic != STORAGE_MAGIC or protocol != STORAGE_PROTOCOL:
        raise ValueError("a storage of an unknown container")
    if ("little_endian", True) not in record_pairs(system):
        raise ValueError("a storage that is not little-endian")
    key = storage.arguments[0] if isinstance(storage, Record) and storage.arguments else None
    match key:
        case ("storage", Record(name=name), _, _, int(count), None):
            dtype = STORAGES.get(name)
        case _:
            raise ValueError("a storage without a description")
    if dtype is None:
        raise unsupported([name])
    stated = file.read(8)
    size = len(data) - file.tell()
    if len(stated) != 8 or struct.unpack("<q", stated)[0] != count:
        raise ValueError("a storage with two different sizes")
    if count < 0 or size != count * dtype.itemsize:
        raise ValueError(f"a storage of {size:,} bytes that states {count:,} elements")
    return make_elements(values, memoryview(data)[file.tell() :], dtype)


def make_elements(values: Evaluator, data: bytes | memoryview, dtype: torch.dtype) -> Tensor:
    """Return the elements of a storage, from its little-endian bytes.

    Raises:
        ValueError: the values of the file would become too large, or a truth value is not 0 or 1.
    """
    values.spend(len(data))
    elements = bytearray(data)
    if dtype == torch.bool and elements.strip(b"\0\1"):
        raise ValueError("a storage of truth values with other bytes than 0 and 1")
    if not elements:  # PyTorch refuses an empty buffer
        return torch.empty(0, dtype=dtype, device="cpu")
    return torch.frombuffer(elements, dtype=dtype)


def _tensor(values: Evaluator, record: Record) -> Tensor:
    """A call of _rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, hooks)."""
    tensor = values.once(record, lambda: _view(values, record))
    values.spend(tensor.nbytes)  # each time, since a state dict may be copied
    return tensor


def _view(values: Evaluator, record: Record) -> Tensor:
    storage, offset, sizes, strides, *others = values.arguments(record, least=4, most=8)
    elements = _storage(values, storage)
    if record.name.endswith("_v3"):  # a storage of bytes, and the dtype
        elements = elements.view(values.value(others.pop(2)))
    sizes, strides = values.sizes(sizes), values.sizes(strides)
    if len(others) > 2 and others[2] is not None:
        raise ValueError("a tensor with metadata")
    if len(sizes) != len(strides) or not isinstance(offset, int) or offset < 0:
        raise ValueError("a tensor of an invalid shape")
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if math.prod(sizes) and last >= len(elements):
        raise ValueError(f"a tensor that reaches beyond its {len(elements):,} stored elements")
    if offset > len(elements) or math.prod(max(size, 1) for size in sizes) >= 2**62:
        raise ValueError("a tensor of an invalid shape")
    return elements.as_strided(sizes, strides, offset)


def _parameter(values: Evaluator, record: Record) -> Tensor:
    """A call of _rebuild_parameter(tensor, requires_grad, hooks)."""
    tensor = values.value(values.arguments(record, least=2, most=4)[0])
    if not isinstance(tensor, Tensor):
        raise ValueError("a parameter that is not a tensor")
    return tensor


def _typed_tensor(values: Evaluator, record: Record) -> Any:
    """A call of _rebuild_from_type_v2(function, type, arguments, state)."""
    function, _, arguments, _ = values.arguments(record, least=4)
    if not isinstance(function, Record) or not isinstance(arguments, tuple):
        raise ValueError("a tensor without a function that builds it")
    return values.value(Record(function.name, arguments))


def _size(values: Evaluator, record: Record) -> tuple[int, ...]:
    return values.sizes(values.arguments(record, least=1)[0])


def _device(values: Evaluator, record: Record) -> str:
    parts = values.arguments(record, least=1, most=2)
    return ":".join(str(values.value(part)) for part in parts)


ARRAY_HANDLERS: Mapping[str, Handler] = {
    "numpy.core.multiarray._reconstruct": _numpy_array,
    "numpy.core.multiarray.scalar": _numpy_scalar,
    "numpy.core.numeric._frombuffer": _numpy_buffer,
    "numpy.dtype": _numpy_dtype,
    "torch.Size": _size,
    "torch.device": _device,
    "torch._tensor._rebuild_from_type_v2": _typed_tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor,
}
