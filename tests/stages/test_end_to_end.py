"""A whole run of the face zoo through Snakemake, every number held against the definitions."""

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import oracle
import pandas as pd
import pytest
import zarr
from conftest import Checkout
from PIL import Image

K = 5
PIVOT = "dcgan"
ENCODERS = ["efficientnet_lite0", "mobilenet_v2", "mtcnn_onet"]


class Run:
    """A finished run, read with nothing but zarr and pandas."""

    def __init__(self, checkout: Checkout) -> None:
        self.folder = checkout.run

    def maps(self, model: str) -> dict[str, np.ndarray]:
        stores = sorted((self.folder / "activations" / model).glob("*.zarr"))
        layers = json.loads(stores[0].with_suffix(".json").read_text())["layers"]
        groups = [zarr.open_group(store, mode="r") for store in stores]
        return {
            layer["name"]: np.concatenate([g[layer["name"]]["maps"][...] for g in groups])
            for layer in layers
        }

    def table(self, *parts: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder.joinpath("tables", *parts).with_suffix(".parquet"))

    def units(self, model: str) -> pd.DataFrame:
        return self.table("units", f"{model}.parquet")

    def corr(self, model: str) -> np.ndarray:
        return zarr.open_group(self.folder / "correlations" / f"{PIVOT}--{model}.zarr", mode="r")[
            "corr"
        ][...]

    def best_buddies(self, model: str) -> pd.DataFrame:
        return self.table("best_buddies", f"{PIVOT}--{model}.parquet")

    @cached_property
    def all_maps(self) -> dict[str, dict[str, np.ndarray]]:
        return {model: self.maps(model) for model in (PIVOT, *ENCODERS)}


@pytest.fixture(scope="module")
def run(finished: Checkout) -> Run:
    return Run(finished)


@pytest.mark.parametrize("model", [PIVOT, *ENCODERS])
def test_units(run: Run, model: str) -> None:
    table, maps = run.units(model), run.all_maps[model]
    assert table.columns.tolist() == [
        "unit", "layer", "channel", "height", "width", "mean", "std", "alive",
    ]  # fmt: skip
    assert table["unit"].tolist() == list(range(sum(m.shape[1] for m in maps.values())))
    assert table["layer"].unique().tolist() == list(maps)
    for layer, rows in table.groupby("layer"):
        values = maps[layer].astype(np.float64)
        flat = values.transpose(1, 0, 2, 3).reshape(values.shape[1], -1)
        assert rows["channel"].tolist() == list(range(len(flat)))
        assert set(zip(rows["height"], rows["width"], strict=True)) == {values.shape[2:]}
        # the maps are rounded to float16, the moments are not
        size = np.abs(flat).max()
        np.testing.assert_allclose(rows["mean"], flat.mean(1), rtol=1e-3, atol=1e-4 * size)
        np.testing.assert_allclose(rows["std"], flat.std(1), rtol=1e-3, atol=1e-4 * size)
        ratio = rows["std"] / rows["mean"].abs().clip(lower=1e-30)
        assert (rows["alive"] == ((ratio > 0.01) & (rows["std"] > 0))).all()
    assert table["alive"].mean() > 0.8


@pytest.mark.parametrize("model", [PIVOT, *ENCODERS])
def test_correlations(run: Run, model: str) -> None:
    with np.errstate(invalid="ignore"):
        expected = oracle.correlations(run.all_maps[PIVOT], run.all_maps[model])
    found = run.corr(model)
    rows, columns = (run.units(name)["alive"].to_numpy() for name in (PIVOT, model))
    alive = rows[:, None] & columns
    np.testing.assert_array_equal(np.isnan(found), ~alive)
    assert np.abs(found - expected)[alive].max() <= 1e-5


@pytest.mark.parametrize("model", [PIVOT, *ENCODERS])
def test_neighbours_and_best_buddies(run: Run, model: str) -> None:
    corr, same = run.corr(model), model == PIVOT
    own = corr.copy()
    if same:
        np.fill_diagonal(own, np.nan)
    table = run.table("neighbours", f"{PIVOT}--{model}.parquet")
    assert table.columns.tolist() == ["side", "unit", "rank", "neighbour", "corr"]
    for side, matrix in {"pivot": own, **({} if same else {"encoder": corr.T})}.items():
        rows = table[table["side"] == side].groupby("unit")["neighbour"].apply(list)
        for unit, neighbours in enumerate(oracle.nearest(matrix, K)):
            assert rows.get(unit, []) == neighbours
    buddies = run.best_buddies(model)
    pairs = set(zip(buddies["pivot_unit"], buddies["unit"], strict=True))
    assert pairs == oracle.best_buddies(corr, K, same=same)
    assert len(pairs) > 50
    dead = set(run.units(model).query("not alive")["unit"])
    assert not dead & set(buddies["unit"])


def test_rosetta_neurons_and_concepts(run: Run) -> None:
    buddies = {model: run.best_buddies(model) for model in ENCODERS}
    neurons = sorted(set.intersection(*(set(table["pivot_unit"]) for table in buddies.values())))
    own = run.best_buddies(PIVOT)
    groups = oracle.components(neurons, set(zip(own["pivot_unit"], own["unit"], strict=True)))
    rosetta, concepts = run.table("rosetta.parquet"), run.table("concepts.parquet")
    assert sorted(rosetta["pivot_unit"].unique()) == neurons
    assert len(neurons) > 10
    assert sorted(map(sorted, groups)) == sorted(list(units) for units in concepts["pivot_units"])
    for model, table in buddies.items():
        mine = rosetta[rosetta["model"] == model][["pivot_unit", "unit", "corr"]]
        theirs = table[table["pivot_unit"].isin(neurons)][["pivot_unit", "unit", "corr"]]
        key = ["pivot_unit", "unit"]
        pd.testing.assert_frame_equal(
            mine.sort_values(key, ignore_index=True), theirs.sort_values(key, ignore_index=True)
        )
    for row in concepts.itertuples():
        inside = rosetta[rosetta["concept"] == row.concept]
        assert sorted(inside["pivot_unit"].unique()) == list(row.pivot_units)
        assert row.size == len(row.pivot_units)
        assert row.mean_corr == pytest.approx(inside["corr"].astype(float).mean(), abs=1e-6)
        assert row.min_corr == inside["corr"].min()
    assert (np.diff(concepts["mean_corr"]) <= 1e-7).all()


