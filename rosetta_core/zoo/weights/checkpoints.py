"""What a file of weights holds, of whatever kind it is; nothing of it is run.

Stored             its content, and the network that it says it is of
read_checkpoint    safetensors, a torch.save of tensors, or a pickled network
read_metadata      the family and the arguments that a safetensors file says it is of
state_in           the state dictionary in a content

Metadata of a safetensors file that `rosetta convert` wrote are `family`, `arguments` (JSON),
`source_sha256` and `format`.
"""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.file_kind import kind_of
from rosetta_core.zoo.weights.safe_pickle.persisted import PersistedModule, read_persisted

__all__ = ["Stored", "read_checkpoint", "read_metadata", "state_in"]

PICKLED = ("stylegan2", "stylegan3", "stylegan_xl")  # families that are published as programs
ENTRY = "G_ema"  # the generator whose weights are averaged over training


@dataclass(frozen=True)
class Stored:
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


def read_checkpoint(path: Path, *, entry: str | None = None) -> Stored:
    """Read a file of weights, of the kind that its content shows.

    Args:
        path: of the file.
        entry: of the network in a pickle, G_ema unless given; of other files the whole is read.

    Raises:
        RosettaError: there is no such file, or it is no set of tensors.
    """
    if not path.is_file():
        raise RosettaError(f"{path}: no such file of weights")
    kind = kind_of(path)
    if kind == "pickle":
        module = read_persisted(path, entry or ENTRY)
        found = module.attributes.get("img_resolution")
        resolution = found if isinstance(found, int) else None
        return Stored(module.state_dict(), *_recognised(module, path), resolution, pickled=True)
    try:
        if kind == "safetensors":
            return Stored(load_file(path), *(read_metadata(path) or ()))
        return Stored(torch.load(path, map_location="cpu", weights_only=True))
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


def state_in(
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


def _recognised(module: PersistedModule, path: Path) -> tuple[str | None, dict[str, Any] | None]:
    """The family of a network, and the arguments that build it."""
    for family in PICKLED:
        try:
            arguments = importlib.import_module(FAMILIES[family]).arguments_of(module)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise RosettaError(
                f"{path}: looks like {family}, but lacks what its networks have ({error!r})"
            ) from None
        if arguments is not None:
            return family, arguments
    return None, None
