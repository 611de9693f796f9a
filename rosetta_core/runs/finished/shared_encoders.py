"""Encoders that two runs share: the same name, network, weights and layers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import pandas as pd

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import file_sha256
from rosetta_core.runs.paths import weights_file
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.checksums import read_record
from rosetta_core.zoo.weights.local import RandomWeights
from rosetta_core.zoo.weights.sources import StoredWeights

__all__ = ["RunEncoders", "shared_encoders"]


@dataclass(frozen=True)
class RunEncoders:
    """The encoders of a run.

    Attributes:
        config: resolved configuration.
        provenance: code, libraries, weights and machine; empty if they were not recorded.
        units: by model its table of units.
    """

    config: Config
    provenance: Mapping[str, Any]
    units: Mapping[str, pd.DataFrame]


def shared_encoders(first: RunEncoders, second: RunEncoders) -> dict[str, pd.DataFrame]:
    """Return by shared encoder its table of units, alive if alive in both runs.

    The preprocessing of images may differ, for example between generators that frame their subject
    differently: the units are the same.

    Raises:
        RosettaError: the runs share no encoder, or an encoder of one name is another network, or
            has other weights or layers.
    """
    names = [[model.name for model in run.config.encoders] for run in (first, second)]
    shared = [name for name in names[0] if name in names[1]]
    runs = f"runs {first.config.run!r} and {second.config.run!r}"
    if not shared:
        lists = " and ".join(", ".join(side) for side in names)
        raise RosettaError(
            f"{runs} share no encoder (they have {lists}); mine both with the same encoders"
        )
    units = {}
    for name in shared:
        networks = [_network(run, name) for run in (first, second)]
        for key, value in networks[0].items():
            if not _same(value, networks[1][key]):
                raise RosettaError(
                    f"{name}: differs between {runs} ({key} {value} and {networks[1][key]}); mine "
                    "both with the same network"
                )
        tables = [run.units[name] for run in (first, second)]
        keys = ["unit", "layer", "channel"]
        if not tables[0][keys].equals(tables[1][keys]):
            raise RosettaError(f"{name}: {runs} mined different layers; mine the same layers")
        units[name] = tables[0].assign(alive=tables[0]["alive"] & tables[1]["alive"])
    return units


def _network(run: RunEncoders, name: str) -> dict[str, str]:
    """Properties that identify a network, as text."""
    model = run.config.model(name)
    target, _, function = (model.target or "").rpartition(":")
    return {
        "family": model.family,
        "architecture": str(model.architecture),
        "arguments": str(model.arguments),
        # the user's own code may have been moved
        "target": f"{PurePath(target).name}:{function}" if model.target else "None",
        "entry": str(getattr(model.weights, "entry", None)),
        "weights": _weights(model, run),
    }


def _weights(model: ModelSpec, run: RunEncoders) -> str:
    """Checksum of a model's weights; their source if the checksum is unknown."""
    weights = model.weights
    recorded = run.provenance.get("weights", {}).get(model.name, {}).get("sha256")
    if model.family == "in_memory":
        return f"SHA-256 {recorded}" if recorded else "its own"
    if not isinstance(weights, StoredWeights):
        return f"random {weights.random}" if isinstance(weights, RandomWeights) else "its own"
    checksum = recorded or weights.sha256
    file = weights_file(model, Path(run.config.resources))
    if not checksum and file and file.is_file():
        record = read_record(file)
        checksum = record.sha256 if record else file_sha256(file)
    return f"SHA-256 {checksum}" if checksum else weights.source


def _same(first: str, second: str) -> bool:
    """Whether both are equal, or one checksum is a prefix of the other."""
    checksums = first.startswith("SHA-256 ") and second.startswith("SHA-256 ")
    prefix = first.startswith(second) or second.startswith(first)
    return first == second or (checksums and prefix)
