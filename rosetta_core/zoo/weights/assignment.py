"""Weights are fitted into a network.

load_weights    out of a file of weights, in place
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.zoo.layers import match_names
from rosetta_core.zoo.network import CheckpointConverter
from rosetta_core.zoo.weights.checkpoints import Checkpoint, extract_state_dict, read_checkpoint
from rosetta_core.zoo.weights.checksums import verify_weights
from rosetta_core.zoo.weights.sources import StoredWeights

__all__ = ["load_weights"]

COUNTER = "num_batches_tracked"  # BatchNorm's bookkeeping, absent from older files


def load_weights(
    network: nn.Module,
    path: Path,
    *,
    weights: StoredWeights,
    convert: CheckpointConverter | None = None,
    family: str | None = None,
) -> Checkpoint:
    """Fit a file of weights into a network, in place; return what else the file says.

    Args:
        network: to fit them into.
        path: of the file.
        weights: how to read it.
        convert: turns what a checkpoint holds into the network's state, where that is more than
            one entry of it.
        family: of the network; None for any.

    Raises:
        RosettaError: the file is missing, changed, unreadable, or of another network.
    """
    if not path.is_file():
        raise RosettaError(f"{path}: no such file of weights")
    verify_weights(path, weights)
    stored = read_checkpoint(path, entry=weights.entry)
    if family and stored.family not in (None, family):
        raise RosettaError(f"{path}: holds a {stored.family}, not a {family}")
    if convert and isinstance(stored.content, Mapping):
        source = dict(convert(stored.content))
    elif stored.pickled:
        source = stored.content
    else:
        source = extract_state_dict(stored.content, weights.entry, path=path)
    source = _named(source, weights, path=path)
    wanted = {name: v for name, v in network.state_dict().items() if _counts(name)}
    absent = _matching(wanted, weights.absent)
    wanted = {name: value for name, value in wanted.items() if name not in absent}
    if weights.match == "order":
        if len(source) != len(wanted):
            raise RosettaError(
                f"{path}: has {len(source)} entries and the network {len(wanted)}, so they cannot "
                "be matched in order"
            )
        source = dict(zip(wanted, source.values(), strict=True))
    _check_fit(source, wanted, path=path)
    network.load_state_dict(source, strict=False)
    return stored


def _counts(name: str) -> bool:
    return not name.endswith(COUNTER)


def _named(
    source: Mapping[str, Tensor], weights: StoredWeights, *, path: Path
) -> dict[str, Tensor]:
    """The entries of a file that belong to the network, by the names that they have there."""
    prefix = weights.prefix or ""
    found = {n.removeprefix(prefix): v for n, v in source.items() if n.startswith(prefix)}
    if not found:
        raise RosettaError(f"{path}: no entry begins with {prefix!r}, as {next(iter(source))!r}")
    ignored = _matching(found, weights.ignore)
    return {name: value for name, value in found.items() if name not in ignored and _counts(name)}


def _matching(names: Iterable[str], patterns: Sequence[str]) -> set[str]:
    return {name for pattern in patterns for name in match_names(names, pattern)}


def _check_fit(source: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, path: Path) -> None:
    for name, value in wanted.items():
        if name not in source:
            hint = did_you_mean(name, source)
            raise RosettaError(f"{path}: has no entry {name!r}, which the network needs{hint}")
        if source[name].shape != value.shape:
            raise RosettaError(
                f"{path}: entry {name!r} has shape {tuple(source[name].shape)}, the network "
                f"needs {tuple(value.shape)}"
            )
    if extra := [name for name in source if name not in wanted]:
        raise RosettaError(f"{path}: entry {extra[0]!r} belongs to another network")
