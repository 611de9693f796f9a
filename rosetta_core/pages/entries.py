"""From the tables and stores of a run to what the dictionary shows.

gather_entries      every concept with its units, its best images and their maps
gather_models       every model with what came of it
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rosetta_core.mining.examples import Example, best_examples, leading_units, unit_maps
from rosetta_core.mining.maps import Maps
from rosetta_core.mining.workers import Workers
from rosetta_core.pages.dictionary import Entry, ModelSummary, Unit
from rosetta_core.progress import Progress

__all__ = ["gather_entries", "gather_models"]

MOST_IMAGES = 128  # looked at at once; stores hold their maps in such blocks


def gather_entries(
    rosetta: pd.DataFrame,
    concepts: pd.DataFrame,
    *,
    units: Mapping[str, pd.DataFrame],
    maps: Mapping[str, Maps],
    images: Callable[[range], NDArray[np.uint8]],
    examples: int,
    memory_budget: int,
    threads: int,
) -> list[Entry]:
    """Return the concepts in order, each on the images where its leading units agree most.

    Args:
        rosetta: the table of Rosetta neurons.
        concepts: the table of concepts.
        units: by model its table of units; the pivot's first.
        maps: by model its maps.
        images: gives images (n, h, w, 3).
        examples: how many images per concept.
        memory_budget: bytes that maps may take at once.
        threads: how many of the CPU.
    """
    pivot = next(iter(units))
    by_concept = dict(list(rosetta.groupby("concept")))
    leading = {
        concept: {
            model: units[model].loc[unit]
            for model, unit in leading_units(members, pivot=pivot).items()
        }
        for concept, members in by_concept.items()
    }
    found = _find_examples(
        leading, maps, pivot=pivot, examples=examples, memory_budget=memory_budget, threads=threads
    )
    entries = []
    for row in concepts.itertuples():
        members, chosen, best = by_concept[row.concept], leading[row.concept], found[row.concept]
        pairs = members[members["pivot_unit"] == chosen[pivot]["unit"]]
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
                images=[example.image for example in best],
                pictures=[images(range(e.image, e.image + 1))[0] for e in best],
                maps={model: np.stack([e.maps[model] for e in best]) for model in chosen},
            )
        )
    return entries


def _find_examples(
    leading: Mapping[int, Mapping[str, pd.Series]],
    maps: Mapping[str, Maps],
    *,
    pivot: str,
    examples: int,
    memory_budget: int,
    threads: int,
) -> dict[int, list[Example]]:
    """Look at all images once, piece by piece, for those that show each concept best."""
    found: dict[int, list[Example]] = {concept: [] for concept in leading}
    held = sum(source.held() for source in maps.values())
    largest = min(MOST_IMAGES, max(1, memory_budget // 2 // held)) if held else MOST_IMAGES
    total = maps[pivot].images
    with Workers(threads) as workers, Progress("examples", total=total) as progress:
        for images in maps[pivot].pieces(largest):
            for source in maps.values():
                source.load(images, workers)

            def look(concept: int, images: range = images) -> list[Example]:
                shown = {
                    model: unit_maps(maps[model], unit, images)
                    for model, unit in leading[concept].items()
                }
                before = found[concept]
                return best_examples(pivot, shown, images, before=before, count=examples)

            for concept, best in zip(found, workers.map(look, list(found)), strict=True):
                found[concept] = best
            progress.advance(len(images))
    return found


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
