"""Split halves, confidence intervals and peak overlap, on data of known truth."""

import numpy as np
import pandas as pd
import pytest
import torch

from rosetta_core.mining.correlation.image_subsets import (
    ImageSubsets,
    growing_subsets,
    split_half_subsets,
)
from rosetta_core.mining.correlation.pearson import correlate, correlate_blocks
from rosetta_core.mining.significance.pair_statistics import (
    corr_intervals,
    pair_statistics,
    weighted_correlations,
)
from rosetta_core.mining.significance.pair_sums import pair_sums, peak_positions
from rosetta_core.mining.significance.split_half import (
    MatchSet,
    concept_recovery,
    pair_recovery,
    split_half_counts,
)
from rosetta_core.mining.significance.tables import (
    join_concept_significance,
    join_pair_significance,
)
from rosetta_core.mining.sources.concat import ConcatSource
from rosetta_core.mining.sources.in_memory import InMemoryActivations

CPU = torch.device("cpu")


def arrays(images: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "small": rng.standard_normal((images, 3, 4, 4)),
        "large": rng.standard_normal((images, 4, 8, 6)) + 3,
        "one": rng.standard_normal((images, 2, 1, 1)),
    }


def some(content: dict[str, np.ndarray], images: list[int]) -> InMemoryActivations:
    return InMemoryActivations({name: array[images] for name, array in content.items()})


def members(subsets: ImageSubsets) -> list[list[int]]:
    """By subset its images."""
    ends = [0, *subsets.ends]
    return [
        [i for group in groups for i in range(ends[group], ends[group + 1])]
        for groups in subsets.members
    ]


@pytest.mark.parametrize("splits", [1, 2, 3, 10, 35])
def test_halves_are_disjoint_and_of_one_size_and_every_split_is_another(splits) -> None:
    found = members(split_half_subsets(48, splits=splits))
    assert len(found) == 2 * splits
    for first, second in zip(found[::2], found[1::2], strict=True):
        assert sorted(first + second) == list(range(48))
        assert len(first) == len(second)
    assert len({tuple(half) for half in found}) == len(found)


def test_firsts_are_the_first_images_and_their_halves() -> None:
    found = members(growing_subsets([6, 12, 20]))
    ranges = [range(6), range(3), range(3, 6), range(12), range(6), range(6, 12)]
    ranges += [range(20), range(10), range(10, 20)]
    assert found == [list(some) for some in ranges]


@pytest.mark.parametrize("budget", [2**22, 2**14])
@pytest.mark.parametrize("subsets", [split_half_subsets(11, splits=3), growing_subsets([4, 7, 11])])
def test_a_subset_correlates_as_it_does_by_itself(subsets, budget) -> None:
    pivot, model = arrays(11), arrays(11, seed=1)
    blocks = correlate_blocks(
        InMemoryActivations(pivot),
        [InMemoryActivations(model)],
        memory_budget=budget,
        device=CPU,
        subsets=subsets,
    )
    found: dict[int | None, list[np.ndarray]] = {}
    for block in blocks:
        found.setdefault(block.subset, []).append(block.corr)
    wanted = {None: list(range(11)), **dict(enumerate(members(subsets)))}
    assert found.keys() == wanted.keys()
    for subset, images in wanted.items():
        alone = correlate(some(pivot, images), some(model, images))
        np.testing.assert_allclose(np.hstack(found[subset]), alone, atol=2e-6)


@pytest.mark.parametrize("level", [0.3, 0.7, 1.1, 2.3])
def test_a_unit_that_is_constant_in_a_half_correlates_with_nothing_there(level: float) -> None:
    """Its maps are not at their centre there, so its std in the half is the rounding of sums."""
    pivot, model = arrays(16), arrays(16, seed=1)
    model["large"][:8] = level * np.arange(1, 5)[:, None, None]
    model["large"][8:] *= 0.1
    blocks = correlate_blocks(
        InMemoryActivations(pivot),
        [InMemoryActivations(model)],
        memory_budget=2**22,
        device=CPU,
        subsets=split_half_subsets(16, splits=1),
    )
    found = {block.subset: np.isnan(block.corr) for block in blocks}
    assert found[0][:, 3:7].all()  # the layer comes after three units
    assert not np.delete(found[0], range(3, 7), axis=1).any()
    assert not found[None].any()
    assert not found[1].any()


