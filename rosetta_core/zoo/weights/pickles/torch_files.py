"""Files of `torch.save`, read as data: tensors, numbers, text and collections.

Since version 1.6 a file is a zip archive: `data.pkl`, and the elements of each storage in `data/`.
Before, it was five pickles followed by the storages. Other objects, for example the settings and
callbacks of a Lightning checkpoint, become an `InertObject` that only has their name; nothing is
imported or called. A pickled module becomes a `PickledModule`, which has a state dict.
"""

import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from rosetta_core.zoo.weights.pickles.networks import make_module, mapped, network_handler
from rosetta_core.zoo.weights.pickles.records import (
    DICT,
    PERSISTENT,
    Record,
    parse_pickle,
    record_pairs,
    referenced,
)
from rosetta_core.zoo.weights.pickles.tensors import (
    DTYPES,
    SMALL_DTYPES,
    STORAGES,
    UNTYPED,
    make_elements,
)
from rosetta_core.zoo.weights.pickles.values import MAX_KEY, Evaluator, Handler, printable

__all__ = ["InertObject", "read_torch_file"]

# a checkpoint with the state of an optimiser has a hundred instructions per tensor
MAX_INSTRUCTIONS = MAX_VALUES = 4_000_000
MAX_PICKLE = 2**30  # bytes of data.pkl
LOCAL_HEADER = 30  # bytes of the header of a file in a zip archive, before its name
DICTIONARIES = (DICT, "collections.OrderedDict", "collections.defaultdict")
TENSORS = ("torch._utils._rebuild_", "torch._tensor._rebuild_")


@dataclass(frozen=True)
class InertObject:
    """An object that was not made.

    Attributes:
        name: dotted name of its class, or of the function that would have made it.
    """

    name: str


def read_torch_file(path: Path, *, legacy: bool, shapes_only: bool = False) -> Any:
    """Read a file of `torch.save`.

    Args:
        path: the file.
        legacy: whether it was written before version 1.6.
        shapes_only: return tensors on the meta device, without reading their elements.

    Returns:
        Its content: tensors on the CPU, numbers, text, collections, modules and inert objects.

    Raises:
        ValueError: the file is damaged.
    """
    return (_read_legacy if legacy else _read_archive)(path, shapes_only)


def _read_archive(path: Path, shapes_only: bool) -> Any:
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        entries = {entry.filename: entry for entry in archive.infolist()}
        pickles = [name for name in entries if PurePosixPath(name).name == "data.pkl"]
        root = min(pickles, key=len).removesuffix("data.pkl")

        def content(entry: zipfile.ZipInfo) -> bytes:
            if entry.compress_type != zipfile.ZIP_STORED:
                return archive.read(entry)
            # PyTorch can write archives without checksums, which zipfile would refuse
            file.seek(entry.header_offset)
            header = file.read(LOCAL_HEADER)
            name_length, extra_length = struct.unpack("<HH", header[26:30])
            file.seek(entry.header_offset + LOCAL_HEADER + name_length + extra_length)
            return file.read(entry.file_size)

        order = entries.get(f"{root}byteorder")
        if order and order.file_size < 64 and content(order).strip() != b"little":
            raise ValueError("its numbers are not little-endian")
        if entries[f"{root}data.pkl"].file_size > MAX_PICKLE:
            raise ValueError("its pickle is too large")
        pickle = BytesIO(content(entries[f"{root}data.pkl"]))
        node = parse_pickle(pickle, max_instructions=MAX_INSTRUCTIONS)

        def read(key: str, size: int) -> bytes:
            entry = entries.get(f"{root}data/{key}")
            if entry is None or entry.file_size != size:
                actual = f"{entry.file_size:,} bytes" if entry else "missing"
                raise ValueError(f"storage {printable(key)} of {size:,} bytes is {actual}")
            return content(entry)

        return _evaluate(node, read, size=path.stat().st_size, shapes_only=shapes_only)


