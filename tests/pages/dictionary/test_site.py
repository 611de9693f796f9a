"""Every field of the page data equals the table it comes from, whatever the names are."""

import base64
import json
import math
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_up import PARTIAL, MadeUp, make_up, make_up_groups
from PIL import Image

from rosetta_core.drawing.heatmap import SCALES, colours
from rosetta_core.pages.dictionary.columns import TABLES
from rosetta_core.pages.dictionary.image_data import concepts_per_page, file_data
from rosetta_core.pages.dictionary.index_data import index_data
from rosetta_core.pages.dictionary.lookup import HISTOGRAM_BARS, NeighbourLookup

HOSTILE = ["g", "<script>alert('x')</script>\"/é{{ 7 * 7 }}", "модель/модель"]
LAYERS = ["a/b", "слой%2F", "c"]
CHANNELS = 7
UNITS = CHANNELS * len(LAYERS)


@pytest.fixture(scope="module")
def run() -> MadeUp:
    return make_up_groups(HOSTILE, layers=LAYERS, channels=CHANNELS)


@pytest.fixture(scope="module")
def site(run: MadeUp, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    run.write(folder, examples=2)
    return folder


def read(folder: Path, key: str) -> Any:
    text = (folder / "data" / f"{key}.js").read_text(encoding="utf-8")
    start = f"rosetta.receive({json.dumps(key)},"
    assert text.startswith(start)
    assert text.endswith(");\n")
    return json.loads(text[len(start) : -3])


def unpack(text: str) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)


def assert_same(encoded: list[float | None], values: Any, *, digits: int = 3) -> None:
    """Compare numbers of a data file with those of a table: null exactly where it has NaN."""
    expected = np.asarray(values, np.float64)
    assert [value is None for value in encoded] == np.isnan(expected).tolist()
    shown = np.array([math.nan if value is None else value for value in encoded])
    np.testing.assert_allclose(shown, expected, rtol=0, atol=0.5001 * 10**-digits)


def test_the_made_up_run_has_several_units_per_concept_and_model(run: MadeUp) -> None:
    rosetta = run.tables.rosetta
    sizes = rosetta.groupby(["concept", "model"])["unit"].nunique()
    assert len(run.tables.concepts) >= 3
    assert (sizes >= 2).all() and (sizes > 2).any()
    assert (run.tables.concepts["size"] >= 2).all()
    assert run.tables.significance is not None
    for table in (run.tables.significance.pairs, run.tables.significance.concepts):
        assert table.isna().any(axis=None)


def test_index(site: Path, run: MadeUp) -> None:
    index, tables = read(site, "index"), run.tables
    facts = ["run", "images", "seed", "truncation", "folder", "k"]
    assert {key: index[key] for key in facts} == {key: getattr(tables, key) for key in facts}
    assert index["neurons"] == len(set(tables.rosetta["pivot_unit"]))
    for number, facts_of in enumerate(tables.models):
        model, units = index["models"][number], tables.units[facts_of.name]
        pairs = tables.best_buddies[facts_of.name]
        assert model == {
            **vars(facts_of),
            "layers": [[name, CHANNELS, *units.loc[i * CHANNELS, ["height", "width"]]]
                       for i, name in enumerate(LAYERS)],
            "dead": 1,
            "pairs": len(pairs) // (1 if number else 2),
            "matched": len(set(pairs["pivot_unit"])),
        }  # fmt: skip
        counts = (*model["layers"][0][1:], model["dead"], model["pairs"], model["matched"])
        assert {type(count) for count in counts} == {int}
    concepts, values = tables.concepts, index["concepts"]
    assert values["size"] == concepts["size"].tolist()
    assert_same(values["mean_corr"], concepts["mean_corr"])
    assert_same(values["min_corr"], concepts["min_corr"])
    known = tables.significance.concepts.set_index("concept").loc[concepts["concept"]]
    for key in ("corr_excess", "recovery_rate", "peak_overlap"):
        assert_same(values[key], known[key])
    assert_same(values["p_value"], known["p_value"], digits=4)
    assert index["representatives"] == run.concept_examples.representative.T.tolist()
    for place, model in enumerate(HOSTILE[1:]):
        rows = tables.rosetta[tables.rosetta["model"] == model]
        means = [rows.loc[rows["concept"] == c, "corr"].mean() for c in concepts["concept"]]
        assert_same(index["encoderCorr"][place], means)
    assert [null["name"] for null in index["nullModels"]] == ["permute_images", "untrained"]
    for name in SCALES:
        table = np.frombuffer(base64.b64decode(index["scales"][name]), np.uint8).reshape(256, 3)
        np.testing.assert_array_equal(table, (255 * colours(name)).round())


