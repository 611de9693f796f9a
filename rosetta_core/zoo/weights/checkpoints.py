"""Files of weights: safetensors, `torch.save`, and pickled networks; nothing in them is executed.

The format is recognised by content, not by name. A safetensors file that `rosetta convert` wrote
states its network in the metadata `family`, `arguments` (JSON), `source_sha256` and `format`.
"""

import json
import pickletools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal, assert_never

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.pickles.networks import PickledModule, read_pickled_network

__all__ = ["Checkpoint", "extract_state_dict", "file_format", "read_checkpoint", "read_metadata"]

LEGACY_TORCH = 0x1950A86A20F9469CFC6C  # a torch.save before 1.6 starts with this number, pickled
PICKLE = b"\x80"  # the opcode PROTO, the start of every pickle since protocol 2
ENTRY = "G_ema"  # entry of the generator with weights averaged over training


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


def read_checkpoint(path: Path, *, entry: str | None = None) -> Checkpoint:
    """Read a file of weights of any supported format.

    Args:
        path: the file.
        entry: key of the network in a pickle, G_ema by default; files of other formats are read
            whole.

    Raises:
        RosettaError: the file is missing, damaged, or holds more than tensors.
    """
    if not path.is_file():
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
                return Checkpoint(load_file(path), *(read_metadata(path) or ()))
            case "torch":
                return Checkpoint(torch.load(path, map_location="cpu", weights_only=True))
            case _:
                assert_never(format)
    except RosettaError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        if isinstance(error, UnpicklingError):  # PyTorch's message suggests to read it unsafely
            reason = "it is damaged, or holds more than tensors"
        raise RosettaError(
            f"{path}: cannot be read as weights ({reason}); give a safetensors file, or a "
            "torch.save of nothing but tensors"
        ) from error


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
        if not isinstance(content, dict) or entry not in content:
            keys = list(content)[:5] if isinstance(content, dict) else type(content).__name__
            raise RosettaError(f"{path}: has no entry {entry!r}; choose from {keys}")
        content = content[entry]
    if not isinstance(content, dict):
        raise RosettaError(
            f"{path}: holds a {type(content).__name__}, not a state dict; give another file or "
            "entry"
        )
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    others = [name for name in content if str(name) not in tensors]
    if pure and others:
        raise RosettaError(
            f"{path}: {others[0]!r} is a {type(content[others[0]]).__name__}, not a tensor; choose "
            f"the entry of the state dict from {list(content)[:5]}"
        )
    if not tensors:
        raise RosettaError(f"{path}: has no tensors; choose the entry from {list(content)[:5]}")
    return tensors


def _recognise(module: PickledModule, path: Path) -> tuple[str | None, dict[str, Any] | None]:
    """Return the family and the constructor arguments of a pickled network, or None twice."""
    for family in (family for family in FAMILIES.values() if family.pickled):
        try:
            arguments = family.module().arguments_of(module)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise RosettaError(
                f"{path}: resembles {family.name}, but lacks an attribute of its networks "
                f"({error!r}); give "
                "another file"
            ) from None
        if arguments is not None:
            return family.name, arguments
    return None, None


def file_format(path: Path) -> Literal["safetensors", "torch", "pickle"]:
    """Return the format of a file of weights, from its first bytes; nothing is loaded.

    A safetensors file starts with the length of its header (8 bytes, little-endian) and the header,
    which is JSON. `torch.save` writes a zip file with data.pkl in it, or before version 1.6 a
    pickle that starts with a magic number.

    Raises:
        RosettaError: the file is missing, or has none of these formats.
    """
    try:
        with path.open("rb") as file:
            head = file.read(256)
        if len(head) > 8 and head[8:9] == b"{" and _length(head) <= path.stat().st_size - 8:
            return "safetensors"
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if any(Path(name).name == "data.pkl" for name in archive.namelist()):
                    return "torch"
    except (OSError, zipfile.BadZipFile) as error:
        raise RosettaError(
            f"{path}: cannot be read as weights ({error}); give another file"
        ) from error
    if head.startswith(PICKLE):
        return "torch" if LEGACY_TORCH in _first_values(head) else "pickle"
    raise RosettaError(
        f"{path}: is neither safetensors nor a torch.save nor a pickle; give a file of weights"
    )


def _length(head: bytes) -> int:
    return int.from_bytes(head[:8], "little")


def _first_values(head: bytes) -> Iterator[object]:
    """Yield the arguments of the first three instructions of a pickle."""
    try:
        for _, value, _ in islice(pickletools.genops(head), 3):  # PROTO, perhaps FRAME, a number
            yield value
    except ValueError:  # the head ends within an instruction
        return
