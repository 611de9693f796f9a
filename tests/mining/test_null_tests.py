"""Significance by null models: on noise, on planted matches, and on spurious ones."""

import subprocess
import sys
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from oracle import correlations
from scipy.stats import kstest

from rosetta_core.config import significance as config
from rosetta_core.config.significance import NullModelName
from rosetta_core.errors import RosettaError
from rosetta_core.mining.correlation.pearson import correlate
from rosetta_core.mining.matching.best_buddies import best_buddies, neighbour_table
from rosetta_core.mining.matching.concepts import rosetta_table
from rosetta_core.mining.matching.topk import mask_self, topk
from rosetta_core.mining.significance.null_models import NULL_MODELS, NullSources, null_model
from rosetta_core.mining.significance.null_tests import (
    concept_significance,
    null_counts,
    p_values,
    pair_significance,
    significant_neurons,
    significant_pairs,
)
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.mining.sources.in_memory import InMemoryActivations
from rosetta_core.mining.sources.permuted import PermutedImages, RolledPositions, draw_shifts

IMAGES, UNITS, SIDE, K = 48, 40, 6, 3
DRAWS = range(2)
SHUFFLED = {
    "images": lambda maps, draw: PermutedImages(maps, shift=draw_shifts(IMAGES, seed=5)[draw]),
}
ROLLED = {"positions": lambda maps, draw: RolledPositions(maps, seed=draw)}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def noise(rng: np.random.Generator, units: int = UNITS) -> np.ndarray:
    return rng.standard_normal((IMAGES, units, SIDE, SIDE)).astype(np.float32)


def arrays(maps: np.ndarray) -> InMemoryActivations:
    return InMemoryActivations({"layer": maps})


def mined(pivot: ActivationSource, encoder: ActivationSource) -> tuple[np.ndarray, pd.DataFrame]:
    corr = correlate(pivot, encoder)
    return corr, best_buddies(neighbour_table(topk(corr, K), topk(corr.T, K)))


class Significance:
    """Significance of the matches of a pivot with one encoder or several."""

    def __init__(self, pivot: np.ndarray, *encoders: np.ndarray, nulls=SHUFFLED) -> None:
        own = correlate(arrays(pivot), arrays(pivot))
        self.within_pivot = best_buddies(neighbour_table(topk(mask_self(own), K), None))
        self.observed, self.null = {}, {}
        for null, draw in nulls.items():
            self.observed[null], self.null[null] = {}, {}
            for name, maps in zip("abc", encoders, strict=False):
                _, found = mined(arrays(pivot), arrays(maps))
                _, null_pairs = mined(arrays(pivot), draw(arrays(maps), 0))
                rest = correlate(arrays(pivot), draw(arrays(maps), 1))
                for into, pairs in ((self.observed, found), (self.null, null_pairs)):
                    null_corr = rest[pairs["pivot_unit"], pairs["unit"]]
                    into[null][name] = pairs.assign(null_corr=null_corr)
        self.pairs = pair_significance(self.observed, self.null)
        self.counts = null_counts(self.observed, self.null, self.within_pivot)
        self.rosetta = rosetta_table(next(iter(self.observed.values())), self.within_pivot)
        self.concepts = concept_significance(self.rosetta, self.pairs, self.null, self.within_pivot)

    def fdr(self, level: str = "best buddies") -> float:
        """The estimated FDR of a level of matches."""
        (share,) = self.counts.loc[self.counts["level"] == level, "fdr"]
        return float(share)


@pytest.mark.parametrize("largest", [1, 7, 16, IMAGES])
def test_permuted_images_give_the_correlation_with_other_images(rng, largest: int) -> None:
    pivot, encoder = noise(rng, 5), rng.random((IMAGES, 4, 3, 9), dtype=np.float32)
    shuffled = PermutedImages(arrays(encoder), shift=13)
    expected = correlations({"f": pivot}, {"g": np.roll(encoder, 13, axis=0)})
    np.testing.assert_allclose(correlate(arrays(pivot), shuffled), expected, atol=1e-6)
    read = [shuffled.read(0, piece).numpy() for piece in shuffled.iter_batches(largest)]
    np.testing.assert_array_equal(np.concatenate(read), np.roll(encoder, 13, axis=0))


