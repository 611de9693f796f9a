"""Conversion of checkpoints that are programs to safetensors, with the network's arguments."""

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
from rosetta_core.zoo.layers import match_names
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.checkpoints import extract_state_dict, read_checkpoint

__all__ = ["Conversion", "config_snippet", "convert"]


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """Result of a conversion.

    Attributes:
        path: file that was written.
        sha256: checksum of the file.
        family: family of the network; None if it is not recognised.
        arguments: constructor arguments of the network.
        tensors: number of tensors.
        numbers: number of elements of all tensors.
        resolution: side of generated images in pixels; None if unknown.
    """

    path: Path
    sha256: str
    family: str | None
    arguments: dict[str, Any] | None
    tensors: int
    numbers: int
    resolution: int | None


def convert(source: Path, target: Path, *, entry: str | None = None) -> Conversion:
    """Convert a checkpoint to a safetensors file that states its family and arguments.

    Args:
        source: official pickle (.pkl), or a torch.save of tensors.
        target: file to write; an existing file is replaced.
        entry: key of the network or of the state dict in the checkpoint; by default G_ema in a
            pickle, and the whole content of other files.

    Raises:
        RosettaError: the source cannot be read safely, its tensors do not fit its arguments, or
            the target cannot be written.
    """
    if target.suffix != ".safetensors":
        raise RosettaError(f"{target}: has another suffix; end the name in .safetensors")
    if source.resolve() == target.resolve():
        raise RosettaError(f"{target}: is the source; give another name")
    checkpoint = read_checkpoint(source, entry=entry)
    family, arguments = checkpoint.family, checkpoint.arguments
    within = None if checkpoint.pickled else entry
    state = extract_state_dict(checkpoint.content, within, path=source, pure=True)
    metadata = {"format": "pt", "source_sha256": file_sha256(source)}
    if family:
        metadata |= {"family": family, "arguments": _as_json(arguments, path=source)}
        arguments = json.loads(metadata["arguments"])  # lists instead of tuples
        _check_fit(state, family, arguments, path=source)
    _write(target, state, metadata)
    return Conversion(
        path=target,
        sha256=file_sha256(target),
        family=family,
        arguments=arguments,
        tensors=len(state),
        numbers=sum(tensor.numel() for tensor in state.values()),
        resolution=checkpoint.resolution,
    )


def config_snippet(converted: Conversion) -> str:
    """Return YAML of a configuration in which the converted network is the pivot."""
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
    """Raise a RosettaError unless the arguments build a network with these tensors."""
    try:
        with torch.device("meta"):
            built = FAMILIES[family].module().build(None, arguments=arguments)
    except RosettaError as error:
        raise RosettaError(f"{path}: {error}") from None
    expected = {name: tuple(x.shape) for name, x in built.network.state_dict().items()}
    for name, shape in expected.items():
        if name not in state or tuple(state[name].shape) != shape:
            actual = tuple(state[name].shape) if name in state else "nothing"
            raise RosettaError(
                f"{path}: its arguments build a {family} whose {name} is {shape}, but the file has "
                f"{actual}; give another file"
            )
    unused = {n for pattern in built.unused_entries for n in match_names(state, pattern)}
    if extra := [name for name in state if name not in expected and name not in unused]:
        raise RosettaError(
            f"{path}: its arguments build a {family} without {extra[0]!r}; give another file"
        )


def _as_json(arguments: Any, *, path: Path) -> str:
    try:
        return json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise RosettaError(
            f"{path}: its arguments cannot be written as JSON ({error}); give another file"
        ) from None


def _write(path: Path, state: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write tensors atomically; each is copied, since safetensors refuses shared memory."""
    copies = {name: x.clone(memory_format=torch.contiguous_format) for name, x in state.items()}
    try:
        content = save(copies, metadata)
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    except (OSError, SafetensorError) as error:
        raise RosettaError(f"{path}: cannot be written ({error}); choose another path") from None
