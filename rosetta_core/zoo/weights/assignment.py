"""Assignment of the entries of a file of weights to the parameters of a network.

Names, shapes and kinds of numbers have to fit: floating-point numbers of any width are converted to
those of the network, but quantised (integer) weights are refused.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.zoo.layers import match_names
from rosetta_core.zoo.network import CheckpointConverter
from rosetta_core.zoo.weights.checkpoints import (
    Checkpoint,
    extract_state_dict,
    kind_of,
    read_checkpoint,
)
from rosetta_core.zoo.weights.checksums import verify_weights
from rosetta_core.zoo.weights.local import AUTO
from rosetta_core.zoo.weights.sources import StoredWeights

__all__ = ["Reading", "check_weights", "load_weights"]

COUNTER = "num_batches_tracked"  # counter of BatchNorm, absent from older files
REPARAMETRISED = "_orig"  # suffix of weights of which a layer computes its weight in each pass
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
# last parts of names that `match: order` must not exchange, although their shapes may agree
ROLES = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a file of weights of a network is read.

    Attributes:
        weights: section of the configuration: entry, prefix, match, absent and ignore.
        convert: converts the content of a checkpoint to the network's state dict, if that is more
            than one entry of it.
        family: family of the network; None accepts a file of any family.
        unused: patterns of entries that files of the family have and the network does not use.
    """

    weights: StoredWeights
    convert: CheckpointConverter | None = None
    family: str | None = None
    unused: Sequence[str] = ()


def load_weights(network: nn.Module, path: Path, reading: Reading) -> Checkpoint:
    """Load a file of weights into a network, in place; return the content of the file.

    Raises:
        RosettaError: the file is missing, changed or unreadable, or belongs to another network.
    """
    if not path.exists():
        raise RosettaError(f"{path}: no such file; correct the path of the weights")
    verify_weights(path, reading.weights)
    checkpoint = read_checkpoint(path, entry=reading.weights.entry)
    network.load_state_dict(
        _assign(checkpoint, network.state_dict(), reading, path=path), strict=False
    )
    return checkpoint


def check_weights(
    needed: Mapping[str, Tensor], path: Path, reading: Reading, *, shapes_only: bool = True
) -> None:
    """Check that a file of weights fits a network, without loading it.

    Args:
        needed: parameters and buffers of the network; only their shapes and dtypes matter.
        path: file of weights.
        reading: how the file is read.
        shapes_only: read no elements, where the format allows it; False for a converter that may
            compute with them.

    Raises:
        RosettaError: the file is missing or unreadable, or belongs to another network.
    """
    checkpoint = read_checkpoint(path, entry=reading.weights.entry, shapes_only=shapes_only)
    _assign(checkpoint, needed, reading, path=path)


def _assign(
    checkpoint: Checkpoint, network: Mapping[str, Tensor], reading: Reading, *, path: Path
) -> dict[str, Tensor]:
    """Return the entries of a file by the names of the network's parameters."""
    weights = reading.weights
    if reading.family and checkpoint.family not in (None, reading.family):
        raise RosettaError(
            f"{path}: is of family {checkpoint.family}, not {reading.family}; give another file"
        )
    content = checkpoint.content
    if reading.convert and isinstance(content, Mapping):
        source = dict(reading.convert(content))
    elif checkpoint.pickled:
        source = content
    else:
        source = extract_state_dict(content, weights.entry, path=path)
    absent = _matching(network, weights.absent)
    needed = {n: x for n, x in network.items() if n not in absent and _is_needed(n)}
    prefix = weights.prefix or ""
    if weights.prefix == AUTO:
        prefix = _find_prefix(source, needed, path=path)
    entries = {n.removeprefix(prefix): v for n, v in source.items() if n.startswith(prefix)}
    if not entries:
        raise RosettaError(
            f"{path}: no entry starts with {prefix!r}; correct prefix (the first entry is "
            f"{next(iter(source))!r})"
        )
    ignored = _matching(entries, [*weights.ignore, *reading.unused]) | _stale(entries, needed)
    entries = {k: v for k, v in entries.items() if k not in ignored and _is_needed(k)}
    if weights.match == "order":
        entries = _in_order(entries, needed, path=path)
    for name, value in needed.items():
        if name in entries:
            problem = _misfit(name, entries[name], value)
        else:
            problem = _describe_missing(
                name, content, source=source, needed=needed, weights=weights, prefix=prefix
            )
        if problem:
            raise RosettaError(f"{path}: {problem}")
    if extra := [name for name in entries if name not in needed]:
        raise RosettaError(
            f"{path}: entry {extra[0]!r} belongs to another network; give another file, or list it "
            "in ignore"
        )
    return entries


def _is_needed(name: str) -> bool:
    return not name.endswith(COUNTER)


