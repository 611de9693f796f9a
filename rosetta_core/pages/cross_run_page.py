"""Page of the concepts that match across two runs: a single page without scripts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.drawing.canvas import TILE
from rosetta_core.drawing.heatmap import contrast, overlay, picture
from rosetta_core.mining.examples.quantisation import dequantise
from rosetta_core.mining.examples.selection import top_examples
from rosetta_core.mining.examples.stores import ConceptExamples
from rosetta_core.mining.matching.cross_run import CrossRunMatches
from rosetta_core.mining.run_tables import unit_id
from rosetta_core.mining.significance.null_models import null_model
from rosetta_core.pages.templates import render

__all__ = ["Side", "write_cross_run_page"]

EXAMPLES = 4  # images of a concept
MAX_UNITS = 8  # of an encoder, listed by name
MAX_UNIT_PAIRS = 40  # the strongest are listed; the table under tables/ has all
WITHOUT_MATCHES = 6  # pairs shown when no pair is significant


@dataclass(frozen=True)
class Side:
    """One of the two runs.

    Attributes:
        run: name of the run.
        pivot: name of its pivot.
        rosetta: its table of Rosetta neurons.
        units: by model its table of units.
        examples: scores and maps of its concepts on all images.
        images: returns consecutive images (n, h, w, 3).
        duplicates: by image the number of its group of near-duplicates (n,).
        dictionary: address of its dictionary relative to the page; None if it has none.
        random: whether its pivot has random weights.
        nulls: names of the null models that its Rosetta neurons were tested against.
    """

    run: str
    pivot: str
    rosetta: pd.DataFrame
    units: Mapping[str, pd.DataFrame]
    examples: ConceptExamples
    images: Callable[[range], NDArray[np.uint8]]
    duplicates: NDArray[np.int32]
    dictionary: str | None
    random: bool
    nulls: Sequence[str]


def write_cross_run_page(
    folder: Path,
    matches: CrossRunMatches,
    sides: tuple[Side, Side],
    *,
    encoders: Sequence[str],
) -> None:
    """Write the page, its styles and its pictures into an existing folder.

    Args:
        folder: folder of the page; the caller makes the write atomic.
        matches: matches of the two runs.
        sides: the two runs.
        encoders: encoders that both runs have, in the order of the counts by encoder.
    """
    matched = matches.matched
    shown = matched if len(matched) else matches.pairs.head(WITHOUT_MATCHES)
    widths: list[dict[int, int]] = []
    for letter, side in zip("ab", sides, strict=True):
        pictures = folder / "pictures" / letter
        pictures.mkdir(parents=True)
        concepts = sorted(set(shown[f"concept_{letter}"].tolist()))
        widths.append(
            {one: _write_examples(pictures / f"{one}.webp", side, one) for one in concepts}
        )
    render(
        folder,
        "cross_run",
        sides=sides,
        encoders=encoders,
        concepts=[side.rosetta["concept"].nunique() for side in sides],
        matched_concepts=[matched[f"concept_{letter}"].nunique() for letter in "ab"],
        matched=len(matched),
        counts=list(matches.counts.itertuples()),
        pairs=[_pair(row, matches, sides, encoders) for row in shown.itertuples()],
        widths=widths,
        height=2 * TILE,
        null_model=null_model,
    )


def _write_examples(path: Path, side: Side, concept: int) -> int:
    """Write the best examples of a concept and, below each, the pivot's map over it.

    Returns:
        Width of the picture in pixels.
    """
    numbers = top_examples(side.examples.scores[concept], side.duplicates, count=EXAMPLES)
    maps = dequantise(side.examples.maps(concept, side.pivot)[numbers])  # (n, h, w)
    full = contrast(maps)
    originals = [side.images(range(number, number + 1))[0] for number in numbers]
    rows = [
        [picture(image, TILE) for image in originals],
        [
            overlay(image, activation, full=full, size=TILE)
            for image, activation in zip(originals, maps, strict=True)
        ],
    ]
    tiles = np.concatenate([np.concatenate(row, axis=1) for row in rows])
    Image.fromarray(tiles).save(path, quality=85, method=4)
    return tiles.shape[1]


def _pair(
    row: Any, matches: CrossRunMatches, sides: tuple[Side, Side], encoders: Sequence[str]
) -> dict[str, Any]:
    """Values of a pair of concepts for the template."""
    concepts = (row.concept_a, row.concept_b)
    members = [
        side.rosetta[side.rosetta["concept"] == concept]
        for side, concept in zip(sides, concepts, strict=True)
    ]
    unit_pairs = matches.shared_units
    unit_pairs = unit_pairs[
        (unit_pairs["concept_a"] == concepts[0]) & (unit_pairs["concept_b"] == concepts[1])
    ]
    lower = unit_pairs[["corr_a", "corr_b"]].min(axis=1).sort_values(ascending=False, kind="stable")
    strongest = unit_pairs.loc[lower.index[:MAX_UNIT_PAIRS]]
    return {
        "concepts": concepts,
        "neurons": [some["pivot_unit"].nunique() for some in members],
        "shared": int(row.n_shared),
        "encoders": int(row.n_encoders),
        "jaccard": float(row.jaccard),
        "p_value": float(row.p_value),
        "q_value": float(row.q_value),
        "by_encoder": [
            _in_encoder(model, int(shared), unit_pairs, members, sides[0])
            for model, shared in zip(encoders, row.n_shared_by_encoder, strict=True)
        ],
        "unit_pairs": [
            {
                "a": _id(sides[0], sides[0].pivot, one.pivot_unit_a),
                "via": _id(sides[0], one.model, one.unit),
                "b": _id(sides[1], sides[1].pivot, one.pivot_unit_b),
                "corr_a": one.corr_a,
                "corr_b": one.corr_b,
            }
            for one in strongest.itertuples()
        ],
        "all_unit_pairs": len(unit_pairs),
    }


def _in_encoder(
    model: str, shared: int, unit_pairs: pd.DataFrame, members: Sequence[pd.DataFrame], side: Side
) -> dict[str, Any]:
    """Units of an encoder that two concepts share, highest of the lower correlations first."""
    own = unit_pairs[unit_pairs["model"] == model]
    lower = own[["corr_a", "corr_b"]].min(axis=1)
    best = lower.groupby(own["unit"]).max().sort_values(ascending=False, kind="stable")
    units = [_id(side, model, int(unit)) for unit in best.index[:MAX_UNITS]]
    return {
        "model": model,
        "shared": shared,
        "sizes": [some.loc[some["model"] == model, "unit"].nunique() for some in members],
        "units": units,
        "more": shared - len(units),
    }


def _id(side: Side, model: str, unit: int) -> str:
    place = side.units[model].iloc[unit]
    return unit_id(model, str(place["layer"]), int(place["channel"]))
