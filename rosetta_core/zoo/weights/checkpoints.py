"""Content of files of weights of all formats, read as data; nothing in them is executed.

A safetensors file that `rosetta convert` wrote states its network in the metadata `family`,
`arguments` (JSON), `source_sha256` and `format`. Large models are several safetensors files with an
index, `NAME.safetensors.index.json`, that names the file of each tensor.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.formats import file_format, read_safetensors_header
from rosetta_core.zoo.weights.pickles.networks import PickledModule, read_pickled_network
from rosetta_core.zoo.weights.pickles.torch_files import InertObject, read_torch_file
from rosetta_core.zoo.weights.shards import read_index

__all__ = ["Checkpoint", "extract_state_dict", "kind_of", "read_checkpoint", "read_metadata"]

ENTRY = "G_ema"  # entry of the generator with weights averaged over training
DTYPES = {  # of safetensors
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "C64": torch.complex64,
}


@dataclass(frozen=True)
class Checkpoint:
    """Content of a file of weights.

    Attributes:
        content: a state dict, or a dictionary with a state dict among its values.
        family: family of the network; None if the file does not state it.
        arguments: constructor arguments of the network; None if the file does not state them.
        resolution: side of generated images in pixels; None if the file does not state it.
        pickled: whether the file is a pickled network, whose state dict is `content`.
    """

    content: Any
    family: str | None = None
    arguments: dict[str, Any] | None = None
    resolution: int | None = None
    pickled: bool = False


def read_checkpoint(
    path: Path, *, entry: str | None = None, shapes_only: bool = False
) -> Checkpoint:
    """Read a file of weights of any supported format.

    Args:
        path: the file.
        entry: key of the network in a pickle, G_ema by default; files of other formats are read
            whole.
        shapes_only: return tensors on the meta device where the format allows it, which is quick.

    Raises:
        RosettaError: the file is missing, damaged, or not a file of weights.
    """
    if not path.exists():
        raise RosettaError(f"{path}: no such file; correct the path of the weights")
    format = file_format(path)
    try:
        match format:
            case "pickle":
                module = read_pickled_network(path, entry or ENTRY)
                side = module.attributes.get("img_resolution")
                resolution = side if isinstance(side, int) else None
                family, arguments = _recognise(module, path)
                return Checkpoint(module.state_dict(), family, arguments, resolution, pickled=True)
            case "safetensors":
                tensors = _read_safetensors(path, shapes_only)
                return Checkpoint(tensors, *(read_metadata(path) or ()))
            case "sharded":
                return Checkpoint(_read_shards(path, shapes_only))
            case "torch" | "legacy torch":
                legacy = format == "legacy torch"
                content = read_torch_file(path, legacy=legacy, shapes_only=shapes_only)
                is_module = isinstance(content, PickledModule)
                return Checkpoint(content.state_dict() if is_module else content)
            case _:
                assert_never(format)
    except RosettaError:
        raise
    except (
        *(ArithmeticError, EOFError, LookupError, MemoryError, OSError, RecursionError),
        *(RuntimeError, SafetensorError, TypeError, ValueError, zipfile.BadZipFile),
    ) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise RosettaError(
            f"{path}: cannot be read as weights ({reason}); it is damaged or incomplete, download "
            "it again"
        ) from error


def _read_safetensors(path: Path, shapes_only: bool) -> dict[str, Tensor]:
    header = read_safetensors_header(path)
    if not shapes_only:
        return load_file(path)
    return {
        name: torch.empty(about["shape"], dtype=DTYPES[about["dtype"]], device="meta")
        for name, about in header.items()
        if name != "__metadata__"
    }


def _read_shards(path: Path, shapes_only: bool) -> dict[str, Tensor]:
    """Read the tensors of all files that an index names."""
    tensors: dict[str, Tensor] = {}
    for shard, names in read_index(path).items():
        if not shard.is_file() or file_format(shard) != "safetensors":
            raise RosettaError(f"{shard}: is not a safetensors file; download all files of {path}")
        content = _read_safetensors(shard, shapes_only)
        for name in names:
            if name not in content:
                raise RosettaError(
                    f"{shard}: lacks {name!r}, which {path.name} places there; download both again"
                )
            tensors[name] = content[name]
    return tensors


def read_metadata(path: Path) -> tuple[str, dict[str, Any]] | None:
    """Return the family and the constructor arguments that a safetensors file states, if any.

    Raises:
        RosettaError: the metadata cannot be read, or the family is unknown.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        if "family" not in metadata:
            return None
        arguments = json.loads(metadata.get("arguments", ""))
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise RosettaError(
            f"{path}: metadata cannot be read ({reason}); convert the weights again"
        ) from None
    if metadata["family"] not in FAMILIES or not isinstance(arguments, dict):
        raise RosettaError(
            f"{path}: family {metadata['family']!r} is unknown; convert the weights again"
        )
    return metadata["family"], arguments


