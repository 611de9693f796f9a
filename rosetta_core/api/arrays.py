"""The method as functions on arrays: correlations, best buddies, Rosetta neurons and concepts.

They compute what the workflow computes, with its engine (paper, Eq. 1 to 3 and Sec. 3).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from rosetta_core.api.arguments import check_neighbours, check_share, memory_bytes, whole_number
from rosetta_core.config.sections import Activations
from rosetta_core.errors import RosettaError, one_line
from rosetta_core.mining.correlation.moments import alive_units
from rosetta_core.mining.correlation.pearson import correlate_blocks
from rosetta_core.mining.matching.best_buddies import best_buddies as mutual_neighbours
from rosetta_core.mining.matching.best_buddies import neighbour_table
from rosetta_core.mining.matching.concepts import concept_table, rosetta_table
from rosetta_core.mining.matching.topk import mask_self, topk
from rosetta_core.mining.sources.in_memory import InMemoryActivations, Maps
from rosetta_core.runtime.devices import resolve_device

__all__ = ["best_buddies", "concepts", "correlate", "rosetta_neurons"]

UNIT = ["layer", "channel"]  # names of the levels of an index of units
NAMES = ["pivot_layer", "pivot_channel", "layer", "channel"]
MIN_RELATIVE_STD = Activations().min_relative_std
SAME = 0.9999  # least correlation of a unit with itself


def correlate(
    pivot: Mapping[str, Maps] | Maps,
    model: Mapping[str, Maps] | Maps,
    *,
    device: str | torch.device | None = None,
    memory_budget: str = "2 GiB",
    min_relative_std: float = MIN_RELATIVE_STD,
) -> pd.DataFrame:
    """Return the Pearson correlations of all units of two models over all images and positions.

    Maps of different grids are compared at the larger one, as if the smaller ones were resized
    bilinearly (paper, Eq. 1 and 2); no map is resized.

    Args:
        pivot: maps (n, c, h, w) of the units in rows, by layer; or those of a single layer.
        model: maps (n, c, h, w) of the units in columns, on the same images; grids may differ.
        device: device of the computation; None: the device of the maps.
        memory_budget: working memory, for example "2 GiB".
        min_relative_std: units with a std below this fraction of |mean| are dead.

    Returns:
        Correlations with layer and channel as the index and as the columns, float32; NaN where a
        unit is dead or constant.

    Raises:
        RosettaError: the maps are not real, finite (n, c, h, w); or they differ in the number of
            images or in their device.
    """
    check_share("min_relative_std", min_relative_std)
    rows, columns = _source(pivot, "pivot"), _source(model, "model")
    if rows.images != columns.images:
        raise RosettaError(
            f"model: has maps of {columns.images} images, and the pivot of {rows.images}; use the "
            "same images for both"
        )
    if device is None and rows.device != columns.device:
        raise RosettaError(
            f"model: its maps are on {columns.device}, and the pivot's on {rows.device}; move them "
            "or give device"
        )
    blocks = correlate_blocks(
        rows,
        [columns],
        memory_budget=memory_bytes("memory_budget", memory_budget),
        device=rows.device if device is None else resolve_device(str(device)),
        threads=torch.get_num_threads(),
    )
    corr = np.concatenate([block.corr for block in blocks], axis=1)
    alive = [
        np.concatenate([alive_units(x, min_relative_std=min_relative_std) for x in part.moments()])
        for part in (rows, columns)
    ]
    corr[~np.logical_and.outer(*alive)] = np.nan
    return pd.DataFrame(corr, index=_units(rows), columns=_units(columns), copy=False)


def _source(maps: Mapping[str, Maps] | Maps, name: str) -> InMemoryActivations:
    by_layer = maps if isinstance(maps, Mapping) else {"maps": maps}
    return InMemoryActivations(by_layer, name=name)


def _units(source: InMemoryActivations) -> pd.MultiIndex:
    """Return layer and channel of all units of a source."""
    units = [(layer.name, channel) for layer in source.layers for channel in range(layer.channels)]
    return pd.MultiIndex.from_tuples(units, names=UNIT)


def best_buddies(
    corr: pd.DataFrame | NDArray[np.floating], *, k: int = 5, same_model: bool = False
) -> pd.DataFrame:
    """Return the pairs of units that are among each other's k nearest neighbours (paper, Eq. 3).

    Args:
        corr: correlations (units of the pivot, units of a model), see `correlate`; NaN is never a
            neighbour.
        k: number of neighbours of each unit.
        same_model: the rows and the columns are the same units, so that a unit is not its own
            neighbour.

    Returns:
        One row per pair: pivot_unit, unit (numbers of the row and the column), corr, pivot_rank
        (rank of the unit among the neighbours of the pivot unit) and unit_rank. For correlations of
        named units pivot_layer, pivot_channel, layer and channel are added.

    Raises:
        RosettaError: the correlations are not a matrix within -1..1, k is less than 1, or
            `same_model` contradicts the correlations.
    """
    try:
        values = np.asarray(corr, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise RosettaError(f"corr: is not a matrix of numbers ({one_line(error)})") from None
    if values.ndim != 2 or 0 in values.shape:
        raise RosettaError(f"corr: shape {values.shape} is not a matrix; use correlate")
    if not np.all(np.isnan(values) | (np.abs(values) <= 1 + 1e-5)):
        raise RosettaError(
            f"corr: has {np.nanmax(np.abs(values)):g}, beyond -1..1; give correlations"
        )
    whole_number("k", k)
    same = _is_same_model(values)
    if same_model and not same:
        raise RosettaError(
            "same_model: the correlations are not those of a model with itself; leave it out"
        )
    if not same_model and same:
        raise RosettaError(
            "corr: every unit correlates with itself, so the models are the same; give "
            "same_model=True"
        )
    check_neighbours(k, min(values.shape) - same_model, what="units of a model")
    if same_model:
        table = mutual_neighbours(neighbour_table(topk(mask_self(values), k), None))
    else:
        table = mutual_neighbours(neighbour_table(topk(values, k), topk(values.T, k)))
    if not isinstance(corr, pd.DataFrame):
        return table
    return _name(_name(table, corr.index, "pivot_unit", "pivot_"), corr.columns, "unit", "")


def _is_same_model(corr: NDArray[np.float32]) -> bool:
    """Return whether the correlations are of a model with itself, by their diagonal."""
    if corr.shape[0] != corr.shape[1]:
        return False
    diagonal = np.diagonal(corr)
    alive = ~np.isnan(diagonal)
    return bool(alive.any() and (diagonal[alive] > SAME).all())


def _name(table: pd.DataFrame, units: pd.Index, column: str, prefix: str) -> pd.DataFrame:
    """Add layer and channel of the units that a column numbers."""
    named = units[table[column]]
    if named.nlevels != len(UNIT):
        return table
    parts = {prefix + part: named.get_level_values(level) for level, part in enumerate(UNIT)}
    return table.assign(**parts)


def rosetta_neurons(
    buddies: Mapping[str, pd.DataFrame], within_pivot: pd.DataFrame
) -> pd.DataFrame:
    """Return the pivot units with a best buddy in every encoder, and their concepts.

    Concepts are the connected components of the Rosetta neurons under the pivot's best buddies with
    itself, numbered by descending mean correlation (paper, Sec. 3).

    Args:
        buddies: by encoder its best buddies with the pivot, see `best_buddies`.
        within_pivot: the pivot's best buddies with itself.

    Returns:
        One row per Rosetta neuron and best buddy: pivot_unit, model, unit, corr and concept; with
        layers and channels if the best buddies have them.

    Raises:
        RosettaError: there are no encoders, or a table is not one of best buddies.
    """
    if not isinstance(buddies, Mapping) or not buddies:
        raise RosettaError(
            "buddies: give a dictionary of the best buddies of at least one encoder by its name"
        )
    for name, table in {**buddies, "within_pivot": within_pivot}.items():
        missing = {"pivot_unit", "unit", "corr"} - set(getattr(table, "columns", ()))
        if missing:
            raise RosettaError(
                f"{name}: is not a table of best_buddies, it lacks {', '.join(sorted(missing))}"
            )
    _check_same_pivot(buddies, within_pivot)
    table = rosetta_table(buddies, within_pivot)
    named = [column for column in NAMES if all(column in part for part in buddies.values())]
    if not named:
        return table
    keys = ["pivot_unit", "model", "unit"]
    parts = [part.assign(model=model)[[*keys, *named]] for model, part in buddies.items()]
    return table.merge(pd.concat(parts, ignore_index=True), how="left", on=keys)


def _check_same_pivot(buddies: Mapping[str, pd.DataFrame], within: pd.DataFrame) -> None:
    """Refuse tables of different pivots, by their pairs and by the names of their units."""
    pairs = set(zip(within["pivot_unit"], within["unit"], strict=True))
    if pairs != {(other, unit) for unit, other in pairs}:
        raise RosettaError(
            "within_pivot: is not of the pivot with itself; use best_buddies(…, same_model=True)"
        )
    names: dict[int, tuple[str, int]] = {}
    for model, table in {"within_pivot": within, **buddies}.items():
        if not {"pivot_layer", "pivot_channel"} <= set(table.columns):
            continue
        own = table[["pivot_unit", "pivot_layer", "pivot_channel"]].drop_duplicates()
        for unit, layer, channel in own.itertuples(index=False):
            if names.setdefault(unit, (layer, channel)) != (layer, channel):
                raise RosettaError(
                    f"{model}: unit {unit} of the pivot is {layer}/{channel}, but "
                    f"{'/'.join(map(str, names[unit]))} in another table; use one pivot"
                )


def concepts(rosetta: pd.DataFrame) -> pd.DataFrame:
    """Return one row per concept of a table of Rosetta neurons.

    Args:
        rosetta: Rosetta neurons, see `rosetta_neurons`.

    Returns:
        concept, size (number of Rosetta neurons), pivot_units, and mean_corr and min_corr over all
        pairs of the concept; sorted by descending mean_corr.

    Raises:
        RosettaError: the table is not one of Rosetta neurons.
    """
    missing = {"concept", "pivot_unit", "corr"} - set(getattr(rosetta, "columns", ()))
    if missing:
        raise RosettaError(
            f"rosetta: is not a table of rosetta_neurons, it lacks {', '.join(sorted(missing))}"
        )
    return concept_table(rosetta)
