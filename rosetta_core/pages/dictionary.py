"""The dictionary of a run: one page that a person can read without help.

Entry                 a concept as the page shows it
ModelSummary          a model as the page shows it
write_dictionary      write the page, its pictures, and a sheet per concept
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from rosetta_core.files import whole
from rosetta_core.pages.sheet import GAP, sheet, tiles
from rosetta_core.progress import Progress

__all__ = ["Entry", "ModelSummary", "Unit", "write_dictionary"]

SHEET_EXAMPLES = 4  # as in the paper's figure 3


@dataclass(frozen=True)
class Unit:
    """A unit by name, and its correlation with the concept's leading pivot unit, if it has one."""

    unit: int
    layer: str
    channel: int
    grid: str
    corr: float | None = None


@dataclass(frozen=True)
class ModelSummary:
    """A model: what it is, and what came of it."""

    name: str
    role: str
    network: str
    source: str
    licence: str
    layers: int
    units: int
    dead: int
    pairs: int
    matched: int


@dataclass(frozen=True)
class Entry:
    """A concept.

    Attributes:
        concept: its number.
        size: how many Rosetta neurons.
        mean_corr: over all its pairs.
        min_corr: over all its pairs.
        leading: by model the unit that is drawn.
        members: by model all its units, best first.
        images: numbers of the example images.
        pictures: the example images (n, h, w, 3).
        maps: by model the standardised maps of the leading unit on them (n, h', w').
    """

    concept: int
    size: int
    mean_corr: float
    min_corr: float
    leading: Mapping[str, Unit]
    members: Mapping[str, Sequence[Unit]]
    images: Sequence[int]
    pictures: Sequence[NDArray[np.uint8]]
    maps: Mapping[str, NDArray[np.float32]]


def write_dictionary(
    folder: Path,
    entries: Sequence[Entry],
    *,
    models: Sequence[ModelSummary],
    facts: Mapping[str, Any],
    tile: int,
) -> None:
    """Write index.html, style.css, pictures/*.webp and sheets/*.png into a folder.

    Args:
        folder: replaced as a whole.
        entries: the concepts, in the order of the page.
        models: the pivot first.
        facts: what else the page states; see templates/index.html.
        tile: side of a picture in pixels.
    """
    environment = Environment(
        loader=PackageLoader("rosetta_core.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    with whole(folder) as temporary:
        for name in ("pictures", "sheets"):
            (temporary / name).mkdir(parents=True)
        with Progress("dictionary", total=len(entries), unit="concepts") as progress:
            for entry in entries:
                _write_pictures(entry, temporary, tile=tile)
                progress.advance()
        page = environment.get_template("index.html")
        text = page.render(entries=entries, models=models, facts=facts, tile=tile, gap=GAP)
        (temporary / "index.html").write_text(text, encoding="utf-8")
        style = environment.get_template("style.css").render()
        (temporary / "style.css").write_text(style, encoding="utf-8")


def _write_pictures(entry: Entry, folder: Path, *, tile: int) -> None:
    grid = tiles(entry.pictures, entry.maps, size=tile)
    grid.save(folder / "pictures" / f"{entry.concept:04d}.webp", quality=82, method=4)
    labels = [("image",)] + [
        (model, f"{unit.layer} · {unit.channel}") for model, unit in entry.leading.items()
    ]
    title = f"Concept {entry.concept} — mean correlation {entry.mean_corr:.2f}"
    few = slice(SHEET_EXAMPLES)
    best = {model: maps[few] for model, maps in entry.maps.items()}
    grid = tiles(entry.pictures[few], best, size=tile)
    picture = sheet(grid, title=title, labels=labels, size=tile)
    picture.save(folder / "sheets" / f"concept-{entry.concept:04d}.png")
