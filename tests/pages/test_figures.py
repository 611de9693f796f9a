"""Figures show the right map of the right image in the right place, for any names."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.cli.main import main
from rosetta_core.config import Config
from rosetta_core.drawing.canvas import GAP, TILE, fitted, width_of
from rosetta_core.drawing.heatmap import contrast, overlay, picture
from rosetta_core.errors import RosettaError
from rosetta_core.mining.run_tables import ModelFacts, RunTables
from rosetta_core.pages.figures import (
    concepts_figure,
    image_figure,
    most_typical_image,
    save_both,
    write_default_figures,
)
from rosetta_core.stages.tools.figure import draw_figure

HOSTILE = "$x_1$<b>éΩж"
NAMES = ["dcgan", "efficientnet_lite0", "mobilenet_v2", "mtcnn_onet"]
CONCEPTS, IMAGES = 5, 12
Draw = Callable[[range], NDArray[np.uint8]]


class FakeExamples:
    """Concept c leads with unit c + 1; a map is hot in one place that depends on all three."""

    def __init__(self, models: list[str], concepts: int) -> None:
        self.models = models
        self.representative = np.repeat(
            np.arange(1, concepts + 1, dtype=np.int32)[:, None], 4, axis=1
        )
        self.scores = np.random.default_rng(0).random((concepts, IMAGES), np.float32)

    def maps(self, concept: int, model: str) -> NDArray[np.uint8]:
        maps = np.full((IMAGES, 4, 4), 32, np.uint8)  # 0 standard deviations
        for image in range(IMAGES):
            place = (concept + 3 * self.models.index(model) + 5 * image) % 16
            maps[image, place // 4, place % 4] = 80
        return maps


def standardised(maps: NDArray[np.uint8]) -> NDArray[np.float32]:
    return maps.astype(np.float32) / 8 - 4


def made(
    *, names: list[str] = NAMES, layer: str = "main.8", concepts: int = CONCEPTS
) -> tuple[RunTables, FakeExamples]:
    units = pd.DataFrame({"unit": range(40), "layer": layer, "channel": np.arange(40) + 100})
    numbers = range(concepts)
    table = pd.DataFrame({"concept": numbers, "mean_corr": [0.5 - c / 100 for c in numbers]})
    findings = RunTables(
        run="faces",
        images=IMAGES,
        seed=0,
        truncation=1,
        k=5,
        models=[ModelFacts(name, "network", "source", "MIT") for name in names],
        units=dict.fromkeys(names, units),
        neighbours={},
        best_buddies={},
        rosetta=pd.DataFrame(),
        concepts=table,
        selectivity=pd.DataFrame(),
        layers=pd.DataFrame(),
        vargha_delaney=pd.DataFrame(),
    )
    return findings, FakeExamples(names, concepts)


@pytest.fixture
def images() -> Draw:
    drawn = np.random.default_rng(1).integers(0, 256, (IMAGES, 8, 8, 3), np.uint8)
    return lambda numbers: drawn[numbers.start : numbers.stop]


def pixels(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def tile_at(drawn: NDArray[np.uint8], tile: NDArray[np.uint8]) -> tuple[int, int]:
    """The only place (x, y) of a tile in a picture."""
    height, width = tile.shape[:2]
    corner = (drawn == tile[0, 0]).all(axis=2)
    places = [
        (int(x), int(y))
        for y, x in np.argwhere(corner)
        if np.array_equal(drawn[y : y + height, x : x + width], tile)
    ]
    assert len(places) == 1
    return places[0]


def words(drawn: object) -> list[str]:
    return [text.get_text() for text in drawn.findobj(Text)]  # type: ignore[attr-defined]


def test_rows_are_images_and_columns_models(tmp_path: Path, images: Draw) -> None:
    findings, examples = made()
    shown = {3: [7, 2, 5], 1: [0, 11]}
    columns = ["dcgan", "mtcnn_onet"]
    drawn = concepts_figure(findings, examples, shown=shown, images=images, models=columns)
    png = pixels(save_both(drawn, tmp_path / "a.b")[1])
    assert (tmp_path / "a.b.pdf").read_bytes().startswith(b"%PDF")
    lefts = []
    for concept, numbers in shown.items():
        rows = []
        for row, number in enumerate(numbers):
            image = images(range(number, number + 1))[0]
            tiles = [picture(image, TILE)]
            for model in columns:
                maps = standardised(examples.maps(concept, model)[numbers])
                tiles.append(overlay(image, maps[row], full=contrast(maps), size=TILE))
            rows.append([tile_at(png, tile) for tile in tiles])
        xs, ys = np.array(rows).transpose(2, 0, 1)
        step = TILE + GAP
        assert (xs == xs[0, 0] + step * np.arange(len(columns) + 1)).all()
        assert (ys == ys[0, 0] + step * np.arange(len(numbers))[:, None]).all()
        lefts.append((xs[0, 0], ys[0, 0]))
    assert lefts[0][0] < lefts[1][0] and lefts[0][1] == lefts[1][1]  # side by side
    assert {"Concept 3", "Concept 1", "mean correlation 0.47", "channel 104"} <= set(words(drawn))
    assert "mobilenet_v2" not in words(drawn)


def test_images_of_a_folder_have_their_file_names(images: Draw) -> None:
    findings, examples = made()
    names = [f"$x_{number}$.jpg" for number in range(IMAGES)]
    names[2] = "a" * 300
    drawn = concepts_figure(findings, examples, shown={3: [7, 2]}, images=images, names=names)
    assert names[7] in words(drawn) and "7" not in words(drawn)
    assert any(len(word) < 100 and word.startswith("aaa") and "…" in word for word in words(drawn))
    drawn = image_figure(findings, examples, image=4, images=images, name=names[4])
    assert words(drawn)[0] == names[4]


@pytest.mark.parametrize("order", ["score", "number"])
@pytest.mark.parametrize("across", [3, 8])
def test_concepts_on_one_image(tmp_path: Path, images: Draw, order: str, across: int) -> None:
    findings, examples = made()
    drawn = image_figure(findings, examples, image=4, images=images, order=order, across=across)
    png = pixels(save_both(drawn, tmp_path / "image")[1])
    places = {}
    for concept in range(CONCEPTS):
        maps = standardised(examples.maps(concept, "dcgan"))
        tile = overlay(images(range(4, 5))[0], maps[4], full=contrast(maps), size=TILE)
        x, y = tile_at(png, tile)
        places[concept] = (y, x)
    read = sorted(places, key=places.__getitem__)  # line by line
    strongest = np.argsort(-examples.scores[:, 4]).tolist()
    assert read == (strongest if order == "score" else list(range(CONCEPTS)))
    assert words(drawn) == ["image 4", *map(str, read)]


def test_words_are_taken_literally_and_never_collide(tmp_path: Path, images: Draw) -> None:
    names = [HOSTILE, "m" * 64, "$\\frac{$", "_"]
    findings, examples = made(names=names, layer="encoder.$layers_0$." * 9 + "end")
    drawn = concepts_figure(findings, examples, shown={0: [1]}, images=images)
    save_both(drawn, tmp_path / "hostile")
    assert {HOSTILE, "$\\frac{$", "_"} <= set(words(drawn))
    drawn.draw_without_rendering()
    heads = [text for text in drawn.findobj(Text) if text.get_rotation() == 0][2:]
    assert len(heads) == 1 + 3 * len(names)
    for text in heads:
        width = text.get_window_extent().width
        assert width <= TILE + 1
        literal = width_of(text.get_text(), size=text.get_fontsize())
        assert width == pytest.approx(literal, rel=0.08)  # letters are moved to whole pixels


def test_fitted_words_share_a_size() -> None:
    size, lines = fitted(["short", "rather long"], width=60, size=7, smallest=1)
    assert lines == ["short", "rather long"]
    assert width_of("rather long", size=size) == pytest.approx(60)
    size, lines = fitted(["short", "rather\nlong " * 5], width=60, size=7, smallest=4)
    assert size == 4 and lines[0] == "short"
    first, last = lines[1].split("…")
    assert "rather long".startswith(first) and "rather long".endswith(last)
    assert width_of(lines[1], size=4) <= 60 < width_of(f"{first}th…{last}", size=4)


def test_same_figure_is_same_file_at_any_time(
    tmp_path: Path, images: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    for name, seconds in (("one", "1000000000"), ("two", "1700000000")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", seconds)  # the time to matplotlib and fontTools
        findings, examples = made()
        drawn = concepts_figure(findings, examples, shown={0: [1, 2]}, images=images)
        written.append([path.read_bytes() for path in save_both(drawn, tmp_path / name)])
    assert written[0] == written[1]
    assert b"/FontFile2" in written[0][0]  # TrueType: words stay words


def test_default_figures(tmp_path: Path, images: Draw) -> None:
    findings, examples = made()
    duplicates = np.arange(IMAGES, dtype=np.int32)
    write_default_figures(tmp_path, findings, examples, images, duplicates, count=2)
    sheets = [f"concept-{concept:04d}.png" for concept in range(CONCEPTS)]
    others = [f"{name}.{kind}" for name in ("concepts", "image") for kind in ("pdf", "png")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*sheets, *others])
    sheet = np.asarray(Image.open(tmp_path / sheets[2]).convert("RGB")).astype(float)
    side = TILE // 2

    def distance(number: int) -> float:
        """Of an image, from what is nearest to it in the sheet's first row and column."""
        tile = np.asarray(
            Image.fromarray(picture(images(range(number, number + 1))[0], TILE)).reduce(2)
        )
        parts = (sheet[y : y + side, x : x + side] for y in range(30, 70) for x in range(30))
        return min(float(np.sqrt(((part - tile) ** 2).mean())) for part in parts)

    best = int(examples.scores[2].argmax())
    assert distance(best) < 30
    assert distance((best + 1) % IMAGES) > 60


