"""Sparsity and selectivity have known values; Rosetta units are compared within their layers."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from rosetta_core.mining.examples.layers import (
    layer_table,
    selectivity_table,
    vargha_delaney_a,
    vargha_delaney_table,
)
from rosetta_core.mining.examples.selectivity import read_selectivity, treves_rolls_sparseness
from rosetta_core.mining.examples.stores import write_unit_examples
from rosetta_core.mining.examples.units import find_unit_examples
from rosetta_core.mining.sources.in_memory import InMemoryActivations
from rosetta_core.mining.sources.unit_table import unit_table

IMAGES, SIDE = 12, 5
PLACES = SIDE * SIDE
GAUSSIAN = 1 - 1 / np.pi  # of what is above the mean


def of(responses: NDArray) -> float:
    responses = np.asarray(responses, np.float64)
    return float(treves_rolls_sparseness(responses.mean(), (responses**2).mean(), responses.size))


def few(k: int, n: int) -> float:
    """The sparseness of k equal responses among n."""
    return (1 - k / n) / (1 - 1 / n)


def test_sparseness_of_known_responses() -> None:
    assert of(np.eye(9)[3]) == pytest.approx(1)
    assert of(np.full(9, 0.3)) == pytest.approx(0, abs=1e-12)
    for k in (2, 5, 8):
        assert of(np.arange(9) < k) == pytest.approx(few(k, 9))
    rng = np.random.default_rng(0)
    assert of(rng.exponential(3, 200_000)) == pytest.approx(0.5, abs=0.01)
    assert of(rng.normal(0, 3, 200_000).clip(min=0)) == pytest.approx(GAUSSIAN, abs=0.01)
    assert np.isnan(of(np.zeros(9)))
    assert np.isnan(of(np.ones(1)))


class CountedReads(InMemoryActivations):
    """Maps that must be loaded, so that the budget cuts the images."""

    def bytes_per_image(self) -> int:
        return 1000


def measured(maps: NDArray, *, budget: int = 2**26, threads: int = 1) -> NDArray:
    """Sparsity and selectivity (2, c) of the units of maps (n, c, h, w)."""
    source = CountedReads(
        {"layer": maps.copy()}, name="model"
    )  # float32 maps are standardised in place
    units = unit_table(source.layers, source.moments(), min_relative_std=0.01)
    (found,) = find_unit_examples(
        source,
        units,
        duplicates=np.arange(len(maps), dtype=np.int32),
        count=2,
        memory_budget=budget,
        threads=threads,
    )
    return np.stack([found.sparsity, found.selectivity])


def test_units_of_known_sparsity_and_selectivity() -> None:
    maps = np.zeros((IMAGES, 6, SIDE, SIDE), np.float32)
    maps[4, 0, 1, 2] = 1  # fires at one place of one image
    maps[:, 1, 1, 2] = 1  # at one place of every image
    maps[4, 2] = 1  # everywhere in one image
    maps[:4, 3, :2] = 1  # in two rows of four images
    maps[:] += np.arange(6)[:, None, None]  # whatever is at rest
    maps[:, 4] = 7  # dead
    maps[:, 5] = np.tile(np.linspace(-1, 1, PLACES).reshape(SIDE, SIDE), (IMAGES, 1, 1))
    sparsity, selectivity = measured(maps)
    every = IMAGES * PLACES
    expected = [1, few(IMAGES, every), few(PLACES, every), few(4 * 2 * SIDE, every)]
    np.testing.assert_allclose(sparsity[:4], expected, rtol=1e-5)
    np.testing.assert_allclose(selectivity[:4], [1, 0, 1, few(4, IMAGES)], atol=1e-5)
    assert np.isnan([sparsity[4], selectivity[4]]).all()
    assert selectivity[5] == pytest.approx(0, abs=1e-6)


def test_noise_has_the_sparseness_of_noise() -> None:
    maps = np.random.default_rng(0).normal(5, 2, (400, 3, 10, 10)).astype(np.float32)
    sparsity, selectivity = measured(maps)
    np.testing.assert_allclose(sparsity, GAUSSIAN, atol=0.01)
    # a mean of 100 responses hardly varies: variance / (variance + mean²)
    variance, mean = (1 / 2 - 1 / (2 * np.pi)) / 100, 1 / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(selectivity, variance / (variance + mean**2), rtol=0.3)
    sparsity, selectivity = measured(maps[:, :, :1, :1])
    # of one position both say the same, but squares are of float32
    np.testing.assert_allclose(sparsity, selectivity, rtol=1e-6)


def test_a_single_image_has_no_selectivity() -> None:
    maps = np.random.default_rng(0).random((1, 3, SIDE, SIDE), dtype=np.float32)
    sparsity, selectivity = measured(maps)
    assert np.isfinite(sparsity).all()
    assert np.isnan(selectivity).all()
    # rounding may leave mean² above or below the square
    rounded = treves_rolls_sparseness([0.5, 0.5], [0.25 - 1e-9, 0.25 + 1e-9], 1)
    assert np.isnan(rounded).all()


@pytest.mark.parametrize("change", ["scale", "shift", "order", "pieces", "threads", "layout"])
def test_nothing_else_counts(change: str) -> None:
    rng = np.random.default_rng(1)
    maps = rng.gamma(0.5, 2, (IMAGES, 40, 9, 9)).astype(np.float32)
    expected = measured(maps)
    found = {
        "scale": lambda: measured(maps * np.float32(37)),
        "shift": lambda: measured(maps + np.float32(3)),
        "order": lambda: measured(maps[rng.permutation(IMAGES)]),
        "pieces": lambda: measured(maps, budget=1),
        "threads": lambda: measured(maps, budget=7000, threads=2),
        "layout": lambda: measured(maps.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)),
    }[change]()
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    if change in ("order", "pieces", "threads", "layout"):
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_stores_hold_them(tmp_path) -> None:
    arrays = (np.random.default_rng(i).normal(size=(6, 3, 2, 2)).astype("f4") for i in range(2))
    maps = InMemoryActivations({f"l{i}": array for i, array in enumerate(arrays)})
    units = unit_table(maps.layers, maps.moments(), min_relative_std=0.01)
    found = find_unit_examples(
        maps, units, duplicates=np.arange(6, dtype=np.int32), count=2,
        memory_budget=2**20, threads=1,
    )  # fmt: skip
    write_unit_examples(tmp_path / "units.zarr", found)
    read = read_selectivity(tmp_path / "units.zarr")
    for name in ("sparsity", "selectivity"):
        expected = np.concatenate([getattr(layer, name) for layer in found])
        np.testing.assert_array_equal(read[name], expected)
        assert len(expected) == 6


def made(
    selectivity: dict[str, NDArray], inside: dict[str, list[int]], *, layers: int
) -> tuple[tuple, dict]:
    """What the tables are made of: by model its units' selectivity, and which are Rosetta units."""
    units, measures = {}, {}
    for model, values in selectivity.items():
        units[model] = pd.DataFrame(
            {
                "unit": np.arange(len(values), dtype=np.int32),
                "layer": np.repeat([f"z{9 - i}" for i in range(layers)], len(values) // layers),
                "alive": ~np.isnan(values),
            }
        )
        measures[model] = {"selectivity": values, "sparsity": 1 - values}
    pivot, *encoders = selectivity
    pairs = [
        pd.DataFrame({"pivot_unit": np.resize(inside[pivot], len(inside[e])), "unit": inside[e]})
        for e in encoders
    ]
    buddies = dict(zip(encoders, pairs, strict=True))
    rosetta = pd.concat([table.assign(model=model) for model, table in buddies.items()])
    return (units, selectivity_table(measures)), {"buddies": buddies, "rosetta": rosetta}


def test_planted_rosetta_units_are_found_to_be_more_selective() -> None:
    rng = np.random.default_rng(2)
    values = {name: rng.uniform(0, 0.6, 300) for name in ("g", "x")}
    inside = {name: rng.choice(300, 40, replace=False).tolist() for name in values}
    values["g"][inside["g"]] += 0.2
    known, found = made(values, inside, layers=3)
    rows = vargha_delaney_table(*known, **found).set_index(["model", "measure"])
    planted, other = rows.loc[("g", "selectivity")], rows.loc[("x", "selectivity")]
    assert planted["vargha_delaney_a"] > 0.7
    assert planted["p_value"] < 1e-4
    assert 0.35 < other["vargha_delaney_a"] < 0.65
    assert (planted["rosetta"], planted["other"]) == (40, 260)
    mirrored = rows.loc[("g", "sparsity")]
    assert mirrored["vargha_delaney_a"] == pytest.approx(1 - planted["vargha_delaney_a"])
    assert mirrored["p_value"] == pytest.approx(planted["p_value"])
    table = layer_table(*known, **found)
    of_pivot = table[table["model"] == "g"]
    assert (of_pivot["selectivity"] > of_pivot["selectivity_other"]).all()


def test_what_depth_alone_explains_is_no_superiority() -> None:
    """Deep units are more selective and more often Rosetta units, but alike within a layer."""
    shallow, deep = np.linspace(0, 0.4, 60), np.linspace(0.5, 0.9, 60)
    values = {"g": np.concatenate([shallow, deep]), "x": np.zeros(2)}
    inside = {"g": [29, 30, *range(60, 80), *range(100, 120)], "x": [0]}
    strata = np.repeat([0, 1], 60)
    group = np.isin(np.arange(120), inside["g"])
    within, p_value = vargha_delaney_a(values["g"], group, strata)
    across, unlike = vargha_delaney_a(values["g"], group, np.zeros(120, int))
    assert within == pytest.approx(0.5)
    assert p_value == pytest.approx(1)
    assert across > 0.8
    assert unlike < 1e-6


def test_superiority_is_mann_and_whitneys() -> None:
    rng = np.random.default_rng(3)
    values, group = rng.integers(0, 12, 90).astype(float), rng.random(90) < 0.3
    here = np.zeros(90, int)
    test = mannwhitneyu(values[group], values[~group], method="asymptotic", use_continuity=False)
    found, p_value = vargha_delaney_a(values, group, here)
    assert found == pytest.approx(test.statistic / (group.sum() * (~group).sum()))
    assert p_value == pytest.approx(test.pvalue)
    with_none = np.append(values, [np.nan, np.nan])
    same = vargha_delaney_a(with_none, np.append(group, [True, False]), np.append(here, [0, 1]))
    assert same == pytest.approx((found, p_value))
    # a layer of one kind has nothing to compare
    alone = np.append(values, 100.0), np.append(group, True), np.append(here, 1)
    assert vargha_delaney_a(*alone) == pytest.approx((found, p_value))
    assert np.isnan(vargha_delaney_a(values, np.ones(90, bool), here)).all()
    assert vargha_delaney_a(np.ones(90), group, here) == (0.5, 1.0)
    # independent strata add up: two of the same give the same share, and a smaller p-value
    twice, sure = vargha_delaney_a(np.tile(values, 2), np.tile(group, 2), np.repeat([0, 1], 90))
    assert twice == pytest.approx(found)
    assert sure < p_value


def test_p_values_are_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(4)
    strata = np.repeat(range(4), 30)
    p_values = [
        vargha_delaney_a(rng.random(120) + strata, rng.random(120) < 0.1 + 0.2 * strata, strata)[1]
        for _ in range(400)
    ]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=0.035)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.06)