def test_rolled_maps_do_not_depend_on_the_batches(rng) -> None:
    maps = noise(rng, 3)
    rolled = RolledPositions(arrays(maps), seed=4)
    whole = rolled.read(0, range(IMAGES)).numpy()
    parts = [rolled.read(0, piece).numpy() for piece in rolled.iter_batches(5)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    channel = rolled.read(0, range(IMAGES), slice(1, 2)).numpy()
    np.testing.assert_array_equal(channel, whole[:, 1:2])
    offsets = set()
    for before, after in zip(maps, whole, strict=True):
        found = [
            (dy, dx)
            for dy in range(SIDE)
            for dx in range(SIDE)
            if np.array_equal(np.roll(before, (dy, dx), axis=(1, 2)), after)
        ]
        assert len(found) == 1
        offsets.update(found)
    assert (0, 0) not in offsets
    assert len(offsets) > SIDE**2 // 2


def test_maps_of_one_position_cannot_be_rolled(rng) -> None:
    maps = rng.random((IMAGES, 3, 1, 1), dtype=np.float32)
    rolled = RolledPositions(arrays(maps), seed=4)
    np.testing.assert_array_equal(rolled.read(0, range(IMAGES)).numpy(), maps)


@pytest.mark.parametrize("images", [3, 4, 5, 16, 512])
def test_no_image_has_its_neighbours_maps(images: int) -> None:
    found = np.array([draw_shifts(images, seed=seed) for seed in range(50)])
    assert (found[:, 0] != found[:, 1]).all()
    near = max(1, images // 4)
    assert found.min() >= near
    assert found.max() <= images - near


def test_p_values_by_hand() -> None:
    found = p_values(np.array([0.9, 0.5, 0.45, 0.0]), np.array([0.1, 0.5, 0.2]))
    np.testing.assert_allclose(found, [1 / 4, 2 / 4, 2 / 4, 4 / 4])
    assert p_values(np.array([0.3]), np.array([])) == [1.0]


def test_noise_has_uniform_p_values() -> None:
    found = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        result = Significance(noise(rng), noise(rng))
        found.append(result.pairs["p_value"].to_numpy(np.float64))
    assert kstest(np.concatenate(found), "uniform").pvalue > 0.01


def planted(rng: np.random.Generator, units: int, matches: int) -> Significance:
    """The first units of the encoder are the pivot's, with noise."""
    pivot, encoder = noise(rng, units), noise(rng, units)
    encoder[:, :matches] = pivot[:, :matches] + 0.7 * encoder[:, :matches]
    return Significance(pivot, encoder)


def true_pairs(result: Significance, matches: int) -> np.ndarray:
    same = result.pairs["pivot_unit"] == result.pairs["unit"]
    return (same & (result.pairs["unit"] < matches)).to_numpy()


def test_planted_matches_are_found(rng) -> None:
    result = planted(rng, UNITS, 10)
    true = true_pairs(result, 10)
    assert true.sum() == 10
    strong, others = result.pairs[true], result.pairs[~true]
    assert strong["p_value"].max() < 0.02
    np.testing.assert_allclose(strong["corr_excess"], strong["corr"], atol=0.15)
    assert others["p_value"].median() > 0.25


@pytest.mark.parametrize("matches", [0, 10, 20, 30, 40])
def test_the_fdr_of_best_buddies_is_estimated(matches: int) -> None:
    truth, estimates = [], []
    for seed in range(5):
        result = planted(np.random.default_rng(seed), UNITS, matches)
        truth.append(1 - true_pairs(result, matches).mean())
        estimates.append(result.fdr())
    assert np.mean(estimates) == pytest.approx(np.mean(truth), abs=0.1)


def test_a_centre_that_all_images_share_is_not_significant_with_permuted_images(rng) -> None:
    rows, columns = np.indices((SIDE, SIDE)) - (SIDE - 1) / 2
    centre = np.exp(-(rows**2 + columns**2) / 4).astype(np.float32)
    pivot, encoder = (noise(rng) * 0.3 + 3 * centre for _ in range(2))
    assert correlate(arrays(pivot), arrays(encoder)).min() > 0.8
    result = Significance(pivot, encoder)
    assert np.abs(result.pairs["corr_excess"]).max() < 0.05
    assert result.pairs["p_value"].median() > 0.25
    assert result.fdr() == pytest.approx(1, abs=0.2)
    rolled = Significance(pivot, encoder, nulls=ROLLED)
    assert rolled.pairs["corr_excess"].min() > 0.5


def test_brightness_that_all_units_share_is_not_significant_with_rolled_positions(rng) -> None:
    bright = 3 * rng.standard_normal((IMAGES, 1, 1, 1)).astype(np.float32)
    pivot, encoder = (noise(rng) + bright for _ in range(2))
    rolled = Significance(pivot, encoder, nulls=ROLLED)
    assert np.abs(rolled.pairs["corr_excess"]).max() < 0.05
    assert Significance(pivot, encoder).pairs["corr_excess"].min() > 0.5
    both = Significance(pivot, encoder, nulls=SHUFFLED | ROLLED)  # what leaves most counts
    assert np.abs(both.pairs["corr_excess"]).max() < 0.05
    assert both.pairs["p_value"].median() > 0.25


def test_null_rosetta_neurons_and_concepts_are_counted(rng) -> None:
    pivot = noise(rng)
    encoders = []
    for _ in range(2):
        maps = noise(rng)
        maps[:, :12] = pivot[:, :12] + 0.5 * maps[:, :12]
        encoders.append(maps)
    result = Significance(pivot, *encoders)
    null_pairs = result.null["images"]
    neurons = set(null_pairs["a"]["pivot_unit"]) & set(null_pairs["b"]["pivot_unit"])
    row = result.counts[result.counts["level"] == "Rosetta neurons"].iloc[0]
    assert row["n_null"] == len(neurons)
    assert row["n_observed"] == result.rosetta["pivot_unit"].nunique()
    false = (result.rosetta.groupby("pivot_unit").first().index >= 12).mean()
    assert row["fdr"] == pytest.approx(false, abs=0.15)
    planted = set(result.rosetta.loc[result.rosetta["pivot_unit"] < 12, "concept"])
    strong = result.concepts.set_index("concept")["p_value"]
    of_planted_alone = result.rosetta.groupby("concept")["pivot_unit"].max()
    for concept in planted & set(of_planted_alone[of_planted_alone < 12].index):
        assert strong[concept] < 0.1


def test_without_matches_there_is_no_significance(rng) -> None:
    pivot = noise(rng, 4)
    constant = np.ones((IMAGES, 3, SIDE, SIDE), np.float32)
    result = Significance(pivot, constant)
    assert result.pairs.empty
    assert result.concepts.empty
    assert result.counts["fdr"].isna().all()


def test_the_configuration_names_the_registered_null_models() -> None:
    assert get_args(NullModelName) == tuple(NULL_MODELS) == tuple(config.NULL_MODELS)
    for name, needs in config.NULL_MODELS.items():
        model = null_model(name)
        assert model.name == name
        assert needs == (not model.runs_encoder, model.min_images)


@pytest.mark.parametrize("seed", [0, 1, 4])
@pytest.mark.parametrize("name", NULL_MODELS)
def test_a_null_model_makes_two_independent_draws_that_its_seed_determines(
    rng, name: str, seed: int
) -> None:
    pivot, encoder = arrays(noise(rng, 3)), arrays(noise(rng, 2))

    def draws(seed: int) -> list[np.ndarray]:
        """The maps of the pivot and of the encoder in both draws."""
        sources = NullSources(
            pivot=pivot,
            encoder=lambda: encoder,
            untrained=lambda seed: arrays(noise(np.random.default_rng([seed, 9]), 2)),
            seed=seed,
        )
        made = null_model(name).draws(sources)
        return [source.read(0, range(IMAGES)).numpy() for draw in made for source in draw]

    first, own, second, other = draws(seed)
    for one, again in zip((first, own, second, other), draws(seed), strict=True):
        np.testing.assert_array_equal(one, again)
    maps = [source.read(0, range(IMAGES)).numpy() for source in (pivot, encoder)]
    changed, kept = ((first, second), (own, other))
    if null_model(name).runs_encoder:
        changed, kept = kept, changed
    unchanged = maps[0] if null_model(name).runs_encoder else maps[1]
    for one in kept:
        np.testing.assert_array_equal(one, unchanged)
    for one, another in (changed, (changed[0], maps[0]), (changed[1], maps[0])):
        assert one.shape != another.shape or np.mean(one == another) < 0.2
    assert not np.array_equal(changed[0], draws(11)[1 if null_model(name).runs_encoder else 0])


def test_an_unknown_null_model_is_an_error() -> None:
    with pytest.raises(RosettaError, match=r"'permute' is not a null model; use permute_images"):
        null_model("permute")


def test_the_registry_is_read_without_torch_and_pandas() -> None:
    script = "import sys, rosetta_core.mining.significance.null_models\n"
    script += "print({'torch', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout.strip() == b"set()"


def pairs_of(*rows: tuple[int, int, float]) -> pd.DataFrame:
    """Pairs (pivot unit, unit, excess correlation)."""
    table = pd.DataFrame(rows, columns=["pivot_unit", "unit", "corr"])
    return table.assign(null_corr=0.0).astype({"pivot_unit": np.int32, "unit": np.int32})


NULL_PAIRS = pairs_of(*((unit, unit, 0.1 + unit / 100) for unit in range(19)))  # 0.1 to 0.28


def test_a_p_value_of_exactly_a_twentieth_is_significant() -> None:
    """Above all of 19 null values p = 1/20; as high as one of them p = 2/20."""
    observed = pairs_of((0, 0, 0.3), (1, 1, 0.28), (2, 2, 0.2))
    assert p_values(observed["corr"], NULL_PAIRS["corr"])[0] == 0.05
    assert significant_pairs(observed, NULL_PAIRS)["unit"].tolist() == [0]
    table = pair_significance({"n": {"e": observed}}, {"n": {"e": NULL_PAIRS}})
    table["p_value"] = [0.05, 0.0501, 0.05]
    rosetta = table[["pivot_unit", "model", "unit", "corr"]].assign(concept=0)
    assert significant_neurons(rosetta, table, encoders=1)["pivot_unit"].tolist() == [0, 2]


def test_false_discoveries_are_counted_by_hand() -> None:
    """10 of 20 pairs are significant; of two concepts one has a significant neuron."""
    observed = pairs_of(
        *((unit, unit, 0.5) for unit in range(10)), *((unit, unit, 0.2) for unit in range(10, 20))
    )
    # neurons 9 (significant) and 10 (not) are linked; so are 18 and 19, both not significant
    links = [(9, 10), (10, 9), (18, 19), (19, 18)]
    within_pivot = pd.DataFrame(links, columns=["pivot_unit", "unit"], dtype=np.int32)
    counts = null_counts(
        {"n": {"e": observed}}, {"n": {"e": NULL_PAIRS}}, within_pivot.assign(corr=0.5)
    ).set_index("level")
    assert counts.loc["best buddies", ["n_observed", "n_null"]].tolist() == [20, 19]
    assert counts.loc["best buddies", "fdr"] == pytest.approx(10 / 0.95 / 20)
    assert counts.loc["Rosetta neurons", "n_observed"] == 20
    assert counts.loc["Rosetta neurons", "fdr"] == pytest.approx(10 / 20)
    # 16 single neurons and 2 pairs are concepts; 9 with 10 has a significant neuron
    assert counts.loc["concepts", "n_observed"] == 18
    assert counts.loc["concepts", "fdr"] == pytest.approx(8 / 18)


def test_all_pairs_false_is_an_fdr_of_1() -> None:
    observed = pairs_of(*((unit, unit, 0.2) for unit in range(20)))
    counts = null_counts(
        {"n": {"e": observed}}, {"n": {"e": NULL_PAIRS}}, pairs_of().assign(corr=[])
    )
    assert counts["fdr"].tolist() == [1, 1, 1]


def test_offsets_differ_between_seeds_and_layers(rng) -> None:
    maps = rng.random((IMAGES, 2, SIDE, SIDE), dtype=np.float32)
    source = InMemoryActivations({"first": maps, "second": maps})
    one, other = (RolledPositions(source, seed=seed) for seed in (4, 5))
    rolled = [one.read(0, range(IMAGES)), other.read(0, range(IMAGES)), one.read(1, range(IMAGES))]
    for i, j in ((0, 1), (0, 2)):
        same = (rolled[i] == rolled[j]).flatten(1).all(1).double().mean()
        assert same < 0.2  # 1 in 35 expected
    assert len({draw_shifts(512, seed=seed) for seed in range(20)}) > 15
