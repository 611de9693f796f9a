"""Clean files of weights, with their configuration, out of checkpoints that come as programs.

convert          write a safetensors file of a pickled network, or of a torch.save
Conversion        what was found
config_snippet          the lines of a configuration that use the file
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path, file_sha256
from rosetta_core.validation import Name
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.checkpoints import extract_state_dict, read_checkpoint

__all__ = ["Conversion", "config_snippet", "convert"]


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What was found in a checkpoint.

    Attributes:
        path: of the file that was written.
        sha256: its checksum.
        family: of the network; None if it is of none that rosetta builds.
        arguments: of its constructor.
        tensors: how many there are.
        numbers: how many they hold.
        resolution: side of the images that it draws, in pixels; None if that isn't known.
    """

    path: Path
    sha256: str
    family: str | None
    arguments: dict[str, Any] | None
    tensors: int
    numbers: int
    resolution: int | None


def convert(source: Path, target: Path, *, entry: str | None = None) -> Conversion:
    """Write the tensors of a checkpoint, and what network they are of, into a safetensors file.

    Args:
        source: an official pickle (.pkl), or a torch.save of tensors.
        target: the file to write, replaced if it is there.
        entry: key of the network or of the state dictionary in the checkpoint; G_ema in pickles
            and the whole of others, unless given.

    Raises:
        RosettaError: the source can't be read safely or isn't as its class says, or the target
            can't be written.
    """
    if target.suffix != ".safetensors":
        raise RosettaError(f"{target}: is no place for safetensors; end its name in .safetensors")
    if source.resolve() == target.resolve():
        raise RosettaError(f"{target}: is the source itself; give another name")
    stored = read_checkpoint(source, entry=entry)
    family, arguments = stored.family, stored.arguments
    within = None if stored.pickled else entry
    state = extract_state_dict(stored.content, within, path=source, pure=True)
    metadata = {"format": "pt", "source_sha256": file_sha256(source)}
    if family:
        metadata |= {"family": family, "arguments": _as_json(arguments, path=source)}
        arguments = json.loads(metadata["arguments"])  # as they will be read: lists, no tuples
        _check_fit(state, family, arguments, path=source)
    _write(target, state, metadata)
    return Conversion(
        path=target,
        sha256=file_sha256(target),
        family=family,
        arguments=arguments,
        tensors=len(state),
        numbers=sum(tensor.numel() for tensor in state.values()),
        resolution=stored.resolution,
    )


def config_snippet(converted: Conversion) -> str:
    """The lines of a configuration that make the converted network the pivot."""
    name: str | None
    try:
        name = TypeAdapter(Name).validate_python(converted.path.stem)
    except ValidationError:
        name = converted.family
    pivot = {
        "name": name,
        "family": converted.family,
        "arguments": converted.arguments,
        "weights": {"file": str(converted.path), "sha256": converted.sha256},
    }
    return yaml.safe_dump({"pivot": pivot}, sort_keys=False, allow_unicode=True)


def _check_fit(
    state: Mapping[str, Tensor], family: str, arguments: dict[str, Any] | None, *, path: Path
) -> None:
    """RosettaError unless the arguments build a network of these tensors."""
    try:
        with torch.device("meta"):
            built = FAMILIES[family].module().build(None, arguments=arguments)
    except RosettaError as error:
        raise RosettaError(f"{path}: {error}") from None
    wanted = {name: tuple(x.shape) for name, x in built.network.state_dict().items()}
    for name, shape in wanted.items():
        if name not in state or tuple(state[name].shape) != shape:
            found = tuple(state[name].shape) if name in state else "nothing"
            raise RosettaError(
                f"{path}: its arguments build a {family} whose {name} is {shape}; the file has "
                f"{found}"
            )
    if extra := [name for name in state if name not in wanted]:
        raise RosettaError(f"{path}: its arguments build a {family} without its {extra[0]!r}")


def _as_json(arguments: Any, *, path: Path) -> str:
    try:
        return json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RosettaError(f"{path}: its arguments can't be written down ({error})") from None


def _write(path: Path, state: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors whole, each with memory of its own, as safetensors wants them."""
    own = {name: x.clone(memory_format=torch.contiguous_format) for name, x in state.items()}
    try:
        content = save(own, metadata)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    except (OSError, SafetensorError) as error:
        raise RosettaError(f"{path}: cannot be written ({error})") from None