def mined(pairs: list[tuple[int, int]], own: list[tuple[int, int]]) -> MatchSet:
    def table(rows: list[tuple[int, int]]) -> pd.DataFrame:
        found = pd.DataFrame(rows, columns=["pivot_unit", "unit"], dtype=np.int32)
        return found.assign(corr=np.float32(0.5))

    return MatchSet({"e": table(pairs)}, table([*own, *((b, a) for a, b in own)]))


RUN = mined([(0, 10), (1, 11), (2, 12), (3, 13)], [(0, 1), (2, 3)])
HALVES = [
    mined([(0, 10), (1, 11), (2, 19)], [(0, 1)]),
    mined([(0, 10), (2, 12), (3, 13)], [(2, 3)]),
]


def test_recovery_rates_of_pairs() -> None:
    found = pair_recovery(RUN, HALVES)
    assert found["recovery_rate"].tolist() == [1, 0.5, 0.5, 0.5]
    assert found["recovered"].tolist() == [True, False, False, False]


def test_recovery_rates_of_concepts() -> None:
    assert sorted(map(sorted, RUN.rosetta.groupby("concept")["pivot_unit"].unique())) == [
        [0, 1],
        [2, 3],
    ]
    found = concept_recovery(RUN, HALVES).set_index("concept")
    for concept, rate in ((RUN.concept_of[0], 0.75), (RUN.concept_of[2], 0.75)):
        assert found.loc[concept, "recovery_rate"] == rate
        assert found.loc[concept, "recovered"]
    gone = concept_recovery(RUN, [HALVES[0], mined([(0, 10), (1, 11)], [])]).set_index("concept")
    assert not gone.loc[RUN.concept_of[2], "recovered"]


def test_counts_and_agreement_of_halves() -> None:
    table = split_half_counts(RUN, HALVES).set_index("level")
    assert table.loc["best buddies", ["n_observed", "n_half", "recovery_rate"]].tolist() == [
        4,
        3,
        0.625,
    ]
    assert table.loc["best buddies", "agreement"] == pytest.approx(2 * 1 / 6)
    assert table.loc["Rosetta neurons", "agreement"] == pytest.approx(2 * 2 / 6)
    assert table.loc["concepts", ["n_observed", "n_half"]].tolist() == [2, 2]
    single = mined([(0, 10), (1, 11)], [(0, 1)])
    for halves in ([HALVES[0], single], [single, HALVES[0]]):
        assert split_half_counts(RUN, halves).set_index("level").loc["concepts", "n_half"] == 1.5


def test_halves_that_join_neurons_alike_agree_and_others_do_not() -> None:
    pairs = [(i, 10 + i) for i in range(6)]
    one, same = (mined(pairs, [(0, 1), (2, 3), (4, 5)]) for _ in range(2))
    other = mined(pairs, [(0, 3), (2, 5), (4, 1)])
    rand = [split_half_counts(one, [one, half])["agreement"].iloc[-1] for half in (same, other)]
    assert rand[0] == 1
    assert rand[1] < 0.1


NONE, FULL = mined([], []), mined([(0, 10), (1, 11)], [(0, 1)])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("run", "halves", "rate"),
    [
        (NONE, [NONE, NONE], np.nan),
        (NONE, [FULL, FULL], np.nan),
        (FULL, [NONE, NONE], 0),
        (FULL, [FULL, NONE], 0.5),
        (FULL, [FULL, FULL], 1),
    ],
)
def test_halves_without_matches(run: MatchSet, halves: list[MatchSet], rate: float) -> None:
    table = split_half_counts(run, halves)
    np.testing.assert_equal(table["recovery_rate"].tolist(), [rate] * 3)
    pairs = join_pair_significance(run.buddies, [pair_recovery(run, halves)])
    concepts = join_concept_significance(run.rosetta, pairs, [concept_recovery(run, halves)])
    assert pairs["recovery_rate"].tolist() == [rate] * len(pairs)
    assert concepts["recovery_rate"].tolist() == [rate] * len(concepts)
    assert (pairs["recovered"].dtype, concepts["recovered"].dtype) == ("boolean", "boolean")