def content(folder: Path, key: str) -> Any:
    """What a data file of the pages hands over."""
    text = (folder / "data" / f"{key}.js").read_text(encoding="utf-8")
    found = re.fullmatch(r"rosetta\.receive\((\"[^\"]+\"),(.*)\);\n", text, re.DOTALL)
    assert found and json.loads(found[1]) == key
    return json.loads(found[2])


def test_examples(run: Run) -> None:
    """Every unit's peaks, from the stored maps; every concept's scores is its correlation."""
    group = zarr.open_group(run.folder / "examples" / "units" / "mobilenet_v2.zarr", mode="r")
    units = run.units("mobilenet_v2")
    for number, (layer, maps) in enumerate(run.all_maps["mobilenet_v2"].items()):
        rows = units[units["layer"] == layer].reset_index()
        peaks = maps.astype(np.float64).max(axis=(2, 3)).T  # (c, n)
        std = rows["std"].to_numpy().clip(1e-9)
        z = (peaks - rows["mean"].to_numpy()[:, None]) / std[:, None]
        found = group[f"{number}/peaks"][...]
        alive = rows["alive"].to_numpy()
        expected = -np.sort(-z, axis=1)[:, : found.shape[1]]
        np.testing.assert_allclose(found[alive], expected[alive], rtol=1e-3, atol=1e-3)
        counted = group[f"{number}/histogram"][...].sum(axis=1)
        assert (counted == maps[:, 0].size).all()
    examples = zarr.open_group(run.folder / "examples" / "concepts.zarr", mode="r")
    scores, concepts = examples["score"][...], run.table("concepts.parquet")
    assert scores.shape == (len(concepts), 16)
    # means of the same products, but weighted by encoder, and at the grids' own stds
    assert np.corrcoef(scores.mean(axis=1), concepts["mean_corr"])[0, 1] > 0.8


def test_layers(run: Run) -> None:
    """Rosetta units add up, and units are as selective as their maps say."""
    table, rosetta = run.table("layers.parquet"), run.table("rosetta.parquet")
    known = run.table("selectivity.parquet")
    for model in [PIVOT, *ENCODERS]:
        rows, units = table[table["model"] == model], run.units(model)
        pairs = rosetta if model == PIVOT else rosetta[rosetta["model"] == model]
        inside = pairs["pivot_unit" if model == PIVOT else "unit"].unique()
        assert rows["layer"].tolist() == units["layer"].unique().tolist()
        assert rows["rosetta"].sum() == len(inside)
        assert rows["alive"].sum() == units["alive"].sum()
        matched = run.best_buddies(model)["unit"].nunique() if model != PIVOT else len(
            set().union(*(run.best_buddies(e)["pivot_unit"] for e in ENCODERS))
        )  # fmt: skip
        assert rows["matched"].sum() == matched
        its = known[known["model"] == model]["selectivity"].to_numpy()
        np.testing.assert_array_equal(np.isnan(its), ~units["alive"])
        for row in rows.itertuples():
            of_layer = units["layer"] == row.layer
            maps = run.all_maps[model][row.layer].astype(np.float64)
            above = (maps - units.loc[of_layer, "mean"].to_numpy()[:, None, None]).clip(min=0)
            response = above.mean(axis=(2, 3))  # (n, c)
            with np.errstate(invalid="ignore"):
                active = response.mean(0) ** 2 / (response**2).mean(0)
            alive = units.loc[of_layer, "alive"].to_numpy()
            expected = ((1 - active) / (1 - 1 / len(maps)))[alive]
            np.testing.assert_allclose(its[of_layer][alive], expected, atol=2e-3)
            own = its[of_layer & units["unit"].isin(inside)]
            if len(own):
                assert row.selectivity == pytest.approx(np.median(own))


def test_dictionary(run: Run) -> None:
    folder, concepts = run.folder / "dictionary", run.table("concepts.parquet")
    index = content(folder, "index")
    assert [model["name"] for model in index["models"]] == [PIVOT, *ENCODERS]
    assert index["concepts"]["size"] == concepts["size"].tolist()
    assert index["images"] == 16
    assert index["neurons"] == run.table("rosetta.parquet")["pivot_unit"].nunique()
    for model, about in zip([PIVOT, *ENCODERS], index["models"], strict=True):
        assert sum(layer[1] for layer in about["layers"]) == len(run.units(model))
    for number in concepts["concept"]:
        assert content(folder, f"concepts/{number}")["top"]
        with Image.open(folder / "pictures" / "concepts" / f"{number}.webp") as picture:
            assert picture.size == (192, 96)
        assert (folder / "figures" / f"concept-{number:04d}.png").is_file()
    for name in ("concepts", "image"):
        assert (folder / "figures" / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 30e6


def test_logs_are_plain_lines(run: Run) -> None:
    log = (run.folder / "logs/activations/mobilenet_v2.00000.log").read_text()
    assert "mobilenet_v2 00000: 8 of 8 images in" in log
    assert "\r" not in log
    assert "wrote" in log