def test_layers_are_counted_in_order_of_depth() -> None:
    values = {"g": np.array([0.1, 0.3, np.nan, 0.4, 0.5, 0.8]), "x": np.array([np.nan, np.nan, 1])}
    known, found = made(values, {"g": [0, 4], "x": [2]}, layers=3)
    found["buddies"]["x"] = pd.DataFrame({"pivot_unit": [0, 4, 5], "unit": [2, 2, 1]})
    found["rosetta"] = pd.DataFrame({"pivot_unit": [0, 4], "unit": [2, 2], "model": "x"})
    table = layer_table(*known, **found)
    assert table["model"].tolist() == ["g"] * 3 + ["x"] * 3
    assert table["layer"].tolist() == ["z9", "z8", "z7"] * 2
    assert table["depth"].tolist() == [0, 1, 2] * 2
    assert table["units"].tolist() == [2, 2, 2, 1, 1, 1]
    assert table["alive"].tolist() == [2, 1, 2, 0, 0, 1]
    assert table["matched"].tolist() == [1, 0, 2, 0, 1, 1]
    assert table["rosetta"].tolist() == [1, 0, 1, 0, 0, 1]
    np.testing.assert_array_equal(table["rosetta_share"], [0.5, 0, 0.5, np.nan, np.nan, 1])
    own = np.array([0.1, np.nan, 0.5, np.nan, np.nan, 1], np.float32)
    rest = np.array([0.3, 0.4, 0.8, np.nan, np.nan, np.nan], np.float32)
    np.testing.assert_array_equal(table["selectivity"], own)
    np.testing.assert_array_equal(table["selectivity_other"], rest)
    np.testing.assert_allclose(table["sparsity"], 1 - own, rtol=1e-6)


def test_a_run_without_rosetta_neurons_compares_nothing() -> None:
    known, found = made({"g": np.ones(4), "x": np.ones(4)}, {"g": [0], "x": [0]}, layers=2)
    found = {name: table[:0] if name == "rosetta" else table for name, table in found.items()}
    assert layer_table(*known, **found)["rosetta"].sum() == 0
    assert vargha_delaney_table(*known, **found)["vargha_delaney_a"].isna().all()
