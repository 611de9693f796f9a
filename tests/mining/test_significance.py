"""Significance of the matches of a finished run, from its definitions."""

import shutil
from pathlib import Path
from zlib import crc32

import numpy as np
import oracle
import pandas as pd
import pytest
from conftest import NO_JOBS, Checkout, tiny

from rosetta_core import stages
from rosetta_core.config import Config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.mining.sources.permuted import draw_shifts
from rosetta_core.runs.live_source import live_activations
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.sources import activation_source
from rosetta_core.runtime.threads import TorchThreadPool

ENCODER = "mobilenet_v2"
K = Config().neighbours.k


def of_run(run: Path, **changes: object) -> Config:
    return parse_config(tiny(results=str(run.parent), **changes))


@pytest.fixture
def copied(finished: Checkout, tmp_path: Path) -> Path:
    """A copy of the finished run, to write into."""
    return Path(shutil.copytree(finished.run, tmp_path / "results" / "tiny", symlinks=True))


def stored(config: Config, model: str) -> dict[str, np.ndarray]:
    maps = activation_source(config, model)
    return {
        layer.name: maps.read(number, range(maps.images)).numpy().astype(np.float64)
        for number, layer in enumerate(maps.layers)
    }


def mask_dead(config: Config, model: str, corr: np.ndarray, axis: int) -> None:
    units = pd.read_parquet(RunPaths(config).units(model))
    dead = np.flatnonzero(~units["alive"])
    corr[dead if axis == 0 else (slice(None), dead)] = np.nan


def at(corr: np.ndarray, pairs: pd.DataFrame) -> np.ndarray:
    return corr[pairs["pivot_unit"], pairs["unit"]]


def test_the_null_is_the_definition_on_other_images(finished: Checkout) -> None:
    config = of_run(finished.run)
    paths = RunPaths(config)
    pivot, encoder = stored(config, "dcgan"), stored(config, ENCODER)
    first, second = (
        oracle.correlations(
            pivot, {layer: np.roll(maps, -shift, axis=0) for layer, maps in encoder.items()}
        )
        for shift in draw_shifts(16, seed=crc32(ENCODER.encode()))
    )
    mask_dead(config, "dcgan", first, 0)
    mask_dead(config, ENCODER, first, 1)
    null = pd.read_parquet(paths.null_matches("permute_images", ENCODER))
    assert set(zip(null["pivot_unit"], null["unit"], strict=True)) == oracle.best_buddies(first, K)
    pairs = pd.read_parquet(paths.best_buddies(ENCODER))
    observed = pd.read_parquet(paths.null_corr("permute_images", ENCODER))
    same = ["pivot_unit", "unit", "corr"]
    assert observed[same].equals(pairs[same])
    np.testing.assert_allclose(null["corr"], at(first, null), atol=1e-5)
    np.testing.assert_allclose(null["null_corr"], at(second, null), atol=1e-5)
    np.testing.assert_allclose(observed["null_corr"], at(second, observed), atol=1e-5)


def test_every_pair_and_every_concept_has_its_significance(finished: Checkout) -> None:
    config = of_run(finished.run)
    paths = RunPaths(config)
    names = [encoder.name for encoder in config.encoders]
    pairs = pd.read_parquet(paths.pair_significance)
    for name in names:
        rows = pairs[pairs["model"] == name].reset_index(drop=True)
        buddies = pd.read_parquet(paths.best_buddies(name))
        assert rows[["pivot_unit", "unit", "corr"]].equals(buddies[["pivot_unit", "unit", "corr"]])
        observed, null = (
            pd.read_parquet(of("permute_images", name)).astype(
                {"corr": "float64", "null_corr": "float64"}
            )
            for of in (paths.null_corr, paths.null_matches)
        )
        np.testing.assert_allclose(
            rows["corr_excess"], observed["corr"] - observed["null_corr"], atol=1e-6
        )
        null_excess = (null["corr"] - null["null_corr"]).to_numpy()
        as_much = [
            (null_excess >= excess).sum() for excess in observed["corr"] - observed["null_corr"]
        ]
        np.testing.assert_allclose(rows["p_value"], (1 + np.array(as_much)) / (1 + len(null)))
    concepts = pd.read_parquet(paths.concept_significance)
    assert concepts["concept"].tolist() == pd.read_parquet(paths.concepts)["concept"].tolist()
    assert concepts["p_value"].between(0, 1, inclusive="right").all()
    counts = pd.read_parquet(paths.null_counts)
    assert counts["level"].tolist() == ["best buddies"] * 3 + ["Rosetta neurons", "concepts"]
    neurons = pd.read_parquet(paths.rosetta)["pivot_unit"].nunique()
    assert counts.loc[3, "n_observed"] == neurons
    assert counts["fdr"].between(0, 1).all()


