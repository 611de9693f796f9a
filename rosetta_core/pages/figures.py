"""Figures for papers: concepts across models, and concepts on one image."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rosetta_core.drawing.canvas import GAP, TILE, Canvas, fitted, mosaic, save, width_of
from rosetta_core.drawing.heatmap import contrast, overlay, picture
from rosetta_core.mining.examples.quantisation import dequantise
from rosetta_core.mining.examples.selection import top_examples
from rosetta_core.mining.examples.stores import ConceptExamples
from rosetta_core.mining.run_tables import RunTables

__all__ = [
    "concepts_figure",
    "image_figure",
    "most_typical_image",
    "save_both",
    "write_default_figures",
]

Images = Callable[[range], NDArray[np.uint8]]  # consecutive images (n, h, w, 3)

STEP = TILE + GAP
EDGE = 8  # margin of the figure
BETWEEN = 44  # gap between blocks
SIDE = 20  # left of a block, for the numbers of images
TITLE, NAME, LAYER, CHANNEL = 26, 54, 72, 88  # baselines in a block
HEAD = 98  # height of the head of a block
CAPTION = 24  # height below a tile


def concepts_figure(
    tables: RunTables,
    examples: ConceptExamples,
    *,
    shown: Mapping[int, Sequence[int]],
    images: Images,
    models: Sequence[str] | None = None,
    names: Sequence[str] = (),
    across: int = 2,
) -> Figure:
    """Draw one block per concept: example images × models (figure 3 of the paper).

    The columns are the image, the pivot and the encoders. A heat map is of the representative unit
    that the head of the column names; the maps of a column have the same colour range.

    Args:
        tables: tables of the run.
        examples: scores and maps of the concepts on all images.
        shown: by concept the numbers of its example images, at least one; in the order of blocks.
        images: returns consecutive images (n, h, w, 3).
        models: models of the columns; default: all.
        names: by image the name of its file; empty: images are labelled by number.
        across: number of blocks side by side.
    """
    models = tables.names if models is None else models
    across = min(across, len(shown))
    down = -(-len(shown) // across)
    width = SIDE + (1 + len(models)) * STEP - GAP
    height = HEAD + max(len(numbers) for numbers in shown.values()) * STEP - GAP
    canvas = Canvas(
        2 * EDGE + across * (width + BETWEEN) - BETWEEN,
        2 * EDGE + down * (height + BETWEEN) - BETWEEN,
    )
    heads = _Heads(tables, examples, concepts=shown, models=models)
    drawn = dict.fromkeys(number for numbers in shown.values() for number in numbers)
    labels = [names[number] if names else str(number) for number in drawn]
    size, labels = fitted(labels, width=TILE, size=5, smallest=4)
    label_of = dict(zip(drawn, labels, strict=True))
    for place, (concept, numbers) in enumerate(shown.items()):
        x = EDGE + place % across * (width + BETWEEN) + SIDE
        y = EDGE + place // across * (height + BETWEEN)
        heads.write(canvas, concept, x, y)
        for row, number in enumerate(numbers):
            middle = y + HEAD + row * STEP + TILE / 2
            canvas.write(label_of[number], x - 10, middle, size=size, grey=True, upwards=True)
        originals = [images(range(number, number + 1))[0] for number in numbers]
        columns = [[picture(image, TILE) for image in originals]]
        for model in models:
            maps = dequantise(examples.maps(concept, model)[list(numbers)])  # (n, h, w)
            full = contrast(maps)
            columns.append(
                [
                    overlay(image, activation, full=full, size=TILE)
                    for image, activation in zip(originals, maps, strict=True)
                ]
            )
        canvas.place(mosaic(list(zip(*columns, strict=True))), x, y + HEAD)
    return canvas.figure


class _Heads:
    """Text above the blocks, in sizes that fit all columns of a figure."""

    def __init__(
        self,
        tables: RunTables,
        examples: ConceptExamples,
        *,
        concepts: Iterable[int],
        models: Sequence[str],
    ) -> None:
        correlation = tables.concepts.set_index("concept")["mean_corr"]
        self._correlation = {concept: float(correlation[concept]) for concept in concepts}
        units: dict[tuple[int, int], tuple[str, int]] = {}  # by concept and column
        for column, model in enumerate(models):
            rows = tables.units[model].set_index("unit")
            representative = examples.representative[:, examples.models.index(model)]
            for concept in self._correlation:
                unit = rows.loc[representative[concept]]
                units[concept, column] = (str(unit["layer"]), int(unit["channel"]))
        widest = TILE - 2 * GAP  # text is set to whole pixels, up to 4% wider
        self._name_size, self._names = fitted(models, width=widest, size=6.5, smallest=5)
        untrained = {facts.name for facts in tables.models if facts.random}
        self._random = [model in untrained for model in models]
        layers = [
            f"{layer}/{channel}" if self._random[column] else layer
            for (_, column), (layer, channel) in units.items()
        ]
        self._layer_size, layers = fitted(layers, width=widest, size=5.5, smallest=4)
        self._layers = dict(zip(units, layers, strict=True))
        self._channels = {key: channel for key, (_, channel) in units.items()}

    def write(self, canvas: Canvas, concept: int, x: int, y: int) -> None:
        title = f"Concept {concept}"
        canvas.write(title, x, y + TITLE, size=9, align="left", bold=True)
        along = x + width_of(title, size=9, bold=True) + 20
        words = f"mean correlation {self._correlation[concept]:.2f}"
        canvas.write(words, along, y + TITLE, size=6.5, align="left", grey=True)
        canvas.write("image", x + TILE / 2, y + NAME, size=self._name_size)
        for column, name in enumerate(self._names):
            middle = x + (column + 1) * STEP + TILE / 2
            layer, channel = self._layers[concept, column], self._channels[concept, column]
            random = self._random[column]
            canvas.write(name, middle, y + NAME, size=self._name_size, red=random)
            canvas.write(layer, middle, y + LAYER, size=self._layer_size, grey=True)
            words = "random weights" if random else f"channel {channel}"
            size = self._layer_size
            canvas.write(words, middle, y + CHANNEL, size=size, grey=True, red=random)


def image_figure(
    tables: RunTables,
    examples: ConceptExamples,
    *,
    image: int,
    images: Images,
    concepts: Sequence[int] | None = None,
    order: Literal["score", "number"] = "score",
    count: int | None = None,
    name: str = "",
    across: int = 8,
) -> Figure:
    """Draw an image and the concepts on it, by maps of the pivot (figure 2 of the paper).

    Maps are of the representative units. The colour range of a unit is that of its maps on all
    images, so a concept that is stronger on other images is paler here.

    Args:
        tables: tables of the run.
        examples: scores and maps of the concepts on all images.
        image: number of the image.
        images: returns consecutive images (n, h, w, 3).
        concepts: numbers of the concepts; default: all.
        order: order by the score on this image, highest first, or by number.
        count: number of concepts, the first ones; default: all.
        name: name of the image's file; empty: the image is labelled by its number.
        across: number of tiles side by side.
    """
    chosen = sorted(range(len(examples.representative)) if concepts is None else concepts)
    if order == "score":
        chosen.sort(key=lambda concept: -examples.scores[concept, image])
    chosen = chosen[:count]
    original = images(range(image, image + 1))[0]
    # with more than one row of concepts, the image is as large as 2 × 2 tiles
    large = 2 if len(chosen) > across - 1 else 1
    step = TILE + CAPTION
    beside = across - large
    places = [(large + i % beside, i // beside) for i in range(min(len(chosen), large * beside))]
    rest = len(chosen) - len(places)
    places += [(i % across, large + i // across) for i in range(rest)]
    columns = max([large, *(column + 1 for column, _ in places)])
    rows = large + -(-rest // across)
    canvas = Canvas(2 * EDGE + columns * STEP - GAP, 2 * EDGE + rows * step)

    def put(tile: NDArray[np.uint8], words: str, column: int, row: int) -> None:
        x, y = EDGE + column * STEP, EDGE + row * step
        canvas.place(tile, x, y)
        canvas.write(words, x + tile.shape[1] / 2, y + tile.shape[0] + 18, size=6)

    side = TILE + (large - 1) * STEP
    _, (label,) = fitted([name or f"image {image}"], width=side, size=6, smallest=6)
    put(picture(original, side), label, 0, 0)
    for concept, (column, row) in zip(chosen, places, strict=True):
        maps = examples.maps(concept, tables.pivot)
        full = contrast(dequantise(maps))
        tile = overlay(original, dequantise(maps[image]), full=full, size=TILE)
        put(tile, str(concept), column, row)
    return canvas.figure


def most_typical_image(examples: ConceptExamples) -> int:
    """Return the image with the highest mean rank by score over all concepts.

    Ranks are used because the scores of a few concepts are many times higher than all others.
    """
    ranks = examples.scores.argsort(axis=1, kind="stable").argsort(axis=1)
    return int(ranks.mean(axis=0).argmax())


def save_both(figure: Figure, path: Path) -> tuple[Path, Path]:
    """Write a figure as PDF and PNG; return both paths, which are the path with a suffix added."""
    pdf, png = (path.with_name(f"{path.name}.{kind}") for kind in ("pdf", "png"))
    return save(figure, pdf), save(figure, png)


def write_default_figures(
    folder: Path,
    tables: RunTables,
    examples: ConceptExamples,
    images: Images,
    duplicates: NDArray[np.int32],
    *,
    names: Sequence[str] = (),
    count: int = 4,
) -> None:
    """Write the default figures of a dictionary; none if there are no concepts.

    `concepts.pdf` and `.png` show the four strongest concepts, `image.pdf` and `.png` all concepts
    on the most typical image, and a small `concept-0012.png` each concept.

    Args:
        folder: existing folder of the figures.
        tables: tables of the run.
        examples: scores and maps of the concepts on all images.
        images: returns consecutive images (n, h, w, 3).
        duplicates: by image the number of its group of near-duplicates (n,).
        names: by image the name of its file; empty: images are labelled by number.
        count: example images of a concept.
    """
    if not len(examples.representative):
        return
    shown = {
        concept: top_examples(scores, duplicates, count=count)
        for concept, scores in enumerate(examples.scores)
    }

    @lru_cache(maxsize=64)  # concepts often share their best examples
    def one(number: int) -> NDArray[np.uint8]:
        return images(range(number, number + 1))

    def some(numbers: range) -> NDArray[np.uint8]:
        return np.concatenate([one(number) for number in numbers])

    strongest = {concept: shown[concept] for concept in list(shown)[:4]}
    figure = concepts_figure(tables, examples, shown=strongest, images=some, names=names)
    save_both(figure, folder / "concepts")
    image = most_typical_image(examples)
    name = names[image] if names else ""
    figure = image_figure(tables, examples, image=image, images=some, name=name)
    save_both(figure, folder / "image")
    for concept, numbers in shown.items():
        figure = concepts_figure(
            tables, examples, shown={concept: numbers}, images=some, names=names
        )
        save(figure, folder / f"concept-{concept:04d}.png", small=True)
