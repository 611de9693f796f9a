"""The page of two runs' concepts, translated into each other: opened from disk or any web server.

Side                      a run, as the page shows it
write_translation_page    the page and its pictures, into a folder

There is one page, without scripts: `static/` has its template and its style, which adds to that of
the dictionary. It shows what lies beside it and loads nothing else.
"""

import shutil
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
from rosetta_core.mining.examples.concept_store import ConceptExamples
from rosetta_core.mining.examples.quantisation import dequantise
from rosetta_core.mining.examples.selection import top_examples
from rosetta_core.mining.matching.cross_run import CrossRunMatches
from rosetta_core.pages.templates import templates
from rosetta_core.runs.run_tables import unit_id

__all__ = ["Side", "write_translation_page"]

STATIC = Path(__file__).parent / "static"
DICTIONARY_STYLE = Path(__file__).parents[1] / "dictionary" / "static" / "style.css"
SHOWN = 4  # images of a concept
UNITS = 8  # of an encoder, by name
UNIT_PAIRS = 40  # the strongest; the table has all
ANYWAY = 6  # pairs, where none is beyond chance


@dataclass(frozen=True)
class Side:
    """A run, as the page shows it.

    Attributes:
        run: its name.
        pivot: the name of its pivot.
        rosetta: its table of Rosetta neurons.
        units: by model its table of units.
        examples: its concepts on all images.
        images: gives some of its images (n, h, w, 3).
        duplicates: by image its group of near-duplicates.
        dictionary: the address of its dictionary as seen from the page; None if it has none.
        random: whether its pivot has random weights.
        nulls: what its Rosetta neurons were held against; none of those here is chance's too.
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


def write_translation_page(
    folder: Path,
    matches: CrossRunMatches,
    sides: tuple[Side, Side],
    *,
    encoders: Sequence[str],
) -> None:
    """Write the page, its style and its pictures into a folder, which is there.

    Args:
        folder: where to; the caller sees to it that it appears whole.
        matches: of the two runs.
        sides: the runs.
        encoders: those that they share, in the order of the counts.
    """
    matched = matches.matched
    shown = matched if len(matched) else matches.pairs.head(ANYWAY)
    widths: list[dict[int, int]] = []
    for name, side in zip("ab", sides, strict=True):
        into = folder / "pictures" / name
        into.mkdir(parents=True)
        chosen = sorted(set(shown[f"concept_{name}"].tolist()))
        widths.append({one: _write_examples(into / f"{one}.webp", side, one) for one in chosen})
    environment = templates(STATIC)
    concepts = [set(side.rosetta["concept"].tolist()) for side in sides]
    met = [set(matched[f"concept_{name}"].tolist()) for name in "ab"]
    text = environment.get_template("page.html").render(
        sides=sides,
        encoders=encoders,
        concepts=[len(some) for some in concepts],
        met=[len(some) for some in met],
        matched=len(matched),
        counts=list(matches.counts.itertuples()),
        pairs=[_pair(row, matches, sides, encoders) for row in shown.itertuples()],
        widths=widths,
        height=2 * TILE,
    )
    (folder / "index.html").write_text(text, encoding="utf-8")
    shutil.copyfile(DICTIONARY_STYLE, folder / "style.css")
    shutil.copyfile(STATIC / "translation.css", folder / "translation.css")


def _write_examples(path: Path, side: Side, concept: int) -> int:
    """The images with the most scores of a concept and, below, the pivot's map over each.

    Returns:
        The picture's width.
    """
    numbers = top_examples(side.examples.scores[concept], side.duplicates, count=SHOWN)
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
    """What the page says of a pair of concepts."""
    concepts = (row.concept_a, row.concept_b)
    members = [
        side.rosetta[side.rosetta["concept"] == concept]
        for side, concept in zip(sides, concepts, strict=True)
    ]
    both = matches.shared_units
    both = both[(both["concept_a"] == concepts[0]) & (both["concept_b"] == concepts[1])]
    by_encoder = []
    for model, shared in zip(encoders, row.n_shared_by_encoder, strict=True):
        own = both[both["model"] == model].assign(
            weaker=lambda found: found[["corr_a", "corr_b"]].min(axis=1)
        )
        best = own.groupby("unit")["weaker"].max().sort_values(ascending=False, kind="stable")
        sizes = [some.loc[some["model"] == model, "unit"].nunique() for some in members]
        units = [_id(sides[0], model, int(unit)) for unit in best.index[:UNITS]]
        by_encoder.append(
            {
                "model": model,
                "shared": int(shared),
                "sizes": sizes,
                "units": units,
                "more": int(shared) - len(units),
            }
        )
    weaker = both[["corr_a", "corr_b"]].min(axis=1)
    strongest = both.loc[weaker.sort_values(ascending=False, kind="stable").index[:UNIT_PAIRS]]
    return {
        "concepts": concepts,
        "neurons": [some["pivot_unit"].nunique() for some in members],
        "shared": int(row.n_shared),
        "encoders": int(row.n_encoders),
        "jaccard": float(row.jaccard),
        "p_value": float(row.p_value),
        "q_value": float(row.q_value),
        "by_encoder": by_encoder,
        "unit_pairs": [
            {
                "a": _id(sides[0], sides[0].pivot, one.pivot_unit_a),
                "through": _id(sides[0], one.model, one.unit),
                "b": _id(sides[1], sides[1].pivot, one.pivot_unit_b),
                "corr_a": one.corr_a,
                "corr_b": one.corr_b,
            }
            for one in strongest.itertuples()
        ],
        "all_unit_pairs": len(both),
    }


def _id(side: Side, model: str, unit: int) -> str:
    place = side.units[model].iloc[unit]
    return unit_id(model, str(place["layer"]), int(place["channel"]))
