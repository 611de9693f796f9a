"""Tables of units and pairs as steering functions take them, with means and deviations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.api.models import Model
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.map_targets import EncoderView
from rosetta_core.zoo.network import Encoder, Generator

__all__ = [
    "PIVOT",
    "UNITS",
    "check_units",
    "label_of",
    "steered_generator",
    "unit_numbers",
    "views_of",
]

UNITS = ("layer", "channel", "mean", "std")
PIVOT = ("pivot_layer", "pivot_channel", "pivot_mean", "pivot_std")
MAX_LABEL = 3  # units that are named in a caption


def check_units(
    table: Any, columns: Sequence[str], model: Model, *, key: str, model_column: str = "model"
) -> pd.DataFrame:
    """Return the units of a model in a table: layer, channel, mean and std.

    Args:
        table: table with one row per unit or per pair.
        columns: columns of the layer, channel, mean and standard deviation.
        model: the model.
        key: name of the argument.
        model_column: column of the model's name, if the table has it.

    Raises:
        RosettaError: the table is not one of units, a unit is not the model's, or it is dead.
    """
    if not isinstance(table, pd.DataFrame):
        raise RosettaError(f"{key}: {type(table).__name__} is not a table; see {_source(key)}")
    if missing := [name for name in columns if name not in table.columns]:
        raise RosettaError(f"{key}: the table lacks {', '.join(missing)}; see {_source(key)}")
    if table.empty:
        raise RosettaError(f"{key}: the table has no rows; give at least one")
    names = set(table[model_column]) if model_column in table.columns else set()
    if wrong := sorted(map(str, names - {model.name})):
        raise RosettaError(f"{key}: has units of {wrong[0]}, but the model is {model.name}")
    units = table[list(columns)].set_axis(list(UNITS), axis="columns").reset_index(drop=True)
    channels = {layer.name: layer.channels for layer in model.layers}
    for layer in units["layer"].drop_duplicates():
        if layer not in channels:
            raise RosettaError(
                f"{key}: {layer!r} is not a layer of {model.name}"
                f"{did_you_mean(str(layer), list(channels))}; its layers are {', '.join(channels)}"
            )
    for name in UNITS[1:]:
        if not pd.api.types.is_numeric_dtype(units[name]):
            raise RosettaError(f"{key}: column {name} has no numbers")
    count = units["layer"].map(channels)
    outside = units[~((units["channel"] >= 0) & (units["channel"] < count))]
    for row in outside.itertuples():
        raise RosettaError(
            f"{key}: {row.layer} of {model.name} has no channel {row.channel}; use 0 to "
            f"{channels[str(row.layer)] - 1}"
        )
    alive = np.isfinite(units["mean"]) & np.isfinite(units["std"]) & (units["std"] > 0)
    if "alive" in table.columns:
        alive &= table["alive"].to_numpy(bool)
    for row in units[~alive].itertuples():
        raise RosettaError(
            f"{key}: {model.name}/{row.layer}/{row.channel} is dead or has no mean and standard "
            "deviation; leave it out"
        )
    return units


def _source(key: str) -> str:
    """Return the method that returns an argument's table."""
    return "pairs() of a result of mining" if key == "pairs" else "neurons() of a result of mining"


def steered_generator(
    model: Model, units: pd.DataFrame | None = None, neurons: pd.DataFrame | None = None
) -> SteeredGenerator:
    """Return a generator with the statistics of some units.

    Args:
        model: the generator.
        units: layer, channel, mean and std of all units that are used, as from `check_units`;
            others have no statistics.
        neurons: layer and channel of the Rosetta neurons; None: none.
    """
    generator = model.network
    assert isinstance(generator, Generator)
    columns = [*UNITS, "unit", "height", "width", "alive"]
    table = pd.DataFrame(columns=columns)
    if units is not None:
        used = set(units["layer"])
        rows = [
            (layer.name, channel, layer.height, layer.width)
            for layer in model.layers
            if layer.name in used
            for channel in range(layer.channels)
        ]
        table = pd.DataFrame(rows, columns=["layer", "channel", "height", "width"])
        known = units.drop_duplicates(["layer", "channel"])
        table = table.merge(known, how="left", on=["layer", "channel"])
        table = table.assign(unit=np.arange(len(table)), alive=table["std"] > 0)
        table = table.astype({"mean": np.float64, "std": np.float64})
    steered = SteeredGenerator(
        model.name, generator, table, np.zeros(0, np.int64), generator.device
    )
    if neurons is None:
        return steered
    numbers = np.unique(unit_numbers(steered, neurons))
    return SteeredGenerator(model.name, generator, table, numbers, generator.device)


def unit_numbers(steered: SteeredGenerator, units: pd.DataFrame) -> NDArray[np.int64]:
    """Return the numbers of units in the order of a table of layers and channels."""
    numbers = steered.units.set_index(["layer", "channel"])["unit"]
    return numbers.loc[list(zip(units["layer"], units["channel"], strict=True))].to_numpy(np.int64)


def label_of(table: pd.DataFrame, units: pd.DataFrame, model: Model) -> str:
    """Return units in a few words: their concept, their names, or their number."""
    concepts = table["concept"].unique() if "concept" in table.columns else []
    if len(concepts) == 1:
        return f"concept {concepts[0]}"
    if len(units) > MAX_LABEL:
        return f"{len(units)} units of {model.name}"
    return ", ".join(f"{row.layer}/{row.channel}" for row in units.itertuples())


def views_of(pairs: Any, steered: SteeredGenerator, encoders: Sequence[Model]) -> list[EncoderView]:
    """Return encoders with their pairs, in the order of the encoders.

    Args:
        pairs: table of pairs of a unit of the generator and a unit of an encoder.
        steered: the generator.
        encoders: the encoders.

    Raises:
        RosettaError: the table names another encoder, or has no pairs with one.
    """
    if "model" not in pairs.columns:
        raise RosettaError(f"pairs: the table lacks model; see {_source('pairs')}")
    names = [encoder.name for encoder in encoders]
    if unknown := sorted(set(pairs["model"]) - set(names)):
        raise RosettaError(
            f"pairs: {unknown[0]} is not among the encoders ({', '.join(names)}); add it, or leave "
            "its pairs out"
        )
    views = []
    for encoder in encoders:
        rows = pairs[pairs["model"] == encoder.name]
        if rows.empty:
            raise RosettaError(f"{encoder.name}: has no pairs; leave the encoder out")
        units = check_units(rows, UNITS, encoder, key="pairs")
        own = rows[list(PIVOT[:2])].set_axis(["layer", "channel"], axis="columns")
        unique = units.drop_duplicates(["layer", "channel"]).reset_index(drop=True)
        unique = unique.assign(unit=unique.index)
        places = unique.set_index(["layer", "channel"])["unit"]
        numbers = places.loc[list(zip(units["layer"], units["channel"], strict=True))]
        both = [unit_numbers(steered, own), numbers.to_numpy(np.int64)]
        assert isinstance(encoder.network, Encoder)
        views.append(EncoderView(encoder.name, encoder.network, unique, np.stack(both, axis=1)))
    return views