def _read_legacy(path: Path, shapes_only: bool) -> Any:
    with mapped(path) as file:
        for _ in range(2):  # a magic number and the version of the container
            parse_pickle(file)
        if ("little_endian", True) not in record_pairs(parse_pickle(file)):
            raise ValueError("its numbers are not little-endian")
        node = parse_pickle(file, max_instructions=MAX_INSTRUCTIONS)
        keys = parse_pickle(file, max_instructions=MAX_INSTRUCTIONS)
        sizes = {}  # bytes per element, by key of the storage
        for record in referenced(node):
            if record.name == PERSISTENT and _is_storage(record.arguments):
                key, dtype, _ = _describe_storage(record.arguments)
                sizes[key] = dtype.itemsize
        places, position = {}, file.tell()  # first byte and number of bytes of each storage
        for key in keys if isinstance(keys, list) else ():
            if key not in sizes or position + 8 > file.size():
                raise ValueError("a storage is unknown, or the file is cut short")
            count = struct.unpack("<q", file[position : position + 8])[0]
            places[key] = (position + 8, count * sizes[key])
            position += 8 + count * sizes[key]
            if count < 0 or position > file.size():
                raise ValueError("the file is cut short")

        def read(key: str, size: int) -> bytes:
            start, actual = places.get(key, (0, -1))
            if actual != size:
                raise ValueError(f"storage {printable(key)} has another size than stated")
            return file[start : start + size]

        return _evaluate(node, read, size=file.size(), shapes_only=shapes_only)


def _evaluate(node: Any, read: Callable[[str, int], bytes], *, size: int, shapes_only: bool) -> Any:
    """Return the value of the root of a file; storages are read once, when a tensor has them."""
    made: dict[str, Tensor] = {}

    def storage(values: Evaluator, arguments: Any) -> Tensor:
        key, dtype, count = _describe_storage(arguments)
        if key not in made:
            if shapes_only:
                made[key] = torch.empty(count, dtype=dtype, device="meta")
            else:
                made[key] = make_elements(values, read(key, count * dtype.itemsize), dtype)
        if made[key].dtype != dtype or len(made[key]) != count:
            raise ValueError(f"storage {printable(key)} has two descriptions")
        return made[key]

    evaluator = Evaluator(
        _handler,
        constants={**DTYPES, **SMALL_DTYPES},
        size=size,
        storages=storage,
        unknown=_unknown,
        max_values=MAX_VALUES,
    )
    return evaluator.value(node)


def _describe_storage(arguments: Any) -> tuple[str, torch.dtype, int]:
    """Return key, dtype and number of elements of ("storage", type, key, location, number)."""
    match arguments:
        case (("storage", Record(name=name), str(key), _, int(count), *view),) if count >= 0:
            dtype = torch.uint8 if name == UNTYPED else STORAGES.get(name)
            if dtype is not None and view in ([], [None]):
                return key, dtype, count
    raise ValueError("a storage without a description, or of an unknown type")


def _is_storage(arguments: Any) -> bool:
    return bool(arguments) and isinstance(arguments[0], tuple) and arguments[0][:1] == ("storage",)


def _handler(name: str) -> Handler | None:
    """Return the handler of a class or function; only damaged tensors are errors."""
    if name in DICTIONARIES:
        return _dictionary
    handler = network_handler(name)
    return handler if handler is None or name.startswith(TENSORS) else _tolerant(handler)


def _dictionary(values: Evaluator, record: Record) -> dict[Any, Any]:
    """Return a dictionary, without the pairs whose keys are not text or numbers."""
    pairs = values.pairs(record)
    return {
        values.key(key): values.value(value)
        for key, value in pairs
        if key is None or isinstance(key, str | float) or _is_small(key)
    }


def _is_small(key: Any) -> bool:
    return isinstance(key, int) and abs(key) < MAX_KEY


def _tolerant(handler: Handler) -> Handler:
    """Return a handler that makes an inert object of what is not supported."""

    def handle(values: Evaluator, record: Record) -> Any:
        depth = values.depth
        try:
            return handler(values, record)
        except ValueError:
            values.depth = depth
            return InertObject(printable(record.name))

    return handle


def _unknown(values: Evaluator, record: Record) -> Any:
    """Return the value of a class without a handler: a dictionary, a module, or inert."""
    if record.pairs:  # a class of its own that is a dictionary
        return _dictionary(values, record)
    state = record.state[0] if record.state else None
    if isinstance(state, Record) and state.name in DICTIONARIES:
        names = {key for key, _ in record_pairs(state) if isinstance(key, str)}
        if {"_parameters", "_buffers", "_modules"} <= names:
            return make_module(values, record.name.rpartition(".")[2], state)
    return InertObject(printable(record.name))
