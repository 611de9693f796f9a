"""From the tables and stores of a run to what the dictionary shows.

gather_entries      every concept with its units, its best images and their maps
gather_models       every model with what came of it
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.examples import evidence, leading_units, top_images, unit_maps
from rosetta_core.mining.stored_maps import StoredMaps
from rosetta_core.pages.dictionary import Entry, ModelSummary, Unit
from rosetta_core.progress import Progress

__all__ = ["gather_entries", "gather_models"]


def gather_entries(
    rosetta: pd.DataFrame,
    concepts: pd.DataFrame,
    *,
    units: Mapping[str, pd.DataFrame],
    maps: Mapping[str, StoredMaps],
    images: NDArray[np.uint8],
    examples: int,
) -> list[Entry]:
    """Return the concepts in order, each on the images where its leading units agree most.

    Args:
        rosetta: the table of Rosetta neurons.
        concepts: the table of concepts.
        units: by model its table of units; the pivot's first.
        maps: by model its stored maps.
        images: all images (n, h, w, 3).
        examples: how many images per concept.
    """
    pivot = next(iter(units))
    entries = []
    by_concept = dict(list(rosetta.groupby("concept")))
    with Progress("examples", total=len(concepts), unit="concepts") as progress:
        for row in concepts.itertuples():
            members = by_concept[row.concept]
            leading = leading_units(members, pivot=pivot)
            chosen = {model: units[model].loc[unit] for model, unit in leading.items()}
            all_maps = {
                model: unit_maps(maps[model], unit, range(len(images)))
                for model, unit in chosen.items()
            }
            scores = evidence(all_maps[pivot], {m: all_maps[m] for m in all_maps if m != pivot})
            best = top_images(scores, examples)
            pairs = members[members["pivot_unit"] == leading[pivot]]
            corr = pairs.set_index(["model", "unit"])["corr"]
            entries.append(
                Entry(
                    concept=row.concept,
                    size=row.size,
                    mean_corr=row.mean_corr,
                    min_corr=row.min_corr,
                    leading={
                        model: _unit(unit, None if model == pivot else corr[model, unit["unit"]])
                        for model, unit in chosen.items()
                    },
                    members=_members(members, row.pivot_units, units=units),
                    images=best,
                    pictures=[images[image] for image in best],
                    maps={model: values[best] for model, values in all_maps.items()},
                )
            )
            progress.advance()
    return entries


def _unit(unit: pd.Series, corr: float | None) -> Unit:
    return Unit(
        unit=int(unit["unit"]),
        layer=unit["layer"],
        channel=int(unit["channel"]),
        grid=f"{unit['height']}×{unit['width']}",
        corr=corr,
    )


def _members(
    members: pd.DataFrame, pivot_units: Sequence[int], *, units: Mapping[str, pd.DataFrame]
) -> dict[str, list[Unit]]:
    """All units of a concept by model; an encoder's unit with its best correlation."""
    pivot, *encoders = units
    result = {pivot: [_unit(units[pivot].loc[unit], None) for unit in pivot_units]}
    for model in encoders:
        best = members[members["model"] == model].groupby("unit")["corr"].max()
        best = best.sort_values(ascending=False, kind="stable")
        result[model] = [_unit(units[model].loc[unit], corr) for unit, corr in best.items()]
    return result


def gather_models(
    *,
    units: Mapping[str, pd.DataFrame],
    buddies: Mapping[str, pd.DataFrame],
    about: Mapping[str, Mapping[str, str]],
) -> list[ModelSummary]:
    """Return what the page says of every model, the pivot first.

    Args:
        units: by model its table of units; the pivot's first.
        buddies: by model its table of best buddies with the pivot.
        about: by model its role, network, source and licence.
    """
    pivot = next(iter(units))
    summaries = []
    for model, table in units.items():
        pairs = buddies[model]
        summaries.append(
            ModelSummary(
                name=model,
                layers=table["layer"].nunique(),
                units=len(table),
                dead=int((~table["alive"]).sum()),
                pairs=len(pairs) // 2 if model == pivot else len(pairs),
                matched=pairs["pivot_unit"].nunique(),
                **about[model],
            )
        )
    return summaries