def test_no_concepts_no_figures(tmp_path: Path, images: Draw) -> None:
    findings, examples = made(concepts=0)
    write_default_figures(tmp_path, findings, examples, images, np.arange(IMAGES, dtype=np.int32))
    assert list(tmp_path.iterdir()) == []


def test_the_most_typical_image_is_not_that_of_a_single_concept() -> None:
    _, examples = made(concepts=3)
    examples.scores[:] = 0
    examples.scores[0, 5] = 1000  # of most score, but low for the other two
    examples.scores[:, 7] = [1, 2, 3]
    examples.scores[1:, 9] = 1
    assert most_typical_image(examples) == 7


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, images: Draw) -> Config:
    """A run whose tables and stores are made up."""
    findings, examples = made()

    class FakeSamples:
        count = IMAGES

        def file_names(self) -> list[str]:
            return []

        def images(self, numbers: range) -> NDArray[np.uint8]:
            return images(numbers)

    where = "rosetta_core.mining.examples.stores.StoredConceptExamples"
    monkeypatch.setattr("rosetta_core.runs.finished.run_tables.read_run_tables", lambda _: findings)
    monkeypatch.setattr(where, lambda *_: examples)
    monkeypatch.setattr("rosetta_core.mining.sampling.samples.Samples", lambda _: FakeSamples())
    return Config(results=str(tmp_path))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"concepts": [1, 5]}, "run 'faces': there is no concept 5; use 0 to 4"),
        ({"concepts": [-1]}, "there is no concept -1"),
        ({"images": [12]}, "run 'faces': there is no image 12; use 0 to 11"),
        ({"image": 12}, "there is no image 12"),
        ({"models": ["mtcn_onet"]}, "did you mean 'mtcnn_onet'?"),
        ({"image": 1, "images": [2]}, "--image and --images"),
        ({"image": 1, "models": ["mtcnn_onet"]}, "--image and --models"),
        ({"examples": 0}, "--examples: 0 is too small"),
    ],
)
def test_bad_input_is_one_line(run: Config, options: dict, said: str) -> None:
    with pytest.raises(RosettaError) as error:
        draw_figure(run, **options)
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"examples": 1}, "figures/concepts-0-1-2-3"),
        ({"concepts": [4, 2, 4], "images": [3]}, "figures/concepts-4-2"),
        ({"image": 0}, "figures/image-0"),
    ],
)
def test_figures_have_names(run: Config, options: dict, name: str) -> None:
    written = draw_figure(run, **options)
    stem = Path(run.results) / run.run / name
    assert written == (stem.with_suffix(".pdf"), stem.with_suffix(".png"))
    assert all(path.stat().st_size for path in written)


def test_command(run: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rosetta_core.cli.stage_commands.load_config", lambda _: run)
    options = ["--concepts", "1", "--models", "mtcnn_onet", "--images", "3", "2"]
    assert main(["figure", *options, "--out", str(tmp_path / "mine.pdf")]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"mine.pdf", "mine.png"}
    wide, high = Image.open(tmp_path / "mine.png").size
    assert 3 * TILE < wide < 4 * TILE and 2 * TILE < high < 3 * TILE
