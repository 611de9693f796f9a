"""What a file of weights holds, of whatever kind it is; nothing of it is run.

Checkpoint             its content, and the network that it says it is of
read_checkpoint    safetensors, a torch.save of tensors, or a pickled network
read_metadata      the family and the arguments that a safetensors file says it is of
extract_state_dict           the state dictionary in a content

Metadata of a safetensors file that `rosetta convert` wrote are `family`, `arguments` (JSON),
`source_sha256` and `format`.
"""

import json
import pickletools
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.pickled_networks import PickledModule, read_pickled_network

__all__ = ["Checkpoint", "extract_state_dict", "file_format", "read_checkpoint", "read_metadata"]

LEGACY_TORCH = 0x1950A86A20F9469CFC6C  # torch.save before 1.6 begins with this number, pickled
PICKLE = b"\x80"  # the opcode PROTO, which begins every pickle since protocol 2
ENTRY = "G_ema"  # the generator whose weights are averaged over training


@dataclass(frozen=True)
class Checkpoint:
    """What a file of weights holds.

    Attributes:
        content: a state dictionary, or a dictionary with one among its values.
        family: of the network; None if the file doesn't say.
        arguments: of its constructor; None if the file doesn't say.
        resolution: side of the images that it draws, in pixels; None if the file doesn't say.
        pickled: whether it is a pickled network, of which `content` is the state.
    """

    content: Any
    family: str | None = None
    arguments: dict[str, Any] | None = None
    resolution: int | None = None
    pickled: bool = False


def read_checkpoint(path: Path, *, entry: str | None = None) -> Checkpoint:
    """Read a file of weights, of the kind that its content shows.

    Args:
        path: of the file.
        entry: of the network in a pickle, G_ema unless given; of other files the whole is read.

    Raises:
        RosettaError: there is no such file, or it is no set of tensors.
    """
    if not path.is_file():
        raise RosettaError(f"{path}: no such file of weights")
    kind = file_format(path)
    if kind == "pickle":
        module = read_pickled_network(path, entry or ENTRY)
        found = module.attributes.get("img_resolution")
        resolution = found if isinstance(found, int) else None
        return Checkpoint(module.state_dict(), *_recognised(module, path), resolution, pickled=True)
    try:
        if kind == "safetensors":
            return Checkpoint(load_file(path), *(read_metadata(path) or ()))
        return Checkpoint(torch.load(path, map_location="cpu", weights_only=True))
    except RosettaError:
        raise
    except Exception as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        if isinstance(error, UnpicklingError):  # torch says how to read it unsafely
            reason = "it is damaged, or holds more than tensors"
        raise RosettaError(
            f"{path}: cannot be read as weights ({reason}); give a safetensors file, or a "
            "torch.save of nothing but tensors"
        ) from error


def read_metadata(path: Path) -> tuple[str, dict[str, Any]] | None:
    """The family and the arguments of the network that a safetensors file is of, if it says so.

    RosettaError if the file can't be read, or says it in no way that can be understood.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        if "family" not in metadata:
            return None
        arguments = json.loads(metadata.get("arguments", ""))
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        raise RosettaError(f"{path}: has no readable metadata ({reason})") from None
    if metadata["family"] not in FAMILIES or not isinstance(arguments, dict):
        raise RosettaError(f"{path}: is of family {metadata['family']!r}, which isn't known")
    return metadata["family"], arguments


def extract_state_dict(
    content: Any, entry: str | None, *, path: Path, pure: bool = False
) -> dict[str, Tensor]:
    """The state dictionary in a checkpoint: all of it, or what stands under one key.

    RosettaError if there is none, or if it must be `pure` and holds more than tensors.
    """
    if entry is not None:
        if not isinstance(content, dict) or entry not in content:
            keys = list(content)[:5] if isinstance(content, dict) else type(content).__name__
            raise RosettaError(f"{path}: has no entry {entry!r}; it holds {keys}")
        content = content[entry]
    if not isinstance(content, dict):
        raise RosettaError(f"{path}: holds a {type(content).__name__}, no state dictionary")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    others = [name for name in content if str(name) not in tensors]
    if pure and others:
        raise RosettaError(
            f"{path}: {others[0]!r} is a {type(content[others[0]]).__name__}, no tensor; name the "
            f"state dictionary among {list(content)[:5]} as the entry"
        )
    if not tensors:
        raise RosettaError(f"{path}: holds no tensors; name the `entry` among {list(content)[:5]}")
    return tensors


def _recognised(module: PickledModule, path: Path) -> tuple[str | None, dict[str, Any] | None]:
    """The family of a network, and the arguments that build it."""
    for family in (family for family in FAMILIES.values() if family.pickled):
        try:
            arguments = family.module().arguments_of(module)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise RosettaError(
                f"{path}: looks like {family.name}, but lacks what its networks have ({error!r})"
            ) from None
        if arguments is not None:
            return family.name, arguments
    return None, None


def file_format(path: Path) -> Literal["safetensors", "torch", "pickle"]:
    """Return in which kind of file weights are.

    A safetensors file begins with the length of its header (8 bytes, the lowest first) and the
    header, which is JSON. What torch.save writes is a zip file with data.pkl in it, or of old a
    pickle of a number that no other pickle begins with. Nothing is loaded or run.

    Raises:
        RosettaError: there is no such file, or it is of no such kind.
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
        raise RosettaError(f"{path}: can't be read as weights ({error})") from error
    if head.startswith(PICKLE):
        return "torch" if LEGACY_TORCH in _first_values(head) else "pickle"
    raise RosettaError(
        f"{path}: cannot be read as weights (it is neither safetensors nor written by torch.save "
        "nor a pickle)"
    )


def _length(head: bytes) -> int:
    return int.from_bytes(head[:8], "little")


def _first_values(head: bytes) -> Iterator[object]:
    """What the first operations of a pickle are about."""
    try:
        for _, value, _ in islice(pickletools.genops(head), 3):  # PROTO, maybe FRAME, a number
            yield value
    except ValueError:  # the head ends within an operation
        return
