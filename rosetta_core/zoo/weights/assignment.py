"""Assignment of the entries of a file of weights to the parameters of a network."""

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

COUNTER = "num_batches_tracked"  # counter of BatchNorm, absent from older files


def load_weights(
    network: nn.Module,
    path: Path,
    *,
    weights: StoredWeights,
    convert: CheckpointConverter | None = None,
    family: str | None = None,
) -> Checkpoint:
    """Load a file of weights into a network, in place.

    Args:
        network: module whose parameters and buffers are replaced.
        path: file of weights.
        weights: how the file is read and its entries are assigned.
        convert: converts the content of a checkpoint to the network's state dict, if that is more
            than one entry of it.
        family: family of the network; None accepts a file of any family.

    Returns:
        The content of the file, with the family and arguments that it states.

    Raises:
        RosettaError: the file is missing, changed or unreadable, or belongs to another network.
    """
    if not path.is_file():
        raise RosettaError(f"{path}: no such file; correct the path of the weights")
    verify_weights(path, weights)
    checkpoint = read_checkpoint(path, entry=weights.entry)
    if family and checkpoint.family not in (None, family):
        raise RosettaError(
            f"{path}: is of family {checkpoint.family}, not {family}; give another file"
        )
    if convert and isinstance(checkpoint.content, Mapping):
        source = dict(convert(checkpoint.content))
    elif checkpoint.pickled:
        source = checkpoint.content
    else:
        source = extract_state_dict(checkpoint.content, weights.entry, path=path)
    source = _select(source, weights, path=path)
    needed = {name: v for name, v in network.state_dict().items() if _is_needed(name)}
    absent = _matching(needed, weights.absent)
    needed = {name: value for name, value in needed.items() if name not in absent}
    if weights.match == "order":
        if len(source) != len(needed):
            raise RosettaError(
                f"{path}: has {len(source)} entries, but the network {len(needed)}; use match: "
                "name, "
                "or list the others in absent or ignore"
            )
        source = dict(zip(needed, source.values(), strict=True))
    _check_fit(source, needed, path=path)
    network.load_state_dict(source, strict=False)
    return checkpoint


def _is_needed(name: str) -> bool:
    return not name.endswith(COUNTER)


def _select(
    source: Mapping[str, Tensor], weights: StoredWeights, *, path: Path
) -> dict[str, Tensor]:
    """Return the entries of a file that belong to the network, without their prefix."""
    prefix = weights.prefix or ""
    entries = {n.removeprefix(prefix): v for n, v in source.items() if n.startswith(prefix)}
    if not entries:
        raise RosettaError(
            f"{path}: no entry starts with {prefix!r}; correct prefix (the first entry is "
            f"{next(iter(source))!r})"
        )
    ignored = _matching(entries, weights.ignore)
    return {k: v for k, v in entries.items() if k not in ignored and _is_needed(k)}


def _matching(names: Iterable[str], patterns: Sequence[str]) -> set[str]:
    return {name for pattern in patterns for name in match_names(names, pattern)}


def _check_fit(source: Mapping[str, Tensor], needed: Mapping[str, Tensor], *, path: Path) -> None:
    for name, value in needed.items():
        if name not in source:
            hint = did_you_mean(name, source)
            raise RosettaError(
                f"{path}: entry {name!r} is missing{hint}; give another file, or list it in absent"
            )
        if source[name].shape != value.shape:
            raise RosettaError(
                f"{path}: entry {name!r} has shape {tuple(source[name].shape)}, but the network "
                f"needs {tuple(value.shape)}; give weights of the same architecture"
            )
    if extra := [name for name in source if name not in needed]:
        raise RosettaError(
            f"{path}: entry {extra[0]!r} belongs to another network; give another file, or list it "
            "in ignore"
        )