def test_columns_of_the_registry_reach_the_browser(site: Path, run: MadeUp) -> None:
    columns = read(site, "index")["columns"]
    assert {name: [one["key"] for one in group] for name, group in columns.items()} == {
        name: [one.key for one in group] for name, group in TABLES.items()
    }
    without = replace(run.tables, significance=None)
    columns = index_data(without, run.concept_examples)["columns"]
    assert [one["key"] for one in columns["concepts"]] == ["mean_corr", "min_corr", "size"]
    assert [one["key"] for one in columns["pairs"]] == ["corr"]


def test_a_column_that_is_missing_everywhere_is_left_out(run: MadeUp) -> None:
    significance = run.tables.significance
    assert significance is not None
    changed = replace(significance, concepts=significance.concepts.assign(recovery_rate=np.nan))
    index = index_data(replace(run.tables, significance=changed), run.concept_examples)
    assert "recovery_rate" not in index["concepts"]
    assert "recovery_rate" not in [one["key"] for one in index["columns"]["concepts"]]


def test_random_weights_are_marked(run: MadeUp) -> None:
    pivot, *encoders = run.tables.models
    tables = replace(run.tables, models=[replace(pivot, random=True), *encoders])
    index = index_data(tables, run.concept_examples)
    assert [model["random"] for model in index["models"]] == [True, False, False]


def test_all_files_of_the_pages_exist(site: Path, run: MadeUp) -> None:
    names = {path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file()}
    assert all(name.isascii() and "<" not in name for name in names)
    for concept in range(len(run.tables.concepts)):
        assert {f"pictures/concepts/{concept}.webp", f"data/concepts/{concept}.js"} <= names
    for image in range(run.tables.images):  # every image has a page
        assert {f"pictures/images/{image}.webp", f"data/images/{image}.js"} <= names
    for model in range(3):
        assert {f"data/units/{model}/{file}.js" for file in (0, 1)} <= names
    with Image.open(site / "pictures" / "images" / "0.webp") as picture:
        assert picture.size == (16, 16)


def test_pairs_and_units_of_a_concept(site: Path, run: MadeUp) -> None:
    tables = run.tables
    for concept in range(len(tables.concepts)):
        content = read(site, f"concepts/{concept}")
        rows = tables.rosetta[tables.rosetta["concept"] == concept]
        assert content["pairs"] == [
            [row.pivot_unit, HOSTILE.index(row.model), row.unit] for row in rows.itertuples()
        ]
        statistics = content["pairColumns"]
        assert_same(statistics["corr"], rows["corr"], digits=4)
        known = [
            tables.significance.pairs.query(
                "pivot_unit == @row.pivot_unit and model == @row.model and unit == @row.unit"
            ).iloc[0]
            for row in rows.itertuples()
        ]
        digits = {"p_value": 4, "corr_excess": 4, "corr_ci_low": 4, "corr_ci_high": 4}
        for key in ("corr_excess", "p_value", "recovery_rate", "peak_overlap", "corr_ci_low",
                    "corr_ci_high"):  # fmt: skip
            values = [float(one[key]) for one in known]
            assert_same(statistics[key], values, digits=digits.get(key, 3))
        for number, model in enumerate(HOSTILE):
            strength = {}
            for unit in set(rows["unit" if number else "pivot_unit"].tolist()):
                if number:
                    own = rows[(rows["model"] == model) & (rows["unit"] == unit)]
                    if len(own):
                        strength[unit] = own["corr"].max()
                else:
                    own = rows[rows["pivot_unit"] == unit]
                    best = [own.loc[own["model"] == m, "corr"].max() for m in HOSTILE[1:]]
                    strength[unit] = np.mean(best)
            order = sorted(strength, key=lambda unit: -strength[unit])
            assert [row[0] for row in content["units"][number]] == order
            for unit, mean, std in content["units"][number]:
                place = tables.units[model].loc[unit]
                assert (mean, std) == (float(f"{place['mean']:.4g}"), float(f"{place['std']:.4g}"))