def _stale(entries: Iterable[str], needed: Mapping[str, Tensor]) -> set[str]:
    """Return weights that the network computes from others, which lie in the file next to them."""
    return {name for name in entries if name not in needed and f"{name}{REPARAMETRISED}" in needed}


def _matching(names: Iterable[str], patterns: Sequence[str]) -> set[str]:
    return {name for pattern in patterns for name in match_names(names, pattern)}


def _prefixes(source: Iterable[str], needed: Mapping[str, Tensor]) -> Counter[str]:
    """Count the parameters that a file has under each prefix of their names."""
    counts: Counter[str] = Counter()
    for name in source:
        prefix, rest = "", name
        while rest:
            if rest in needed:
                counts[prefix] += 1
            part, dot, rest = rest.partition(".")
            prefix += part + dot
    return counts


def _find_prefix(source: Iterable[str], needed: Mapping[str, Tensor], *, path: Path) -> str:
    """Return the prefix with which most parameters are in a file."""
    ranked = _prefixes(source, needed).most_common(2)
    if not ranked:
        raise RosettaError(
            f"{path}: has none of the network's parameters under any prefix, for example "
            f"{next(iter(needed), '')!r}; give another file"
        )
    if len(ranked) == 2 and ranked[0][1] == ranked[1][1]:
        raise RosettaError(
            f"{path}: the prefixes {ranked[0][0]!r} and {ranked[1][0]!r} fit equally well; set "
            "prefix to one of them"
        )
    return ranked[0][0]


def _in_order(
    entries: Mapping[str, Tensor], needed: Mapping[str, Tensor], *, path: Path
) -> dict[str, Tensor]:
    """Return entries by the names of the parameters at the same positions."""
    if len(entries) != len(needed):
        raise RosettaError(
            f"{path}: has {len(entries)} entries, but the network {len(needed)}; use match: name, "
            "or list the others in absent or ignore"
        )
    for name, entry in zip(needed, entries, strict=True):
        roles = [text.rpartition(".")[2] for text in (name, entry)]
        if roles[0] != roles[1] and set(roles) <= set(ROLES):
            raise RosettaError(
                f"{path}: match: order assigns {entry!r} to {name!r}; give a file with the order "
                "of the network, or use match: name"
            )
    return dict(zip(needed, entries.values(), strict=True))


def _describe_missing(
    name: str,
    content: Any,
    *,
    source: Mapping[str, Tensor],
    needed: Mapping[str, Tensor],
    weights: StoredWeights,
    prefix: str,
) -> str:
    """Return why a parameter is not in a file, and what to do."""
    state = content.get(weights.entry) if weights.entry and isinstance(content, dict) else content
    if isinstance(state, Mapping):
        value = state.get(prefix + name)
        if value is not None and not isinstance(value, Tensor):
            return (
                f"entry {prefix + name!r} is a {kind_of(value)}, not a plain tensor; give weights "
                "that are not quantised"
            )
    counts = _prefixes(source, needed)
    best = max(counts, key=lambda other: counts[other], default=prefix)
    if best != prefix and counts[best] > counts[prefix]:
        return (
            f"entry {name!r} is missing, but {counts[best]} of {len(needed)} entries have the "
            f"prefix {best!r}; set prefix: {best or 'null'}"
        )
    inner = {rest for full in needed for rest in _suffixes(full)}
    if not any(entry in needed for entry in source) and set(islice(source, 20)) <= inner:
        return (
            f"entry {name!r} is missing, since the file has the weights of a part of the network "
            f"(its first entry is {next(iter(source))!r}); load them in the target, or make that "
            "part the network"
        )
    return (
        f"entry {name!r} is missing{did_you_mean(name, source)}; give another file, or list it in "
        "absent"
    )


def _suffixes(name: str) -> Iterable[str]:
    while name:
        name = name.partition(".")[2]
        yield name


def _misfit(name: str, entry: Tensor, value: Tensor) -> str | None:
    """Return why an entry cannot be the value of a parameter, and what to do."""
    cure = "or list it in absent and ignore, if it is behind the mined layers"
    if entry.shape != value.shape:
        return (
            f"entry {name!r} has shape {tuple(entry.shape)}, but the network needs "
            f"{tuple(value.shape)}; give weights of the same architecture, {cure}"
        )
    if not _is_convertible(entry.dtype, value.dtype):
        kind = "quantised " if value.is_floating_point() else ""
        return (
            f"entry {name!r} has {kind}{_name(entry.dtype)} numbers, but the network needs "
            f"{_name(value.dtype)}; give weights in floating point, {cure}"
        )
    return None


def _is_convertible(source: torch.dtype, target: torch.dtype) -> bool:
    """Return whether numbers may be converted: floats to floats, integers to integers."""
    if target.is_floating_point:
        return source in FLOATS
    return source.is_complex == target.is_complex and not source.is_floating_point


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