@pytest.mark.parametrize("budget", [2**28, 2**12])
def test_intervals_are_of_sums_that_give_the_correlations(budget) -> None:
    pivot, model = InMemoryActivations(arrays(9)), InMemoryActivations(arrays(9, seed=1))
    pairs = np.array([(i, j) for i in range(9) for j in (8, 0, 3, 5)])
    sums = pair_sums(pivot, model, pairs=pairs, memory_budget=budget, threads=2)
    (corr,) = weighted_correlations(sums, np.ones((1, 9)))
    np.testing.assert_allclose(corr, correlate(pivot, model)[tuple(pairs.T)], atol=2e-6)
    (without,) = weighted_correlations(sums, np.array([[1.0] * 4 + [0.0] + [1.0] * 4]))
    left = [i for i in range(9) if i != 4]
    alone = correlate(some(arrays(9), left), some(arrays(9, seed=1), left))
    np.testing.assert_allclose(without, alone[tuple(pairs.T)], atol=2e-6)


def test_groups_of_many_images_are_consecutive() -> None:
    rng = np.random.default_rng(2)
    pivot, model = (
        InMemoryActivations({"l": rng.standard_normal((600, 1, 2, 2))}) for _ in range(2)
    )
    sums = pair_sums(pivot, model, pairs=np.array([[0, 0]]), memory_budget=2**20, threads=1)
    assert len(sums.positions) == 128
    assert sums.positions.sum() == 600 * 4
    sizes = sums.positions[:, 0] / 4
    assert sizes[0] == 5  # 600 / 128 is 4.7
    first, second = (maps.read(0, range(5)).double() for maps in (pivot, model))
    assert sums.products[0, 0] == pytest.approx(float((first * second).sum()), rel=1e-5)


def test_intervals_cover_the_truth_at_their_level() -> None:
    """Pixels of an image are alike, so an interval over pixels would hold it far less often."""
    rng = np.random.default_rng(0)
    units, images, rho = 300, 96, 0.6
    shared, own, other = (rng.standard_normal((images, units, 1, 1)) for _ in range(3))
    f = np.sqrt(rho) * shared + np.sqrt(1 - rho) * own
    g = np.sqrt(rho) * shared + np.sqrt(1 - rho) * other
    f, g = (np.broadcast_to(maps, (images, units, 4, 4)).copy() for maps in (f, g))
    pairs = np.repeat(np.arange(units)[:, None], 2, axis=1)
    statistics = pair_statistics(
        InMemoryActivations({"l": f}),
        InMemoryActivations({"l": g}),
        pairs=pairs,
        memory_budget=2**28,
        threads=1,
    )
    covered = (statistics["corr_ci_low"] <= rho) & (rho <= statistics["corr_ci_high"])
    assert 0.9 <= covered.mean() <= 0.98
    assert np.all(statistics["corr_ci_low"] < statistics["corr_ci_high"])


def test_intervals_do_not_depend_on_the_other_pairs() -> None:
    pivot, model = InMemoryActivations(arrays(20)), InMemoryActivations(arrays(20, seed=1))
    pairs = np.array([(i, j) for i in range(9) for j in range(9)])
    many = corr_intervals(pair_sums(pivot, model, pairs=pairs, memory_budget=2**28, threads=1))
    few = corr_intervals(
        pair_sums(pivot, model, pairs=pairs[40:42], memory_budget=2**28, threads=1)
    )
    np.testing.assert_allclose(np.array(many)[:, 40:42], few, rtol=1e-6)


def test_peaks_are_shares_of_the_sides_and_none_where_a_map_is_the_same_everywhere() -> None:
    maps = torch.zeros(1, 3, 4, 8)
    maps[0, 0, 3, 0] = 1
    maps[0, 1, 0, 7] = 1
    found = peak_positions(maps)
    np.testing.assert_allclose(found[0, :2], [[0.875, 0.0625], [0.125, 0.9375]])
    assert np.isnan(found[0, 2]).all()