def test_examples_of_a_concept(site: Path, run: MadeUp) -> None:
    examples, images = run.concept_examples, run.tables.images
    randoms = []
    for concept in range(len(run.tables.concepts)):
        content = read(site, f"concepts/{concept}")
        scores = examples.scores[concept]
        order = np.argsort(-scores, kind="stable")
        assert content["top"] == order[:2].tolist()
        # one image of each quartile: the first one
        edges = [0, 5, 9, 13, 17]  # as numpy.array_split cuts 17
        assert content["quartiles"] == [[int(order[start])] for start in edges[:-1]]
        peaks = [examples.maps(concept, model).max(axis=(1, 2)) for model in HOSTILE]
        ranks = [pd.Series(values).rank(pct=True) for values in peaks]
        apart = abs(ranks[0] - (ranks[1] + ranks[2]) / 2).to_numpy(np.float32)
        assert content["disagreement"] == np.argsort(-apart, kind="stable")[:2].tolist()
        assert len(set(content["random"])) == 2
        randoms.append(tuple(content["random"]))
        groups = [content["top"], content["random"], content["disagreement"]]
        groups += content["quartiles"]
        assert content["images"] == sorted({image for group in groups for image in group})
        assert max(content["images"]) < images
        assert_same(content["scores"], scores[content["images"]])
    assert len(set(randoms)) > 1  # random images differ between concepts


@pytest.mark.parametrize(("examples", "each"), [(1, 1), (2, 1), (8, 4), (100, 4)])
def test_quartiles_show_half_as_many_images(
    run: MadeUp, tmp_path: Path, examples: int, each: int
) -> None:
    run.write(tmp_path, examples=examples)
    content = read(tmp_path, "concepts/0")
    assert [len(quartile) for quartile in content["quartiles"]] == (
        [each] * 4 if examples < 100 else [5, 4, 4, 4]
    )
    order = np.argsort(-run.concept_examples.scores[0], kind="stable").tolist()
    place = [order.index(image) for quartile in content["quartiles"] for image in quartile]
    assert place == sorted(place)
    assert len(content["top"]) == len(content["random"]) == min(examples, run.tables.images)


def test_maps_and_histograms_of_a_concept(site: Path, run: MadeUp) -> None:
    content = read(site, "concepts/1")
    maps, start = unpack(content["maps"]), 0
    for model, (height, width) in zip(HOSTILE, content["sizes"], strict=True):
        stop = start + len(content["images"]) * height * width
        expected = run.concept_examples.maps(1, model)[content["images"]]
        np.testing.assert_array_equal(maps[start:stop], expected.ravel())
        start = stop
    assert start == len(maps)
    bars = unpack(content["histograms"]).reshape(-1, HISTOGRAM_BARS)
    units = [(model, row[0]) for model, rows in zip(HOSTILE, content["units"], strict=True)
             for row in rows]  # fmt: skip
    assert len(bars) == len(units)
    for heights, (model, unit) in zip(bars, units, strict=True):
        np.testing.assert_array_equal(heights, histogram(run, model, unit))


def histogram(run: MadeUp, model: str, unit: int) -> np.ndarray:
    layer, channel = divmod(unit, CHANNELS)
    counts = run.unit_examples[model][layer].histogram[channel].astype(float)
    counts = np.append(counts[:63], counts[63:].sum())
    return (255 * np.sqrt(counts / counts.max())).round()


