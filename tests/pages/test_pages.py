"""The data of the pages say what the tables say, whatever the names are."""

import base64
import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import MadeUp, make_up
from PIL import Image

from rosetta_core.drawing.heatmap import SCALES, colours, contrast, overlay
from rosetta_core.mining.examples.selection import disagreement
from rosetta_core.pages.dictionary.image_data import page_images
from rosetta_core.pages.dictionary.index_data import index_data
from rosetta_core.pages.dictionary.lookup import HISTOGRAM_BARS, Neighbourhood
from rosetta_core.pages.packed import pack, significant, thousandths

HOSTILE = ["g", "<script>alert('x')</script>\"/é{{ 7 * 7 }}", "модель/模型"]
LAYERS = ["a/b", "слой%2F", "c"]


@pytest.fixture(scope="module")
def run() -> MadeUp:
    return make_up(HOSTILE, concepts=5, layers=LAYERS, channels=7, images=9)


@pytest.fixture(scope="module")
def site(run: MadeUp, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    write(folder, run)
    return folder


def write(folder: Path, run: MadeUp) -> None:
    run.write(folder, examples=2, image_pages=3)


def read(folder: Path, key: str) -> Any:
    text = (folder / "data" / f"{key}.js").read_text(encoding="utf-8")
    start = f"rosetta.receive({json.dumps(key)},"
    assert text.startswith(start)
    assert text.endswith(");\n")
    return json.loads(text[len(start) : -3])


def unpack(text: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)


def test_index(site: Path, run: MadeUp) -> None:
    index = read(site, "index")
    concepts = run.findings.concepts
    assert [model["name"] for model in index["models"]] == HOSTILE
    assert [layer[0] for layer in index["models"][1]["layers"]] == LAYERS
    assert index["concepts"]["mean"] == thousandths(concepts["mean_corr"])
    assert index["concepts"]["representative"] == run.concept_examples.representative.T.tolist()
    assert len(index["pages"]) == 3
    for name in SCALES:
        table = np.frombuffer(base64.b64decode(index["scales"][name]), np.uint8).reshape(256, 3)
        np.testing.assert_array_equal(table, (255 * colours(name)).round())


def test_random_weights_are_told_from_learned_ones(run: MadeUp) -> None:
    pivot, *encoders = run.findings.models
    findings = replace(run.findings, models=[replace(pivot, random=True), *encoders])
    index = index_data(findings, run.concept_examples, pages=[], missing=[])
    assert [model["random"] for model in index["models"]] == [True, False, False]


def test_every_file_that_pages_ask_for_is_there(site: Path, run: MadeUp) -> None:
    index = read(site, "index")
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert all(name.isascii() and "<" not in name for name in names)
    for concept in range(5):
        content = read(site, f"concepts/{concept}")
        assert f"pictures/concepts/{concept}.webp" in names
        for image in content["images"]:
            assert f"pictures/images/{image}.webp" in names
    for image in index["pages"]:
        assert f"data/images/{image}.js" in names
    for model in range(3):
        assert {f"data/units/{model}/{file}.js" for file in (0, 1)} <= names
    shown = {int(Path(name).stem) for name in names if name.startswith("pictures/images")}
    assert set(range(9)) - shown == set(index["missing"])
    with Image.open(site / "pictures" / "images" / "0.webp") as picture:
        assert picture.size == (16, 16)


def test_concept(site: Path, run: MadeUp) -> None:
    content = read(site, "concepts/3")
    rows = run.findings.rosetta[run.findings.rosetta["concept"] == 3]
    assert content["pairs"] == [
        [row.pivot_unit, HOSTILE.index(row.model), row.unit, round(1e4 * row.corr)]
        for row in rows.itertuples()
    ]
    assert [[unit[0] for unit in units] for units in content["units"]] == [[3], [3], [3]]
    scores = run.concept_examples.scores[3]
    assert content["top"] == np.argsort(-scores, kind="stable")[:2].tolist()
    assert len(content["quarters"]) == 4
    peaks = [run.concept_examples.maps(3, model).max(axis=(1, 2)) for model in HOSTILE]
    apart = disagreement(np.stack(peaks))
    assert content["apart"] == np.argsort(-apart, kind="stable")[:2].tolist()
    assert content["scores"] == thousandths(scores[content["images"]])
    maps = unpack(content["maps"])
    start = 0
    for model, (height, width) in zip(HOSTILE, content["grids"], strict=True):
        stop = start + len(content["images"]) * height * width
        expected = run.concept_examples.maps(3, model)[content["images"]]
        np.testing.assert_array_equal(maps[start:stop], expected.ravel())
        start = stop
    assert start == len(maps)
    assert len(unpack(content["histograms"])) == 3 * HISTOGRAM_BARS
    # the pivot's units 2 and 3 are best buddies, in concepts 2 and 3
    assert [row[:2] + row[3:] for row in content["synonyms"]] == [[3, 2, 2]]


def test_units(site: Path, run: MadeUp) -> None:
    findings = run.findings
    for number, model in enumerate(HOSTILE):
        first, second = (read(site, f"units/{number}/{file}") for file in (0, 1))
        packed = unpack(first["packed"])
        start = 0
        for unit in range(16):
            layer = run.unit_examples[model][unit // 7]
            height, width = first["grids"][unit]
            count = len(first["images"][unit])
            assert first["images"][unit] == layer.images[unit % 7].tolist()
            bars = packed[start : start + HISTOGRAM_BARS]
            assert bars.max() == 255
            stop = start + HISTOGRAM_BARS + count * height * width
            np.testing.assert_array_equal(
                packed[start + HISTOGRAM_BARS : stop], layer.maps[unit % 7].ravel()
            )
            start = stop
        assert start == len(packed)
        assert second["alive"] == [1, 1, 1, 1, 0]
        assert second["images"][-1] == second["near"][-1] == []
        assert first["concepts"][:6] == [[0], [1], [2], [3], [4], []]
        row = findings.units[model].loc[4]
        assert first["moments"][4] == significant([row["mean"], row["std"]])
        layer = run.unit_examples[model][0]
        assert first["sparseness"][4] == thousandths([layer.sparsity[4], layer.selectivity[4]])


def test_neighbours_know_who_is_mutual_and_what_is_asked(run: MadeUp) -> None:
    findings = run.findings
    last = HOSTILE[-1]
    table, buddies = findings.neighbours[last], findings.best_buddies[last]
    near = Neighbourhood(findings, last)
    for side, found_of in (("pivot", near.of_pivot), ("encoder", near.of_model)):
        other = {"pivot": "encoder", "encoder": "pivot"}[side]
        for unit in range(20):
            rows = table[(table["side"] == side) & (table["unit"] == unit)].sort_values("rank")
            found = found_of(unit)
            assert [one.unit for one in found] == rows["neighbour"].tolist()
            for one in found:
                back = table[(table["side"] == other) & (table["unit"] == one.unit)]
                assert one.bound == pytest.approx(back["corr"].min())
                own, its = (unit, one.unit) if side == "pivot" else (one.unit, unit)
                pair = (buddies["pivot_unit"] == own) & (buddies["unit"] == its)
                assert one.mutual == pair.any()
    assert near.of_pivot(20) == []


def test_search_and_models(site: Path, run: MadeUp) -> None:
    search, models = read(site, "search"), read(site, "models")
    assert search[1] == {"units": [0, 1, 2, 3, 4], "concepts": [0, 1, 2, 3, 4]}
    # the pivot's unit 5 has a buddy in the first encoder only
    assert models["overlap"] == [[3, 5], [1, 1]]
    layers = models["layers"][0]
    assert [row[:4] for row in layers] == [[7, 0, 6, 5], [7, 0, 0, 0], [7, 1, 0, 0]]
    own, rest = (run.findings.layers[name] for name in ("selectivity", "selectivity_other"))
    assert [row[6] for row in layers] == [round(1000 * own[0]), None, None]
    assert [row[7] for row in layers] == thousandths(rest[:3])
    assert [row[:4] for row in models["superiority"][:2]] == [
        [0, "sparsity", 5, 15],
        [0, "selectivity", 5, 15],
    ]
    assert np.sum(models["depth"][0]["buddies"]) == 6
    assert np.sum(models["depth"][0]["inside"]) == 5
    assert sum(models["scores"][1]["inside"]) == 5


def test_images(site: Path, run: MadeUp) -> None:
    examples = run.concept_examples
    for image in read(site, "index")["pages"]:
        content = read(site, f"images/{image}")
        scores = examples.scores[:, image]
        assert content["concepts"] == np.argsort(-scores, kind="stable").tolist()
        maps = np.concatenate([examples.maps(c, "g")[image].ravel() for c in content["concepts"]])
        np.testing.assert_array_equal(unpack(content["maps"]), maps)


def test_which_images_have_pages() -> None:
    assert page_images([7, 3, 7], 10, count=4) == [0, 1, 3, 7]
    assert page_images([], 3, count=9) == [0, 1, 2]
    assert page_images([5], 9, count=0) == []


def test_no_concepts_is_a_site_all_the_same(tmp_path: Path) -> None:
    run = make_up(["g", "x"], concepts=0, layers=["a"], channels=4)
    write(tmp_path, run)
    assert read(tmp_path, "index")["concepts"]["size"] == []
    assert read(tmp_path, "units/0/0")["near"]


def test_the_same_run_is_the_same_site(site: Path, run: MadeUp, tmp_path: Path) -> None:
    write(tmp_path, run)
    first, second = (
        {
            path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (site, tmp_path)
    )
    assert first == second


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for path in site.glob("*.*"):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text
        assert "https:" not in text
    assert "default-src 'none'" in (site / "index.html").read_text()


def test_packing() -> None:
    arrays = [np.arange(6, dtype=np.uint8).reshape(2, 3).T, np.array([255], np.uint8)]
    assert unpack(pack(arrays)).tolist() == [0, 3, 1, 4, 2, 5, 255]
    assert thousandths([0.1234, float("nan"), -0.9996]) == [123, 0, -1000]
    assert significant([123456.0, 0.00012345]) == [123500.0, 0.0001234]


def test_overlay_is_warm_where_the_unit_fires_and_grey_elsewhere() -> None:
    image = np.full((64, 64, 3), (40, 160, 90), np.uint8)
    activation = np.zeros((4, 4), np.float32)
    activation[0, 3] = 5
    drawn = overlay(image, activation, full=5, size=96).astype(int)
    assert drawn.shape == (96, 96, 3)
    hot, cold = drawn[4, 91], drawn[90, 5]
    assert hot[0] > 1.5 * hot[2]
    assert np.ptp(cold) < np.ptp(image[0, 0]) / 2
    assert contrast(np.array([-3.0, 0.1], np.float32)) == 1  # noise isn't blown up
