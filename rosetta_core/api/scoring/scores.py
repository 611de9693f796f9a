"""Scores of concepts and units on new images: tables, maps and figures of the strongest images."""

import base64
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rosetta_core.api.arguments import whole_number
from rosetta_core.api.images.image_set import image_captions, image_table
from rosetta_core.api.scoring.kept_images import KeptImages, jpeg, tile
from rosetta_core.drawing.canvas import TILE
from rosetta_core.drawing.galleries import Gallery, gallery_figure
from rosetta_core.drawing.heatmap import contrast
from rosetta_core.errors import RosettaError

__all__ = ["Scores"]

SHOWN = 8  # concepts and units in a notebook's table
STRONGEST = 6  # images of each
ICON = 72  # side of their pictures


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of concepts and units on new images, as `score` of a result returns them.

    Pictures and maps are in temporary files, which are deleted with the object.

    Attributes:
        run: name of the result.
        models: models that were used.
        left_out: reason for each model that was not used.
        concepts: numbers of the concepts.
        concept_ids: their stable ids, which are accepted wherever a number is.
        units: ids of the units, model/layer/channel.
        scores: concept scores (images, concepts) float32.
        unit_scores: peak of each unit on each image (images, units) float32, in std above its mean.
        names: file name or key of each image; empty if they have none.
        labels: label of each image as text, "" for none; empty if no image has one.
    """

    run: str
    models: tuple[str, ...]
    left_out: Mapping[str, str]
    concepts: tuple[int, ...]
    concept_ids: tuple[str, ...]
    units: tuple[str, ...]
    scores: NDArray[np.float32]
    unit_scores: NDArray[np.float32]
    names: tuple[str, ...]
    labels: tuple[str, ...]
    _kept: KeptImages

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        reasons = "".join(f"; without {model} ({why})" for model, why in self.left_out.items())
        return (
            f"<Scores of {len(self.concepts)} concepts and {len(self.units)} units of "
            f"{self.run!r} on {len(self)} images, by {', '.join(self.models)}{reasons}>"
        )

    @property
    def table(self) -> pd.DataFrame:
        """Images, one row each: image, name, label, and a column per concept and unit."""
        columns = {f"concept {x}": self.scores[:, n] for n, x in enumerate(self.concepts)}
        columns |= {x: self.unit_scores[:, n] for n, x in enumerate(self.units)}
        images = image_table(len(self), self.names, self.labels)
        return pd.concat([images, pd.DataFrame(columns)], axis=1)

    def top(
        self,
        concept: int | str | None = None,
        count: int = 10,
        *,
        unit: str | None = None,
        above: float = -np.inf,
    ) -> pd.DataFrame:
        """Return the images with the highest scores, one row each, ties by number.

        Args:
            concept: number or id of the concept; None: the only one, or the unit.
            count: largest number of images.
            unit: id of a unit instead.
            above: images with lower scores are left out.

        Returns:
            rank (from 1), image, name, label and score.

        Raises:
            RosettaError: the concept or unit was not scored.
        """
        whole_number("count", count)
        if (
            isinstance(above, bool)
            or not isinstance(above, int | float | np.number)
            or np.isnan(above)
        ):
            raise RosettaError(f"above: {above!r} is not a number; give a score")
        values = self._values(self._target(concept, unit))
        order = np.argsort(-values, kind="stable")[:count]
        order = order[values[order] >= above]
        table = image_table(len(self), self.names, self.labels).iloc[order]
        table.insert(0, "rank", np.arange(1, len(order) + 1))
        return table.assign(score=values[order]).reset_index(drop=True)

    def maps(
        self, concept: int | str | None = None, *, unit: str | None = None
    ) -> NDArray[np.float32]:
        """Return the maps of a concept or unit on all images, in std above the mean.

        The map of a concept is the mean over the models of the maps of its representative units,
        resized to the largest of their grids. Maps have at most 48 positions a side, and the
        precision of float16.

        Args:
            concept: number or id of the concept; None: the only one, or the unit.
            unit: id of a unit instead.

        Returns:
            Maps (images, h, w).

        Raises:
            RosettaError: the concept or unit was not scored.
        """
        return self._kept.maps(self._target(concept, unit)).astype(np.float32)

    def plot(
        self,
        concept: int | str | None = None,
        count: int = 16,
        *,
        unit: str | None = None,
        above: float = -np.inf,
    ) -> Figure:
        """Draw the images with the highest scores, with maps over them; arguments as in `top`.

        Raises:
            RosettaError: the concept or unit was not scored.
        """
        return gallery_figure([self._gallery(self._target(concept, unit), count, above)])

    def plot_all(self, count: int = 16, *, above: float = -np.inf) -> Figure:
        """Draw the images with the highest scores of every concept and unit."""
        return gallery_figure([self._gallery(x, count, above) for x in range(len(self._titles))])

    def _repr_html_(self) -> str:
        """Return a summary, and the strongest images of the first concepts, for notebooks."""
        rows = []
        for target, title in enumerate(self._titles[:SHOWN]):
            cells = [f"<th style='text-align:left'>{html.escape(title)}</th>"]
            for image, texts in self._tiles(target, STRONGEST, -np.inf, size=ICON):
                content = base64.b64encode(jpeg(image)).decode()
                shown = html.escape(" · ".join(texts))
                cells.append(
                    f"<td style='text-align:center'><img src='data:image/jpeg;base64,{content}' "
                    f"width={ICON} height={ICON} alt='{shown}' title='{shown}'><br>"
                    f"{html.escape(texts[0])}</td>"
                )
            rows.append(f"<tr>{''.join(cells)}</tr>")
        hidden = len(self._titles) - len(rows)
        more = f"<p>… and {hidden} more in <code>.table</code></p>" if hidden > 0 else ""
        return f"<p>{html.escape(repr(self)[1:-1])}</p><table>{''.join(rows)}</table>{more}"

    @property
    def _titles(self) -> list[str]:
        """Titles of all targets: the concepts, then the units."""
        return [*(f"Concept {concept}" for concept in self.concepts), *self.units]

    def _target(self, concept: int | str | None, unit: str | None) -> int:
        """Return the number of a concept or unit among all targets; RosettaError if unknown."""
        if concept is not None and unit is not None:
            raise RosettaError("scores: concept and unit are both given; give one of them")
        if concept is None and unit is None:
            if len(self._titles) != 1:
                raise RosettaError(
                    f"scores: there are {len(self._titles)} concepts and units; give one of them"
                )
            return 0
        if unit is not None:
            if unit not in self.units:
                known = ", ".join(self.units[:10]) or "none"
                raise RosettaError(f"scores: unit {unit!r} was not scored; scored are {known}")
            return len(self.concepts) + self.units.index(unit)
        if isinstance(concept, str) and concept in self.concept_ids:
            return self.concept_ids.index(concept)
        if isinstance(concept, bool) or concept not in self.concepts:
            known = ", ".join(map(str, self.concepts[:10])) or "none"
            raise RosettaError(f"scores: concept {concept!r} was not scored; scored are {known}")
        return self.concepts.index(int(concept))

    def _values(self, target: int) -> NDArray[np.float32]:
        """Return the scores (n,) of a target."""
        count = len(self.concepts)
        if target < count:
            return self.scores[:, target]
        return self.unit_scores[:, target - count]

    def _gallery(self, target: int, count: int, above: float) -> Gallery:
        return self._titles[target], self._tiles(target, count, above, size=TILE)

    def _tiles(
        self, target: int, count: int, above: float, *, size: int
    ) -> list[tuple[NDArray[np.uint8], Sequence[str]]]:
        """Return the tiles of the images with the highest scores, with score and caption."""
        concepts = len(self.concepts)
        key = (
            {"concept": self.concepts[target]}
            if target < concepts
            else {"unit": self.units[target - concepts]}
        )
        rows = self.top(count=count, above=above, **key)
        numbers = rows["image"].tolist()
        captions = image_captions(self.names, self.labels)
        maps = self._kept.maps(target)[numbers].astype(np.float32)
        full = contrast(maps) if len(maps) else 1.0
        return [
            (
                tile(self._kept.picture(number), map_, full=full, size=size),
                [f"{score:.2f}", captions[number] if captions else f"image {number}"],
            )
            for number, map_, score in zip(numbers, maps, rows["score"], strict=True)
        ]