def test_links_between_concepts(site: Path, run: MadeUp) -> None:
    tables = run.tables
    buddies, near = tables.best_buddies["g"], tables.neighbours["g"]
    concept_of = dict(zip(tables.rosetta["pivot_unit"], tables.rosetta["concept"], strict=True))
    corr = {(row.unit, row.neighbour): row.corr for row in near.itertuples()}
    pairs = set(zip(buddies["pivot_unit"], buddies["unit"], strict=True))
    for concept in range(len(tables.concepts)):
        content = read(site, f"concepts/{concept}")
        own = [unit for unit, other in concept_of.items() if other == concept]
        expected = {
            (unit, other, concept_of.get(other, -1))
            for unit, other in pairs
            if unit in own and (concept_of.get(other) != concept or unit < other)
        }
        assert {(a, b, c) for a, b, _, c in content["pivotBuddies"]} == expected
        values = [row[2] for row in content["pivotBuddies"]]
        assert values == sorted(values, reverse=True)
        assert_same(values, [corr[a, b] for a, b, *_ in content["pivotBuddies"]], digits=4)
        related: dict[int, float] = {}
        for (unit, other), value in corr.items():
            place = concept_of.get(other, -1)
            if unit in own and place not in (-1, concept):
                related[place] = max(value, related.get(place, -1))
        order = sorted(related, key=lambda one: -related[one])
        assert [row[0] for row in content["related"]] == order
        assert_same([row[1] for row in content["related"]], [related[c] for c in order], digits=4)
        for other, value, unit, neighbour in content["related"]:
            assert unit in own and concept_of[neighbour] == other
            assert value == round(float(corr[unit, neighbour]), 4)


def test_a_related_concept_is_shown_by_its_nearest_neuron(run: MadeUp, tmp_path: Path) -> None:
    """Of four neighbours in another concept the first one with the highest correlation."""
    neurons = run.tables.rosetta.groupby("concept")["pivot_unit"].unique()
    own, others = neurons[0][0], neurons[1][[3, 0, 2, 1]]
    near = pd.DataFrame(
        {
            "side": "pivot",
            "unit": np.int32(own),
            "rank": np.arange(1, 5, dtype=np.int32),
            "neighbour": others,
            "corr": np.array([0.5, 0.625, 0.625, 0.25], np.float32),
        }
    )
    tables = replace(run.tables, neighbours={**run.tables.neighbours, "g": near})
    replace(run, tables=tables).write(tmp_path, examples=1)
    assert read(tmp_path, "concepts/0")["related"] == [[1, 0.625, own, others[1]]]


def test_at_most_twelve_related_concepts(tmp_path: Path) -> None:
    """A pivot of one neuron per concept; the first one is near to all others."""
    run = make_up(["g", "x"], concepts=20, layers=["a"], channels=40, k=2)
    near = run.tables.neighbours["g"]
    first = pd.DataFrame(
        {
            "side": "pivot",
            "unit": np.int32(0),
            "rank": np.arange(1, 20, dtype=np.int32),
            "neighbour": np.arange(1, 20, dtype=np.int32),
            "corr": np.linspace(0.9, 0.1, 19).astype(np.float32),
        }
    )
    near = pd.concat([first, near[near["unit"] > 0]], ignore_index=True)
    run.tables = replace(run.tables, neighbours={**run.tables.neighbours, "g": near})
    run.write(tmp_path, examples=1)
    related = read(tmp_path, "concepts/0")["related"]
    assert [row[0] for row in related] == list(range(1, 13))  # the highest correlations


def test_units(site: Path, run: MadeUp) -> None:
    tables = run.tables
    for number, model in enumerate(HOSTILE):
        files = [read(site, f"units/{number}/{file}") for file in (0, 1)]
        columns = {key: [*files[0][key], *files[1][key]] for key in files[0] if key != "packed"}
        assert all(len(values) == UNITS for values in columns.values())
        table = tables.units[model]
        assert columns["alive"] == table["alive"].astype(int).tolist()
        assert columns["mean"] == [float(f"{value:.4g}") for value in table["mean"]]
        assert columns["std"] == [float(f"{value:.4g}") for value in table["std"]]
        layers = run.unit_examples[model]
        for key in ("sparsity", "selectivity"):
            assert_same(columns[key], np.concatenate([getattr(one, key) for one in layers]))
        assert columns["sparsity"][-1] is None  # dead
        own = tables.rosetta.rename(columns={"unit": "_", "pivot_unit": "unit"})
        own = own if number == 0 else tables.rosetta[tables.rosetta["model"] == model]
        for unit in range(UNITS):
            layer, channel = divmod(unit, CHANNELS)
            images = layers[layer].images[channel]
            shown = images >= 0
            assert columns["images"][unit] == images[shown].tolist()
            assert_same(columns["peaks"][unit], layers[layer].peaks[channel][shown], digits=2)
            assert columns["sizes"][unit] == list(layers[layer].maps.shape[2:])
            assert columns["concepts"][unit] == sorted(set(own.loc[own["unit"] == unit, "concept"]))
        for first, content in zip((0, 16), files, strict=True):
            packed, start = unpack(content["packed"]), 0
            for unit in range(first, min(first + 16, UNITS)):
                layer, channel = divmod(unit, CHANNELS)
                bars = packed[start : start + HISTOGRAM_BARS]
                np.testing.assert_array_equal(bars, histogram(run, model, unit))
                shown = layers[layer].images[channel] >= 0
                expected = layers[layer].maps[channel][shown].ravel()
                stop = start + HISTOGRAM_BARS + len(expected)
                np.testing.assert_array_equal(packed[start + HISTOGRAM_BARS : stop], expected)
                start = stop
            assert start == len(packed)