def test_peak_overlap_across_grids() -> None:
    """The same peak at both grids on three images of four; on one the encoder fires elsewhere."""
    small, large = np.zeros((4, 1, 4, 4)), np.zeros((4, 1, 8, 8))
    for image, (row, column) in enumerate([(0, 0), (3, 1), (2, 2), (1, 3)]):
        small[image, 0, row, column] = 1
        large[image, 0, 2 * row + 1, 2 * column] = 1
    large[3] = large[3, :, ::-1]
    statistics = pair_statistics(
        InMemoryActivations({"l": small}),
        InMemoryActivations({"l": large}),
        pairs=np.array([[0, 0]]),
        memory_budget=2**20,
        threads=1,
    )
    assert statistics["peak_overlap"].tolist() == [0.75]


@pytest.mark.parametrize("threads", [1, 3])
def test_pairs_of_several_encoders_are_looked_at_together_as_alone(threads: int) -> None:
    pivot, models = (
        InMemoryActivations(arrays(20)),
        [InMemoryActivations(arrays(20, seed=s)) for s in (1, 2)],
    )
    rng = np.random.default_rng(3)
    pairs = [np.stack([rng.integers(0, 9, 12), rng.integers(0, 9, 12)], axis=1) for _ in models]
    joined = ConcatSource(models, name="both")
    assert joined.first_units == [0, 9, 18]
    together = pair_statistics(
        pivot,
        joined,
        pairs=np.concatenate([pairs[0], pairs[1] + [0, 9]]),
        memory_budget=2**28,
        threads=threads,
    )
    alone = [
        pair_statistics(pivot, model, pairs=its, memory_budget=2**28, threads=1)
        for model, its in zip(models, pairs, strict=True)
    ]
    for column, values in together.items():
        wanted = np.concatenate([statistics[column] for statistics in alone])
        np.testing.assert_allclose(values, wanted, rtol=1e-6)


def test_joined_models_correlate_as_each_does() -> None:
    pivot, models = arrays(7), [InMemoryActivations(arrays(7, seed=s)) for s in (1, 2)]
    joined = ConcatSource(models, name="both")
    wanted = np.hstack([correlate(InMemoryActivations(pivot), model) for model in models])
    np.testing.assert_allclose(correlate(InMemoryActivations(pivot), joined), wanted, atol=1e-6)
    np.testing.assert_allclose(correlate(joined, InMemoryActivations(pivot)), wanted.T, atol=1e-6)
    assert joined.describe(4, 2) == models[1].describe(1, 2)


def test_no_pairs_give_an_empty_table() -> None:
    maps = InMemoryActivations(arrays(3))
    statistics = pair_statistics(
        maps, maps, pairs=np.zeros((0, 2), np.int64), memory_budget=2**20, threads=1
    )
    assert [len(values) for values in statistics.values()] == [0, 0, 0]


def test_a_unit_active_on_one_image_has_a_finite_interval() -> None:
    """A third of the resamples are without this image, and leave the unit constant."""
    rng = np.random.default_rng(0)
    pivot = np.zeros((16, 1, 4, 4))
    pivot[5] = rng.random((1, 4, 4))
    encoder = pivot + 0.01 * rng.random((16, 1, 4, 4))
    statistics = pair_statistics(
        InMemoryActivations({"l": pivot}),
        InMemoryActivations({"l": encoder}),
        pairs=np.array([[0, 0]]),
        memory_budget=2**20,
        threads=1,
    )
    assert 0 < statistics["corr_ci_low"][0] <= statistics["corr_ci_high"][0] <= 1


@pytest.mark.parametrize("chunk", [2, 3, 9])
def test_pairs_do_not_depend_on_the_channels_that_are_read_at_once(chunk: int) -> None:
    """Every pair of units, with chunks of one channel and of several."""

    class Chunked(InMemoryActivations):
        def chunk_channels(self, layer: int) -> int:
            return chunk

    pivot, encoder = arrays(10), arrays(10, seed=1)
    pairs = np.argwhere(np.ones((9, 9), bool))
    found, expected = (
        pair_statistics(
            InMemoryActivations(pivot), source(encoder), pairs=pairs, memory_budget=2**28, threads=1
        )
        for source in (Chunked, InMemoryActivations)
    )
    for column, values in expected.items():
        np.testing.assert_allclose(found[column], values, rtol=1e-6)
