"""Figures for papers: concepts across models, and all concepts on one image.

concepts_figure          concepts × example images × models (the paper's figure 3)
image_figure             concepts on one image (the paper's figure 2)
telling_image            the image on which most concepts show well
save_both                a figure as PDF and as PNG
write_default_figures    those that come with a dictionary
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rosetta_core.drawing.canvas import GAP, TILE, Canvas, fitted, mosaic, save, width_of
from rosetta_core.drawing.heatmap import contrast, overlay, picture
from rosetta_core.mining.examples.concept_store import ConceptExamples
from rosetta_core.mining.examples.quantisation import dequantise
from rosetta_core.mining.examples.selection import top_examples
from rosetta_core.mining.run_tables import RunTables

__all__ = [
    "concepts_figure",
    "image_figure",
    "save_both",
    "telling_image",
    "write_default_figures",
]

Images = Callable[[range], NDArray[np.uint8]]  # some images (n, h, w, 3)

STEP = TILE + GAP
EDGE = 8  # around everything
BETWEEN = 44  # blocks
SIDE = 20  # left of a block, for the images' numbers
TITLE, NAME, LAYER, CHANNEL = 26, 54, 72, 88  # baselines in a block
HEAD = 98  # where its tiles begin
CAPTION = 24  # below a tile


def concepts_figure(
    tables: RunTables,
    examples: ConceptExamples,
    *,
    shown: Mapping[int, Sequence[int]],
    images: Images,
    models: Sequence[str] | None = None,
    across: int = 2,
) -> Figure:
    """Draw a block for each concept: a row an example image, a column a model.

    The columns are the image, the pivot and the encoders; a heat map is that of the representative unit,
    which the column's head names, at full strength at the contrast of the maps in its column.

    Args:
        tables: tables of the run.
        examples: the concepts on all images.
        shown: by concept the numbers of its example images, at least one; in the order of blocks.
        images: gives some of the run's images.
        models: the columns; default: all.
        across: how many blocks stand side by side.
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
    for place, (concept, numbers) in enumerate(shown.items()):
        x = EDGE + place % across * (width + BETWEEN) + SIDE
        y = EDGE + place // across * (height + BETWEEN)
        heads.write(canvas, concept, x, y)
        for row, number in enumerate(numbers):
            middle = y + HEAD + row * STEP + TILE / 2
            canvas.write(str(number), x - 10, middle, size=5, grey=True, upwards=True)
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
    """The words above the blocks, in sizes that fit all of a figure's columns."""

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
        widest = TILE - 2 * GAP  # letters are moved to whole pixels, up to 4% further
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
    across: int = 8,
) -> Figure:
    """Draw an image and beside it concepts on it: the maps of the pivot's representative units.

    Each map is at full strength at the contrast of that unit's maps on all images, so that a
    concept which shows better elsewhere is paler here.

    Args:
        tables: tables of the run.
        examples: the concepts on all images.
        image: its number.
        images: gives some of the run's images.
        concepts: which; default: all.
        order: by the score of the concepts on this image, the strongest first, or by number.
        across: how many tiles stand side by side.
    """
    chosen = sorted(range(len(examples.representative)) if concepts is None else concepts)
    if order == "score":
        chosen.sort(key=lambda concept: -examples.scores[concept, image])
    original = images(range(image, image + 1))[0]
    # with more than a row of concepts, the image takes the place of 2 × 2 tiles
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

    # down to the captions of the tiles beside it
    put(picture(original, TILE + (large - 1) * STEP), f"image {image}", 0, 0)
    for concept, (column, row) in zip(chosen, places, strict=True):
        maps = examples.maps(concept, tables.pivot)
        full = contrast(dequantise(maps))
        tile = overlay(original, dequantise(maps[image]), full=full, size=TILE)
        put(tile, str(concept), column, row)
    return canvas.figure


def telling_image(examples: ConceptExamples) -> int:
    """The image that stands highest in the concepts' rankings of images, on average.

    Ranks and not score, of which a few concepts have many times more than the others.
    """
    ranks = examples.scores.argsort(axis=1, kind="stable").argsort(axis=1)
    return int(ranks.mean(axis=0).argmax())


def save_both(figure: Figure, path: Path) -> tuple[Path, Path]:
    """Write a figure to the path with .pdf and with .png added; return both."""
    pdf, png = (path.with_name(f"{path.name}.{kind}") for kind in ("pdf", "png"))
    return save(figure, pdf), save(figure, png)


def write_default_figures(
    folder: Path,
    tables: RunTables,
    examples: ConceptExamples,
    images: Images,
    duplicates: NDArray[np.int32],
    *,
    count: int = 4,
) -> None:
    """Write the figures that come with a dictionary; none if there are no concepts.

    They are `concepts.pdf` and `.png`: the four strongest concepts; `image.pdf` and `.png`: all
    concepts on the telling image; and a small `concept-0012.png` for each concept.

    Args:
        folder: where to.
        tables: tables of the run.
        examples: the concepts on all images.
        images: gives some of the run's images.
        duplicates: per image its group of near-duplicates.
        count: example images of a concept.
    """
    if not len(examples.representative):
        return
    shown = {
        concept: top_examples(scores, duplicates, count=count)
        for concept, scores in enumerate(examples.scores)
    }

    @lru_cache(maxsize=64)  # strong examples of one concept are often those of others
    def one(number: int) -> NDArray[np.uint8]:
        return images(range(number, number + 1))

    def some(numbers: range) -> NDArray[np.uint8]:
        return np.concatenate([one(number) for number in numbers])

    strongest = {concept: shown[concept] for concept in list(shown)[:4]}
    figure = concepts_figure(tables, examples, shown=strongest, images=some)
    save_both(figure, folder / "concepts")
    figure = image_figure(tables, examples, image=telling_image(examples), images=some)
    save_both(figure, folder / "image")
    for concept, numbers in shown.items():
        figure = concepts_figure(tables, examples, shown={concept: numbers}, images=some)
        save(figure, folder / f"concept-{concept:04d}.png", small=True)