def test_neighbours_of_units(site: Path, run: MadeUp) -> None:
    """Rows of model, unit, correlation, best buddy or not, and the bound of the neighbour."""
    tables = run.tables

    def expected(model: str, unit: int) -> list[list[float]]:
        rows = []
        for number, name in enumerate(HOSTILE):
            if model not in {"g", name}:
                continue
            near, pairs = tables.neighbours[name], tables.best_buddies[name]
            pairs = set(zip(pairs["pivot_unit"], pairs["unit"], strict=True))
            own, other = ("pivot", "encoder") if model == "g" else ("encoder", "pivot")
            back = near[near["side"] == ("pivot" if name == "g" else other)]
            for row in near[(near["side"] == own) & (near["unit"] == unit)].itertuples():
                pair = (unit, row.neighbour) if model == "g" else (row.neighbour, unit)
                bound = back.loc[back["unit"] == row.neighbour, "corr"].min()
                rows.append(
                    [number if model == "g" else 0, row.neighbour, round(float(row.corr), 4),
                     int(pair in pairs), round(float(bound), 4)]
                )  # fmt: skip
        return rows

    mutual = set()
    for number, model in enumerate(HOSTILE):
        for unit in range(UNITS):
            content = read(site, f"units/{number}/{unit // 16}")
            rows = content["neighbours"][unit % 16]
            assert rows == expected(model, unit)
            mutual |= {row[3] for row in rows}
    assert mutual == {0, 1}
    assert read(site, "units/0/1")["neighbours"][-1] == []  # dead


def test_a_neighbour_without_neighbours_has_no_bound(run: MadeUp) -> None:
    near = run.tables.neighbours[HOSTILE[1]]
    one_sided = {**run.tables.neighbours, HOSTILE[1]: near[near["side"] == "pivot"]}
    lookup = NeighbourLookup(replace(run.tables, neighbours=one_sided), HOSTILE[1])
    assert all(math.isnan(one.bound) for one in lookup.of_pivot(0))


def test_search(site: Path, run: MadeUp) -> None:
    rosetta = run.tables.rosetta
    for number, content in enumerate(read(site, "search")):
        rows = rosetta if number == 0 else rosetta[rosetta["model"] == HOSTILE[number]]
        unit = "pivot_unit" if number == 0 else "unit"
        listed = list(zip(content["units"], content["concepts"], strict=True))
        assert listed == sorted(set(zip(rows[unit], rows["concept"], strict=True)))


def test_layers_and_comparison_of_units(site: Path, run: MadeUp) -> None:
    models, tables = read(site, "models"), run.tables
    for number, model in enumerate(HOSTILE):
        rows, columns = tables.layers[tables.layers["model"] == model], models["layers"][number]
        assert list(columns) == [column.key for column in TABLES["layers"]]
        for key in ("units", "alive", "matched", "rosetta"):
            assert columns[key] == rows[key].tolist()
        for key in (
            "rosetta_share",
            "sparsity",
            "sparsity_other",
            "selectivity",
            "selectivity_other",
        ):
            assert_same(columns[key], rows[key])
    assert None in models["layers"][0]["selectivity"]  # a layer without Rosetta units
    columns, table = models["varghaDelaney"], tables.vargha_delaney
    for key in ("model", "measure", "rosetta", "other"):
        assert columns[key] == table[key].tolist()
    for key in ("vargha_delaney_a", "vargha_delaney_a_pooled"):
        assert_same(columns[key], table[key])
    assert columns["p_value"] == [float(f"{value:.4g}") for value in table["p_value"]]


