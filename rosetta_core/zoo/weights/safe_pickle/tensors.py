"""Tensors in a pickle's graph: storages and views of them, as torch writes them inline.

TENSORS    by "module name" the handlers of tensors and parameters
DTYPES     by "module name" the types of numbers

A tensor is a view, by offset, sizes and strides, of a storage. The storage stands in the pickle as
bytes: five pickles (a magic number, a protocol number, facts of the system, the storage as a
persistent id, the keys of storages), then the number of elements and the elements, little-endian:
the older container of torch.save. Where the tensors lay (cpu, cuda:N) makes no difference.
"""

import io
import math
import struct
from typing import Any

import torch
from torch import Tensor

from rosetta_core.zoo.weights.safe_pickle.graph import Call, Global, Pairs, Persistent, parse
from rosetta_core.zoo.weights.safe_pickle.values import Handler, Values, canonical, unknown

__all__ = ["DTYPES", "TENSORS"]

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
MOST_INSTRUCTIONS = 1000  # of a pickle around a storage; torch writes fewer than 100
STORAGES = {
    "BFloat16Storage": torch.bfloat16,
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ComplexDoubleStorage": torch.complex128,
    "ComplexFloatStorage": torch.complex64,
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "ShortStorage": torch.int16,
}
DTYPES = {f"torch {str(dtype).removeprefix('torch.')}": dtype for dtype in STORAGES.values()}


def _storage(values: Values, node: Any) -> Tensor:
    """All elements of a storage, as a vector."""
    if not isinstance(node, Call) or values.function(node.function) != (
        "torch.storage _load_from_bytes"
    ):
        raise ValueError("a tensor whose storage isn't inline")
    (raw,) = values.arguments(node, least=1)
    return values.once(raw, lambda: _elements(values, values.raw(raw)))


def _elements(values: Values, raw: bytes) -> Tensor:
    file = io.BytesIO(raw)
    magic, protocol, system, storage, _ = (parse(file, most=MOST_INSTRUCTIONS) for _ in range(5))
    if magic != MAGIC or protocol != PROTOCOL:
        raise ValueError("a storage of an unknown container")
    if not isinstance(system, Pairs) or ("little_endian", True) not in system.pairs:
        raise ValueError("a storage of numbers that aren't little-endian")
    match storage:
        case Persistent(("storage", Global(name), _, str(), int(count), None)):
            dtype = STORAGES.get(canonical(name).removeprefix("torch "))
        case _:
            raise ValueError("a storage of an odd description")
    if dtype is None:
        raise unknown([name])
    stored = file.read(8)
    size = len(raw) - file.tell()
    if len(stored) != 8 or struct.unpack("<q", stored)[0] != count:
        raise ValueError("a storage that says its size in two ways")
    if count < 0 or size != count * dtype.itemsize:
        raise ValueError(f"a storage of {size:,} bytes that says it has {count:,} elements")
    values.spend(size)
    elements = bytearray(memoryview(raw)[file.tell() :])
    if dtype == torch.bool and elements.strip(b"\0\1"):
        raise ValueError("a storage of truth values that are neither true nor false")
    if not elements:  # torch refuses to make a tensor of no bytes
        return torch.empty(0, dtype=dtype, device="cpu")
    return torch.frombuffer(elements, dtype=dtype)


def _tensor(values: Values, call: Call) -> Tensor:
    """_rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, hooks)."""
    tensor = values.once(call, lambda: _view(values, call))
    values.spend(tensor.nbytes)  # each time: a state dictionary may be copied
    return tensor


def _view(values: Values, call: Call) -> Tensor:
    node, offset, sizes, strides, *rest = values.arguments(call, least=4, most=7)
    elements, sizes, strides = _storage(values, node), values.sizes(sizes), values.sizes(strides)
    if len(rest) > 2 and rest[2] is not None:
        raise ValueError("a tensor with marks of its own")
    if len(sizes) != len(strides) or not isinstance(offset, int) or offset < 0:
        raise ValueError("a tensor of an odd shape")
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if math.prod(sizes) and last >= len(elements):
        raise ValueError(f"a tensor that reaches beyond its {len(elements):,} stored elements")
    if offset > len(elements) or math.prod(max(size, 1) for size in sizes) >= 2**62:
        raise ValueError("a tensor of an odd shape")
    return elements.as_strided(sizes, strides, offset)


def _parameter(values: Values, call: Call) -> Tensor:
    """_rebuild_parameter(tensor, requires_grad, hooks)."""
    tensor = values.of(values.arguments(call, least=2, most=4)[0])
    if not isinstance(tensor, Tensor):
        raise ValueError("a parameter that is no tensor")
    return tensor


def _of_type(values: Values, call: Call) -> Any:
    """_rebuild_from_type_v2(function, type, arguments, state): a tensor with attributes."""
    function, _, arguments, _ = values.arguments(call, least=4)
    return values.of(Call(function, arguments))


def _size(values: Values, call: Call) -> tuple[int, ...]:
    return values.sizes(values.arguments(call, least=1)[0])


def _device(values: Values, call: Call) -> str:
    return ":".join(str(values.of(part)) for part in values.arguments(call, least=1, most=2))


TENSORS: dict[str, Handler] = {
    "torch Size": _size,
    "torch device": _device,
    "torch._tensor _rebuild_from_type_v2": _of_type,
    "torch._utils _rebuild_parameter": _parameter,
    "torch._utils _rebuild_parameter_with_state": _parameter,
    "torch._utils _rebuild_tensor": _tensor,
    "torch._utils _rebuild_tensor_v2": _tensor,
}