def test_halves_are_the_definition_on_half_of_the_images(finished: Checkout) -> None:
    config = of_run(finished.run)
    assert config.splits == 1
    paths = RunPaths(config)
    maps = {model.name: stored(config, model.name) for model in config.models}
    halves: list[dict[str, set[tuple[int, int]]]] = []
    for images in (slice(0, 8), slice(8, 16)):
        seen = {
            name: {layer: its[images] for layer, its in of.items()} for name, of in maps.items()
        }
        found = {}
        for name in maps:
            corr = oracle.correlations(seen["dcgan"], seen[name])
            mask_dead(config, "dcgan", corr, 0)
            mask_dead(config, name, corr, 1)
            found[name] = oracle.best_buddies(corr, K, same=name == "dcgan")
        halves.append(found)
    pairs = pd.read_parquet(paths.pair_significance)
    for row in pairs.itertuples():
        recovered = [(row.pivot_unit, row.unit) in half[row.model] for half in halves]
        assert row.recovery_rate == np.mean(recovered)
        assert row.recovered == all(recovered)
    assert 0 < pairs["recovery_rate"].mean() < 1
    neurons = [
        set.intersection(*({j for j, _ in half[e.name]} for e in config.encoders))
        for half in halves
    ]
    counts = pd.read_parquet(paths.split_half).set_index("level")
    of_all = set(pd.read_parquet(paths.rosetta)["pivot_unit"])
    row = counts.loc["Rosetta neurons"]
    assert row["n_half"] == np.mean([len(some) for some in neurons])
    assert row["recovery_rate"] == pytest.approx(
        np.mean([len(of_all & n) for n in neurons]) / len(of_all)
    )
    concepts = pd.read_parquet(paths.concept_significance).set_index("concept")
    for concept, units in (
        pd.read_parquet(paths.concepts).set_index("concept")["pivot_units"].items()
    ):
        rate = np.mean([len(set(units) & some) / len(units) for some in neurons])
        assert concepts.loc[concept, "recovery_rate"] == pytest.approx(rate)


def test_intervals_and_peaks_are_of_the_stored_maps(finished: Checkout) -> None:
    config = of_run(finished.run)
    paths = RunPaths(config)
    pairs = pd.read_parquet(paths.pair_significance)
    assert (pairs["corr_ci_low"] <= pairs["corr"]).mean() > 0.99
    assert (pairs["corr"] <= pairs["corr_ci_high"]).mean() > 0.99
    pivot, encoder = stored(config, "dcgan"), stored(config, ENCODER)
    units = [
        [(layer, channel) for layer, maps in of.items() for channel in range(maps.shape[1])]
        for of in (pivot, encoder)
    ]
    for row in pairs[pairs["model"] == ENCODER].iloc[::40].itertuples():
        (own, i), (other, j) = units[0][row.pivot_unit], units[1][row.unit]
        same = 0
        for first, second in zip(pivot[own][:, i], encoder[other][:, j], strict=True):
            places = [
                (np.array(np.unravel_index(its.argmax(), its.shape)) + 0.5) / its.shape
                for its in (first, second)
            ]
            flat = any(np.ptp(its) == 0 for its in (first, second))
            same += not flat and bool((np.abs(places[0] - places[1]) <= 1 / 8 + 1e-6).all())
        assert row.peak_overlap == pytest.approx(same / 16)