def test_counts_of_null_models_and_split_halves(site: Path, run: MadeUp) -> None:
    models, significance = read(site, "models"), run.tables.significance
    assert significance is not None
    columns, table = models["nullCounts"], significance.null_counts
    for key in ("null", "level", "model", "n_observed", "n_null"):
        assert columns[key] == table[key].tolist()
    assert_same(columns["fdr"], table["fdr"])
    assert None in columns["fdr"]
    columns, table = models["splitHalf"], significance.split_half
    for key in ("level", "model", "n_observed"):
        assert columns[key] == table[key].tolist()
    assert columns["n_half"] == table["n_half"].round().astype(int).tolist()
    for key in ("recovery_rate", "agreement"):
        assert_same(columns[key], table[key])
    assert columns["agreement"][-1] is None


def test_depth_correlations_and_overlap(site: Path, run: MadeUp) -> None:
    models, tables = read(site, "models"), run.tables
    sets: dict[int, set[int]] = {}
    for place, model in enumerate(HOSTILE[1:]):
        groups = {
            "all": tables.best_buddies[model],
            "dictionary": tables.rosetta[tables.rosetta["model"] == model],
        }
        for unit in groups["all"]["pivot_unit"]:
            sets.setdefault(unit, set()).add(place)
        for name, pairs in groups.items():
            matrix = np.zeros((3, 3), int)
            bins = np.zeros(40, int)
            for row in pairs.itertuples():
                matrix[row.pivot_unit // CHANNELS, row.unit // CHANNELS] += 1
                bins[int(row.corr * 40)] += 1
            assert models["depth"][place][name] == matrix.tolist()
            assert models["corr"][place][name] == bins.tolist()
    counts: dict[int, int] = {}
    for places in sets.values():
        bits = sum(1 << place for place in places)
        counts[bits] = counts.get(bits, 0) + 1
    assert dict(models["overlap"]) == counts
    assert counts[3] == tables.rosetta["pivot_unit"].nunique()
    assert sets[PARTIAL] == {0}


def test_images(site: Path, run: MadeUp) -> None:
    examples = run.concept_examples
    for image in range(run.tables.images):
        content = read(site, f"images/{image}")
        scores = examples.scores[:, image]
        order = np.argsort(-scores, kind="stable")
        assert content["concepts"] == order.tolist()
        assert_same(content["scores"], scores[order])
        maps = [examples.maps(concept, "g")[image] for concept in order]
        assert content["sizes"] == [list(one.shape) for one in maps]
        expected = np.concatenate([one.ravel() for one in maps])
        np.testing.assert_array_equal(unpack(content["maps"]), expected)
        assert content["origin"] == ""


def test_names_of_image_files(run: MadeUp, site: Path, tmp_path: Path) -> None:
    assert not (site / "data" / "files.js").exists()  # a generator drew these images
    tables = replace(run.tables, folder="my photos/")
    origins = [f"my photos/{HOSTILE[image % 3]} {image}.png" for image in range(tables.images)]
    originals = Path("../../../my photos")
    replace(run, tables=tables).write(tmp_path, examples=1, origins=origins, originals=originals)
    files = read(tmp_path, "files")
    assert files == {
        "names": [origin.removeprefix("my photos/") for origin in origins],
        "address": "../../../my%20photos",
    }
    assert file_data(origins, "elsewhere", originals=None) == {"names": origins, "address": None}


@pytest.mark.parametrize(
    ("images", "concepts"), [(1, 120), (512, 120), (1600, 38), (5120, 12), (100_000, 12)]
)
def test_pages_of_more_images_show_fewer_concepts(images: int, concepts: int) -> None:
    assert concepts_per_page(images) == concepts


def test_a_site_without_concepts(tmp_path: Path) -> None:
    run = make_up(["g", "x"], concepts=0, layers=["a"], channels=4)
    run.write(tmp_path, examples=2)
    index = read(tmp_path, "index")
    assert index["concepts"]["size"] == [] and index["encoderCorr"] == [[]]
    assert read(tmp_path, "images/3")["concepts"] == []
    assert read(tmp_path, "units/0/0")["neighbours"][0]


def test_the_same_run_is_the_same_site(site: Path, run: MadeUp, tmp_path: Path) -> None:
    run.write(tmp_path, examples=2)
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
