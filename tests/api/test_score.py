"""Scores on new images are the concept scores of the dictionary, with the statistics of the run."""

from collections.abc import Callable
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from checkout import Checkout
from oracle import enlarge
from PIL import Image
from torch import nn
from toy_networks import small, toy

import rosetta_core as rosetta
from rosetta_core import RosettaError
from rosetta_core.cli.main import main

COUNT, NEW = 14, 9


def smooth(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.random((count, 3, 5, 5)))
    large = nn.functional.interpolate(coarse, size=(24, 24), mode="bicubic").clamp(0, 1)
    return (large.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return smooth(0, COUNT)


@pytest.fixture(scope="module")
def new() -> np.ndarray:
    return smooth(1, NEW)


@pytest.fixture(scope="module")
def mined(pictures: np.ndarray) -> rosetta.Mined:
    """Three encoders with grids of their own, mined on images."""
    return rosetta.mine(small(0), [small(1), small(2, side=20)], pictures, k=3)


@pytest.fixture(scope="module")
def drawn() -> rosetta.Mined:
    """A generator and two encoders."""
    generator = toy()
    return rosetta.mine(generator, [small(1), small(3)], rosetta.sample(generator, 12), k=3)


def standardised(mined: rosetta.Mined, images: rosetta.ImageSet | np.ndarray) -> dict:
    """By model and unit the maps (n, h, w) in float64, from another run over the images."""
    pivot, *encoders = (mined.model(name) for name in mined.models)
    again = rosetta.mine(pivot, encoders, images, k=1)
    maps = {}
    for name in mined.models:
        table = mined.units(name).set_index("unit")
        for unit, row in table.iterrows():
            values = again.maps((name, unit)).astype(np.float64)
            maps[name, unit] = (values - row["mean"]) / (row["std"] or 1)
    return maps


def literal_product(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The mean over positions of the product of enlarged maps, by image (n,)."""
    size = tuple(max(one.shape[n], other.shape[n]) for n in (1, 2))
    f, g = (enlarge(x[:, None], size).reshape(len(x), -1) for x in (one, other))
    return (f * g).mean(1).numpy()


def joined(one: set, other: set) -> set:
    """Pairs of units with a common Rosetta neuron."""
    return {(k, m) for (j, k), (i, m) in product(one, other) if i == j}


def literal_score(mined: rosetta.Mined, concept: int, maps: dict, models: list[str]) -> np.ndarray:
    """The definition of a score, in float64."""
    rows = mined.rosetta[mined.rosetta["concept"] == concept]
    pairs = {
        name: set(zip(own["pivot_unit"], own["unit"], strict=True))
        for name, own in rows.groupby("model")
    }
    encoders = [name for name in models if name != mined.pivot]
    if mined.pivot in models and encoders:
        groups = [[((mined.pivot, j), (name, k)) for j, k in pairs[name]] for name in encoders]
    elif len(encoders) > 1:
        groups = [
            [((a, k), (b, m)) for k, m in joined(pairs[a], pairs[b])]
            for a, b in combinations(encoders, 2)
        ]
    else:
        (name,) = models
        units = set(rows["pivot_unit"]) if name == mined.pivot else {k for _, k in pairs[name]}
        squares = [np.square(maps[name, k].clip(min=0)).mean((1, 2)) for k in units]
        return np.mean(squares, axis=0)
    means = [np.mean([literal_product(maps[x], maps[y]) for x, y in group], 0) for group in groups]
    return np.mean(means, axis=0)


@pytest.mark.parametrize(
    "models",
    [
        ["small0", "small1", "small2"],
        ["small0", "small2"],
        ["small1", "small2"],
        ["small1"],
        ["small0"],
    ],
)
def test_scores_are_those_of_the_definition(
    models: list[str], mined: rosetta.Mined, new: np.ndarray
) -> None:
    scores = mined.score(new, models=models)
    assert scores.models == tuple(models)
    assert set(scores.left_out) == set(mined.models) - set(models)
    maps = standardised(mined, new)
    assert len(scores.concepts) == len(mined.concepts) > 0
    for column, concept in enumerate(scores.concepts):
        expected = literal_score(mined, concept, maps, models)
        np.testing.assert_allclose(scores.scores[:, column], expected, rtol=1e-4, atol=1e-5)


def test_on_the_mined_images_they_are_the_concept_scores(
    mined: rosetta.Mined, pictures: np.ndarray
) -> None:
    scores = mined.score(pictures)
    np.testing.assert_array_equal(scores.scores.T, mined.concept_scores)
    assert scores.left_out == {}
    # the statistics are those of all mined images
    np.testing.assert_array_equal(mined.score(pictures[:3]).scores, scores.scores[:3])


def test_a_generator_takes_part_with_latents_only(drawn: rosetta.Mined) -> None:
    samples = drawn._image_set
    scores = drawn.score(samples)
    np.testing.assert_array_equal(scores.scores.T, drawn.concept_scores)
    given = drawn.score(samples.pixels, latents=torch.from_numpy(samples.latents))
    np.testing.assert_array_equal(given.scores, scores.scores)
    without = drawn.score(samples.pixels)
    assert without.models == ("small1", "small3")
    assert "without Toy (generates images and was given no latents)" in repr(without)
    maps = standardised(drawn, samples)
    expected = literal_score(drawn, 0, maps, ["small1", "small3"])
    np.testing.assert_allclose(without.scores[:, 0], expected, rtol=1e-4, atol=1e-5)
    other = drawn.score(rosetta.sample(toy(1), 12))
    assert other.left_out == {"Toy": "did not draw the images"}
    np.testing.assert_array_equal(drawn.score(rosetta.sample(toy(), 12)).scores, scores.scores)


def test_units_are_scored_by_their_peak(mined: rosetta.Mined, new: np.ndarray) -> None:
    ids = ["small2/1/2", "small0/2/0"]
    scores = mined.score(new, units=ids)
    assert scores.concepts == ()
    assert scores.units == tuple(ids)
    assert scores.models == ("small0", "small2")
    maps = standardised(mined, new)
    for column, unit in enumerate(ids):
        own = maps[mined._find_unit(unit)]
        np.testing.assert_allclose(scores.unit_scores[:, column], own.max((1, 2)), rtol=1e-4)
        np.testing.assert_allclose(scores.maps(unit=unit), own, atol=5e-3)
    both = mined.score(new, concepts=0, units=("small2", 2))
    assert (both.concepts, both.units) == ((0,), ("small2/1/2",))
    np.testing.assert_array_equal(both.unit_scores[:, 0], scores.unit_scores[:, 0])


def test_maps_are_the_means_of_the_representative_units(
    mined: rosetta.Mined, new: np.ndarray
) -> None:
    scores, maps = mined.score(new, concepts=[1, 0]), standardised(mined, new)
    examples = mined._concept_examples
    for concept in (0, 1):
        units = zip(examples.models, examples.representative[concept].tolist(), strict=True)
        own = [maps[unit] for unit in units]
        size = tuple(max(x.shape[n] for x in own) for n in (1, 2))
        large = [enlarge(x[:, None], size).reshape(len(new), *size).numpy() for x in own]
        np.testing.assert_allclose(scores.maps(concept), np.mean(large, 0), atol=5e-3)


def test_images_stream_from_a_folder_in_batches(
    mined: rosetta.Mined, new: np.ndarray, tmp_path: Path
) -> None:
    for number, image in enumerate(new):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    expected = mined.score(new)
    scores = mined.score(tmp_path, memory_budget="1 KiB")  # one image at a time
    np.testing.assert_array_equal(scores.scores, expected.scores)
    np.testing.assert_array_equal(scores.maps(0), expected.maps(0))
    assert scores.names == tuple(f"{number}.png" for number in range(NEW))
    assert scores._kept.picture(2).shape == (24, 24, 3)
    one = [Image.fromarray(image) for image in new]
    np.testing.assert_array_equal(mined.score(iter(one)).scores, expected.scores)
    assert len(mined.score(tmp_path, count=4)) == 4


def test_the_strongest_images_are_listed_with_their_labels(
    mined: rosetta.Mined, new: np.ndarray, tmp_path: Path
) -> None:
    labels = ["<b>cat</b>" if number % 2 else "dog" for number in range(NEW)]
    scores = mined.score(list(zip(new, labels, strict=True)), concepts=0)
    top = scores.top(count=4)
    order = np.argsort(-scores.scores[:, 0], kind="stable")[:4]
    assert top["image"].tolist() == order.tolist()
    assert top["label"].tolist() == [labels[image] for image in order]
    assert top["rank"].tolist() == [1, 2, 3, 4]
    limit = float(top["score"].iloc[1])
    assert scores.top(0, above=limit)["image"].tolist() == order[:2].tolist()
    table = scores.table
    assert table.columns.tolist() == ["image", "name", "label", "concept 0"]
    assert table["label"].tolist() == labels
    shown = scores._repr_html_()
    assert "<b>" not in shown
    assert shown.count("<img") == 6
    scores.plot(0, 3).savefig(tmp_path / "plot.png")
    assert scores.plot(0, 3, above=1e9) is not None


def test_a_concept_has_a_number_or_an_id(mined: rosetta.Mined, new: np.ndarray) -> None:
    ids = mined.concepts["concept_id"]
    assert mined.score(new, concepts=ids[1]).concepts == (1,)
    scores = mined.score(new, concepts=[ids[1], 0, 1])
    assert scores.concepts == (1, 0)
    assert scores.concept_ids == (ids[1], ids[0])
    pd.testing.assert_frame_equal(scores.top(ids[0]), scores.top(0))
    np.testing.assert_array_equal(scores.maps(ids[1]), scores.maps(1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: m.score(x, concepts=99), "run 'mined': there is no concept 99; use 0 to"),
        (lambda m, x: m.score(x, concepts="no"), "run 'mined': there is no concept 'no'"),
        (lambda m, x: m.score(x, concepts=[]), "mined: there are no concepts to score; give units"),
        (lambda m, x: m.score(x, units="small9/1/0"), "unknown model 'small9'"),
        (lambda m, x: m.score(x, units=["small1/9/0"]), "layer '9' of small1 was not mined"),
        (lambda m, x: m.score(x, models=["small"]), "unknown model 'small' in run 'mined'; use"),
        (lambda m, x: m.score(x, models=[]), "models: there are none; give at least one"),
        (
            lambda m, x: m.score(x, models=["small1"], units="small2/1/0"),
            "units: small2/1/0: small2 was not chosen; choose another unit",
        ),
        (lambda m, x: m.score(x, memory_budget="2"), "memory_budget: '2'"),
        (lambda m, x: m.score(x, latents=x), "latents: give an array or tensor (n, z) of floats"),
        (lambda m, x: m.score(x, latents=np.ones((3, 4))), "latents: there are 3, but 9 images"),
        (lambda m, x: m.score(x, latents=np.ones((9, 4)) * np.nan), "latents: are not finite"),
        (lambda m, x: m.score("nowhere"), "images: there is no folder nowhere"),
        (lambda m, x: m.score(x, count=10), "images: count is 10, but array has 9; use at most 9"),
        (lambda m, x: m.score(x / 127.5 - 1), "pixels are in"),
        (lambda m, x: m.score(3), "images: int is not a source of images"),
        (lambda m, x: m.score([x[0], x[1, :20]]), "they differ in size"),
        (lambda m, x: m.score(x).maps(), "there are"),
        (lambda m, x: m.score(x, concepts=0).maps(1), "concept 1 was not scored; scored are 0"),
        (lambda m, x: m.score(x, concepts=0).maps(unit="small0/1/0"), "was not scored; scored are"),
        (lambda m, x: m.score(x).top(0, 0), "count: 0 is not a whole number"),
        (lambda m, x: m.score(x).top(0, above=np.nan), "above: nan is not a number; give a score"),
        (lambda m, x: m.score(x).top(0, unit="small0/1/0"), "concept and unit are both given"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_one_line(
    call: Callable, message: str, mined: rosetta.Mined, new: np.ndarray
) -> None:
    with pytest.raises(RosettaError) as error:
        call(mined, new)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: m.score(x, models=["Toy"]), "models: Toy generates images and was given no"),
        (
            lambda m, x: m.score(x, units="Toy/grow/0"),
            "units: Toy/grow/0: Toy generates images and",
        ),
        (lambda m, x: m.score(x, latents=np.ones((9, 3))), "does not fit Toy; give (n, 4)"),
    ],
)
def test_a_generator_without_its_latents_is_refused(
    call: Callable, message: str, drawn: rosetta.Mined, new: np.ndarray
) -> None:
    with pytest.raises(RosettaError) as error:
        call(drawn, new)
    assert message in str(error.value)


def loadable(name: str, seed: int) -> rosetta.Model:
    """A tiny random network that a saved run loads again."""
    keys = {"family": "timm", "architecture": "test_resnet", "weights": {"random": seed}}
    size = {"input": {"size": 32, "mean": [0.5] * 3, "std": [0.5] * 3}}
    return rosetta.load_model({"name": name, "layers": ["layer1"], **keys, **size}, device="cpu")


@pytest.fixture(scope="module")
def saved(pictures: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of networks that load again."""
    result = rosetta.mine(loadable("one", 1), [loadable("two", 2)], pictures, k=3)
    return result.save(tmp_path_factory.mktemp("results") / "mine")


@pytest.fixture
def folder(new: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a folder of images."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number, image in enumerate(new):
        Image.fromarray(image).save(tmp_path / "photos" / f"{number}.png")
    return tmp_path


def test_a_network_that_was_not_saved_can_be_left_out(
    saved: Path, pictures: np.ndarray, new: np.ndarray
) -> None:
    mined = rosetta.mine(loadable("one", 1), [small(1)], pictures, k=3)
    run = rosetta.open_run(mined.save(saved.parent / "partly"))
    with pytest.raises(RosettaError, match=r"^small1: its network was given .* models=\['one'\]$"):
        run.score(new)
    scores = run.score(new, models=["one"])
    np.testing.assert_array_equal(scores.scores, mined.score(new, models=["one"]).scores)


def test_a_saved_run_scores_as_the_result(saved: Path) -> None:
    run = rosetta.open_run(saved)
    np.testing.assert_array_equal(run.score(run.images()).scores.T, run.concept_scores)


@pytest.mark.parametrize(("out", "sheet"), [("a.csv", "a.png"), ("b/a.parquet", "c.jpg")])
def test_the_command_writes_a_table_and_a_contact_sheet(
    out: str, sheet: str, folder: Path, saved: Path, capsys: pytest.CaptureFixture
) -> None:
    command = ["score", "photos", "--run", str(saved), "--concept", "1", "--concept", "0"]
    options = ["--units", "two/layer1/0", "--top", "3", "--out", out]
    assert main([*command, *options, *(["--sheet", sheet] if sheet != "a.png" else [])]) == 0
    read = pd.read_csv if out.endswith("csv") else pd.read_parquet
    table = read(folder / out)
    assert len(table) == 9
    run = rosetta.open_run(saved)
    scores = run.score(folder / "photos")
    for concept in (0, 1):
        rows = table[table["concept"] == concept]
        expected = scores.top(concept, 3)
        assert rows["name"].tolist() == expected["name"].tolist()
        np.testing.assert_allclose(rows["score"], expected["score"], rtol=1e-5)
        assert set(rows["concept_id"]) == {run.concepts["concept_id"][concept]}
    assert table["unit"].dropna().tolist() == ["two/layer1/0"] * 3
    with Image.open(folder / sheet) as drawn:
        assert drawn.format == ("PNG" if sheet.endswith("png") else "JPEG")
    printed = capsys.readouterr().out
    assert f"wrote {out}" in printed
    assert f"wrote {sheet}" in printed
    assert sorted(path.name for path in folder.rglob(".*")) == []


def test_the_command_leaves_out_low_scores(
    folder: Path, saved: Path, capsys: pytest.CaptureFixture
) -> None:
    command = ["score", "photos", "--run", str(saved), "--concept", "0", "--above"]
    assert main([*command, "1e6"]) == 0
    assert "no image has a score of at least 1e+06" in capsys.readouterr().out
    assert pd.read_csv(folder / "scores.csv").empty
    assert main([*command, "0.4"]) == 0
    assert (pd.read_csv(folder / "scores.csv")["score"] >= 0.4).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "score: give --concept or --units"),
        (["--concept", "99"], "there is no concept 99; use 0 to"),
        (["--concept", "0", "--top", "0"], "--top: 0 is too small"),
        (["--concept", "0", "--above", "nan"], "--above: nan is not a score"),
        (["--concept", "0", "--out", "a.txt"], "--out: a.txt does not end with .csv or .parquet"),
        (["--concept", "0", "--sheet", "a.gif"], "--sheet: a.gif does not end with .png or .jpg"),
        (["--concept", "0", "--count", "0"], "count: 0 is not a whole number"),
        (["--concept", "0", "--count", "99"], "count is 99, but photos has 9"),
    ],
)
def test_the_command_refuses_bad_options_and_writes_nothing(
    options: list[str], message: str, folder: Path, saved: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["score", "photos", "--run", str(saved), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert sum(line.startswith("rosetta: ") for line in error.splitlines()) == 1
    assert [path.name for path in folder.iterdir()] == ["photos"]


def test_nothing_is_written_if_the_sheet_cannot_be(folder: Path, saved: Path) -> None:
    (folder / "taken").write_text("a file")
    sheet = ["--sheet", "taken/a.png"]
    assert main(["score", "photos", "--run", str(saved), "--concept", "0", *sheet]) in (1, 2)
    assert sorted(path.name for path in folder.iterdir()) == ["photos", "taken"]


def test_a_finished_run_scores_its_own_images_as_its_dictionary(finished: Checkout) -> None:
    run = rosetta.open_run(finished.run)
    samples = rosetta.sample(run.model(run.pivot), len(run.images()))
    scores = run.score(samples)
    np.testing.assert_allclose(scores.scores.T, run.concept_scores, atol=1e-5)
    without = run.score(run.images([0, 3]), concepts=0)
    assert without.models == tuple(run.encoders)
    assert without.scores.shape == (2, 1)