def extract_state_dict(
    content: Any, entry: str | None, *, path: Path, pure: bool = False
) -> dict[str, Tensor]:
    """Return the state dict in the content of a checkpoint.

    Args:
        content: content of a file of weights.
        entry: key of the state dict; None if it is the whole content.
        path: the file, for errors.
        pure: refuse a state dict with other values than tensors, instead of ignoring them.

    Raises:
        RosettaError: there is no such entry or there are no tensors; or the state dict is not pure.
    """
    if entry is not None:
        if not isinstance(content, Mapping) or entry not in content:
            keys = list(content)[:5] if isinstance(content, Mapping) else kind_of(content)
            raise RosettaError(f"{path}: has no entry {entry!r}; choose from {keys}")
        content = content[entry]
    if isinstance(content, PickledModule):
        content = content.state_dict()
    if not isinstance(content, Mapping):
        raise RosettaError(
            f"{path}: holds a {kind_of(content)}, not a state dict; give another file or entry"
        )
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    others = [name for name in content if str(name) not in tensors]
    if pure and others:
        raise RosettaError(
            f"{path}: {others[0]!r} is a {kind_of(content[others[0]])}, not a tensor; choose "
            f"the entry of the state dict from {list(content)[:5]}"
        )
    if not tensors:
        raise RosettaError(f"{path}: {_describe_content(content)}")
    return tensors


def kind_of(value: Any) -> str:
    """Return the name of a value's class, for errors."""
    match value:
        case InertObject(name=name):
            return name
        case PickledModule(class_name=name):
            return f"module {name}"
    return type(value).__name__


def _describe_content(content: Mapping[Any, Any]) -> str:
    """Return what a checkpoint has in place of tensors, and what to do."""
    if not content:
        return "has no tensors; give the original file of weights"
    states = [
        key
        for key, value in content.items()
        if isinstance(value, PickledModule)
        or (isinstance(value, Mapping) and any(isinstance(x, Tensor) for x in value.values()))
    ]
    if len(states) == 1:
        return f"has no tensors, but an entry with some; set entry: {states[0]}"
    if states:
        return f"has no tensors, but entries with some; set entry to one of {states[:8]}"
    kinds = ", ".join(f"{key!r} is a {kind_of(x)}" for key, x in list(content.items())[:3])
    return f"has no tensors ({kinds}); give the file of the state dict"


def _recognise(module: PickledModule, path: Path) -> tuple[str | None, dict[str, Any] | None]:
    """Return the family and the constructor arguments of a pickled network, or None twice."""
    for family in (family for family in FAMILIES.values() if family.pickled):
        try:
            arguments = family.module().arguments_of(module)
        except RosettaError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise RosettaError(
                f"{path}: resembles {family.name}, but lacks an attribute of its networks "
                f"({error!r}); give "
                "another file"
            ) from None
        if arguments is not None:
            return family.name, arguments
    return None, None
