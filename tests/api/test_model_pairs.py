"""Best buddies and correlations of any two models of a result, against definitions and tables."""

from pathlib import Path

import numpy as np
import oracle
import pandas as pd
import pytest
import torch
from torch import nn

import rosetta_core as rosetta
from rosetta_core import RosettaError

GREY = {"size": 12, "mean": [0.5] * 3, "std": [0.5] * 3}
NUMBERS = ["pivot_unit", "unit", "corr", "pivot_rank", "unit_rank"]
NAMED = ["pivot_id", "pivot_model", "pivot_layer", "pivot_channel", "id", "model", "layer"]


def model(seed: int, channels: int) -> rosetta.Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels + 1, 3, padding=1, stride=2),
        ).eval()
        with torch.no_grad():
            network[0].bias[0] = -100  # a dead unit
    return rosetta.wrap(network, ["1", "2"], input=GREY, name=f"m{seed}", check=False)


@pytest.fixture(scope="module")
def mined() -> rosetta.Mined:
    pixels = np.random.default_rng(0).integers(0, 256, (14, 12, 12, 3), dtype=np.uint8)
    return rosetta.mine(model(0, 4), [model(1, 5), model(2, 6)], pixels, k=2)


@pytest.fixture(scope="module")
def saved(mined: rosetta.Mined, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mined.save(tmp_path_factory.mktemp("results") / "pairs", activations=True)


@pytest.fixture(params=["mined", "saved"])
def result(request: pytest.FixtureRequest, mined: rosetta.Mined, saved: Path):
    return mined if request.param == "mined" else rosetta.open_run(saved)


def maps_of(result, name: str) -> dict[str, np.ndarray]:
    """The maps (n, c, h, w) of a model, by layer."""
    return {
        layer: np.stack([result.maps(unit) for unit in rows["id"]], 1)
        for layer, rows in result.units(name).groupby("layer")
    }


@pytest.mark.parametrize("name", ["m0", "m1", "m2"])
def test_the_pivot_has_the_best_buddies_of_the_tables(result, name: str) -> None:
    pairs, stored = result.best_buddies("m0", name), result.best_buddies(name)
    pd.testing.assert_frame_equal(pairs, stored[list(pairs.columns)], atol=1e-6)
    assert {*NUMBERS, *NAMED} <= set(pairs.columns) and len(pairs)


@pytest.mark.parametrize(("first", "second"), [("m1", "m2"), ("m2", "m1"), ("m1", "m1")])
@pytest.mark.parametrize("k", [None, 1, 3, 9])
def test_best_buddies_are_those_of_the_definition(
    result, first: str, second: str, k, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With more neighbours than are kept at first, too."""
    monkeypatch.setattr("rosetta_core.mining.matching.model_pairs.LEAST", 4)
    corr = oracle.correlations(*(maps_of(result, name) for name in (first, second)))
    alive = [result.units(name)["alive"].to_numpy() for name in (first, second)]
    corr[~np.logical_and.outer(*alive)] = np.nan
    if first == second:
        np.fill_diagonal(corr, np.nan)
    found = result.best_buddies(first, second, k=k)
    expected = oracle.best_buddies(corr, k or 2)
    assert set(zip(found["pivot_unit"], found["unit"], strict=True)) == expected
    np.testing.assert_allclose(found["corr"], corr[found["pivot_unit"], found["unit"]], atol=1e-5)
    assert (found["pivot_id"].str.startswith(f"{first}/")).all()
    assert (found["id"].str.startswith(f"{second}/")).all()


def test_both_orders_have_the_same_pairs(result) -> None:
    there, back = result.best_buddies("m1", "m2"), result.best_buddies("m2", "m1")
    pairs = set(zip(there["pivot_id"], there["id"], strict=True))
    assert pairs == set(zip(back["id"], back["pivot_id"], strict=True))
    np.testing.assert_array_equal(
        result.correlations("m1", "m2"), result.correlations("m2", "m1").T
    )


def test_correlations_have_layers_and_channels(result) -> None:
    corr = result.correlations("m0", "m2")
    units = result.units("m0")
    assert corr.index.names == ["layer", "channel"] == corr.columns.names
    assert corr.index.tolist() == list(zip(units["layer"], units["channel"], strict=True))
    assert corr.shape == (9, 13) and np.isnan(corr.loc[("1", 0)]).all()
    array = result.correlations("m2")
    assert isinstance(array, np.ndarray)
    np.testing.assert_array_equal(array, corr)
    maps = maps_of(result, "m0")
    within = rosetta.correlate(maps, maps)
    pd.testing.assert_frame_equal(result.correlations("m0", "m0"), within, atol=1e-5)


def test_they_are_computed_once(mined: rosetta.Mined, monkeypatch: pytest.MonkeyPatch) -> None:
    mined.best_buddies("m1", "m2", k=3)
    monkeypatch.setattr(
        "rosetta_core.mining.matching.model_pairs.correlate_blocks", lambda *_, **__: 1 / 0
    )
    assert len(mined.best_buddies("m2", "m1", k=5)) >= len(mined.best_buddies("m1", "m2", k=3))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda result: result.best_buddies("m1", "m3"), "unknown model 'm3'"),
        (lambda result: result.best_buddies("n1", "m2"), "(did you mean 'm1'?)"),
        (lambda result: result.correlations("m1", "m9"), "unknown model 'm9'"),
        (lambda result: result.best_buddies("m1", "m2", k=0), "k: 0 is not a whole number"),
        (lambda result: result.best_buddies("m1", "m2", k=99), "can be neighbours; use a smaller"),
        (lambda result: result.best_buddies("m1", "m2", k=True), "k: True is not a whole"),
        (lambda result: result.best_buddies("m1", "m2", k="2"), "k: '2' is not a whole"),
        (lambda result: result.best_buddies(k=3), "give a model with k"),
        (lambda result: result.best_buddies(None, "m1"), "give a model"),
    ],
)
def test_bad_pairs_are_one_line(result, call, message: str) -> None:
    with pytest.raises(RosettaError) as raised:
        call(result)
    assert message in str(raised.value) and "\n" not in str(raised.value)


def test_maps_that_cannot_be_had_are_named(mined: rosetta.Mined, tmp_path: Path) -> None:
    run = rosetta.open_run(mined.save(tmp_path / "bare"))
    assert len(run.best_buddies("m1"))
    with pytest.raises(RosettaError, match=r"^m1: its network was given in memory"):
        run.best_buddies("m1", "m2")