def test_untrained_is_a_run_of_the_encoder_before_training(copied: Path) -> None:
    config = of_run(copied, significance={"nulls": ["untrained"]}, steering=NO_JOBS)
    stages.null_models.run(config, model=ENCODER, null="untrained")
    encoders = tiny()["encoders"]
    number = [encoder["name"] for encoder in encoders].index(ENCODER)
    seed = crc32(ENCODER.encode()) + 1  # the second draw
    encoders[number] = {**encoders[number], "weights": {"random": seed}}
    untrained = of_run(copied, encoders=encoders)
    maps = live_activations(untrained, ENCODER)
    with TorchThreadPool(1) as workers:
        maps.load(range(maps.images), workers)
    others = {
        layer.name: maps.read(number, range(maps.images)).numpy().astype(np.float64)
        for number, layer in enumerate(maps.layers)
    }
    corr = oracle.correlations(stored(config, "dcgan"), others)
    mask_dead(config, "dcgan", corr, 0)
    observed = pd.read_parquet(RunPaths(config).null_corr("untrained", ENCODER))
    best = np.nanmax(corr[observed["pivot_unit"]], axis=1)
    np.testing.assert_allclose(observed["null_corr"], best, atol=1e-4)


def test_another_encoder_changes_nothing_of_the_null(copied: Path) -> None:
    config = of_run(copied, encoders=tiny()["encoders"][1:])
    path = RunPaths(config).null_matches("permute_images", ENCODER)
    before = path.read_bytes()
    stages.null_models.run(config, model=ENCODER, null="permute_images")
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("model", "null", "said"),
    [
        (
            "mobilenet",
            "permute_images",
            "no encoder 'mobilenet' in run 'tiny'; they are .*mobilenet_v2",
        ),
        ("dcgan", "permute_images", "no encoder 'dcgan'"),
        (
            ENCODER,
            "pixels",
            "--null: run 'tiny' has no null model 'pixels'; they are permute_images",
        ),
    ],
)
def test_what_there_is_not(finished: Checkout, model: str, null: str, said: str) -> None:
    with pytest.raises(RosettaError, match=said):
        stages.null_models.run(of_run(finished.run), model=model, null=null)


def test_nulls_need_stored_maps_but_for_untrained_encoders() -> None:
    assert parse_config(tiny()).nulls == ["permute_images"]
    assert parse_config(tiny(activations={"store": "none"})).nulls == []
    assert parse_config(tiny(significance={"nulls": []})).nulls == []
    live = tiny(activations={"store": "none"}, significance={"nulls": ["roll_positions"]})
    with pytest.raises(RosettaError, match=r"positions needs stored maps"):
        parse_config(live)


@pytest.mark.parametrize(
    ("images", "changes", "said"),
    [
        (
            15,
            {"splits": 1},
            r"significance\.splits: needs at least 16 images \(sampling.images is 15\)",
        ),
        (
            15,
            {"intervals": True},
            r"significance\.intervals: needs at least 16 images \(sampling.images is 15\)",
        ),
        (16, {"splits": 36}, r"significance\.splits: .*35"),
    ],
)
def test_halves_and_intervals_need_images(images, changes, said) -> None:
    with pytest.raises(RosettaError, match=said):
        parse_config(tiny(significance=changes, sampling={"images": images}))


def test_parts_that_a_run_cannot_have_are_left_out_and_refused_where_asked_for() -> None:
    few, live = tiny(sampling={"images": 15}), tiny(activations={"store": "none"})
    assert (parse_config(few).splits, parse_config(few).intervals) == (0, False)
    assert (parse_config(live).splits, parse_config(live).intervals) == (1, False)
    with pytest.raises(RosettaError, match=r"significance\.intervals: needs stored maps"):
        parse_config({**live, "significance": {"intervals": True}})
    nothing = parse_config(tiny(significance={"nulls": [], "splits": 0, "intervals": False}))
    assert not nothing.has_significance
    assert RunPaths(nothing).significance == []
