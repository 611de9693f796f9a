"""Which encoders two runs share: networks of one name, with the same weights and layers.

RunEncoders          those of a run
shared_encoders   the units of the encoders that two runs share
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import sha256_of
from rosetta_core.runs.paths import weights_file
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.checksums import read_record
from rosetta_core.zoo.weights.sources import RandomWeights, StoredWeights

__all__ = ["RunEncoders", "shared_encoders"]


@dataclass(frozen=True)
class RunEncoders:
    """The encoders of a run.

    Attributes:
        config: its resolved configuration.
        provenance: what made it; empty if that wasn't written down.
        units: by model the table of units.
    """

    config: Config
    provenance: Mapping[str, Any]
    units: Mapping[str, pd.DataFrame]


def shared_encoders(one: RunEncoders, other: RunEncoders) -> dict[str, pd.DataFrame]:
    """Return by encoder in both runs its table of units: alive are those that are in both.

    How an encoder sees images may differ, as with generators that frame their subject in other
    ways: its units are the same.

    Raises:
        RosettaError: the runs share none, or one of a name is another network, has other weights
            or other layers.
    """
    names = [[model.name for model in side.config.encoders] for side in (one, other)]
    shared = [name for name in names[0] if name in names[1]]
    if not shared:
        said = " and ".join(", ".join(side) for side in names)
        raise RosettaError(
            f"runs {one.config.run!r} and {other.config.run!r} share no encoder, but have {said}; "
            "mine both with the same"
        )
    found = {}
    for name in shared:
        networks = [_network(side, name) for side in (one, other)]
        for what, first in networks[0].items():
            second = networks[1][what]
            if not _same(first, second):
                raise RosettaError(
                    f"{name}: is another network in run {other.config.run!r} than in "
                    f"{one.config.run!r}: {what} {second} and {first}; mine both with the same"
                )
        tables = [side.units[name] for side in (one, other)]
        keys = ["unit", "layer", "channel"]
        if not tables[0][keys].equals(tables[1][keys]):
            raise RosettaError(
                f"{name}: runs {one.config.run!r} and {other.config.run!r} mined other layers of "
                "it; mine the same"
            )
        found[name] = tables[0].assign(alive=tables[0]["alive"] & tables[1]["alive"])
    return found


def _network(side: RunEncoders, name: str) -> dict[str, str]:
    """What tells a network from others, in words."""
    model = side.config.model(name)
    target, _, function = (model.target or "").rpartition(":")
    return {
        "family": model.family,
        "architecture": str(model.architecture),
        "arguments": str(model.arguments),
        # code of one's own may lie elsewhere
        "target": f"{PurePath(target).name}:{function}" if model.target else "None",
        "entry": str(getattr(model.weights, "entry", None)),
        "weights": _weights(model, side),
    }


def _weights(model: ModelSpec, side: RunEncoders) -> str:
    """The checksum of a model's weights, or else where they come from."""
    weights = model.weights
    if not isinstance(weights, StoredWeights):
        return f"random {weights.random}" if isinstance(weights, RandomWeights) else "its own"
    known = side.provenance.get("weights", {}).get(model.name, {}).get("sha256") or weights.sha256
    file = weights_file(model, Path(side.config.resources))
    if not known and file and file.is_file():
        record = read_record(file)
        known = record.sha256 if record else sha256_of(file)
    return f"SHA-256 {known}" if known else weights.source


def _same(one: str, other: str) -> bool:
    """Whether they are equal, or one is how the other begins, as checksums may be given."""
    checksums = one.startswith("SHA-256 ") and other.startswith("SHA-256 ")
    return one == other or (checksums and (one.startswith(other) or other.startswith(one)))
