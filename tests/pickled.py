"""Pickles of networks, assembled instruction by instruction, for content that no pickler writes.

A piece of a pickle is bytes that leave one value on the stack. Pieces use protocol 2, unless they
have instructions of a later one.
"""

import struct
from typing import Any

import torch

__all__ = [
    "call",
    "file",
    "get",
    "items",
    "name",
    "network",
    "number",
    "pairs",
    "put",
    "raw",
    "state",
    "storage",
    "tensor",
    "text",
]

NONE, FALSE = b"N", b"\x89"


def name(module: str, of: str) -> bytes:
    return f"c{module}\n{of}\n".encode()


def text(letters: str) -> bytes:
    return b"X" + struct.pack("<I", len(letters.encode())) + letters.encode()


def number(value: int) -> bytes:
    length = value.bit_length() // 8 + 1
    return b"\x8a" + bytes([length]) + value.to_bytes(length, "little", signed=True)


def raw(content: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(content)) + content


def items(*pieces: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(pieces) + b"t"


def pairs(content: dict[str, bytes]) -> bytes:
    """A dictionary."""
    return b"(" + b"".join(text(key) + piece for key, piece in content.items()) + b"d"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + items(*arguments) + b"R"


def put(key: int) -> bytes:
    return b"r" + struct.pack("<I", key)


def get(key: int) -> bytes:
    return b"j" + struct.pack("<I", key)


def state(**changes: bytes) -> bytes:
    """The attributes of a module, of which there are no more than must be."""
    needed = dict.fromkeys(("_parameters", "_buffers", "_modules"), b"}")
    return pairs({**needed, **changes})


def network(of: bytes | None = None, *, source: str = "", class_name: bytes | None = None) -> bytes:
    about = {
        "type": text("class"),
        "version": number(6),
        "module_src": text(source),
        "class_name": class_name or text("Generator"),
        "state": state() if of is None else of,
    }
    rebuild = name("torch_utils.persistence", "_reconstruct_persistent_obj")
    return call(rebuild, pairs(about))


def file(generator: bytes, *, before: bytes = b"", **others: bytes) -> bytes:
    """A file; `before` leaves values in the memo and none on the stack."""
    return b"\x80\x02" + before + pairs({"G_ema": generator, **others}) + b"."


def storage(values: torch.Tensor) -> bytes:
    typed = torch.storage.TypedStorage(
        wrap_storage=values.untyped_storage(), dtype=values.dtype, _internal=True
    )
    return typed.__reduce__()[1][0]


def tensor(stored: bytes, *, sizes: Any, strides: Any, offset: int = 0) -> bytes:
    shape = [items(*map(number, part)) for part in (sizes, strides)]
    loaded = call(name("torch.storage", "_load_from_bytes"), stored)
    hooks = call(name("collections", "OrderedDict"))
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    return call(rebuild, loaded, number(offset), *shape, FALSE, hooks)
