"""Bootstrap confidence intervals: coverage, width, determinism, and invalid input."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosetta_core.errors import RosettaError
from rosetta_core.mining.significance.bootstrap import (
    mean_interval,
    percentile_interval,
    resampling_weights,
)

FINITE = st.floats(-1e6, 1e6)


def test_resampling_weights_count_the_items_of_each_resample() -> None:
    weights = resampling_weights(7, resamples=500, seed=3)
    assert weights.shape == (500, 7)
    np.testing.assert_array_equal(weights.sum(axis=1), 7)
    assert np.abs(weights.mean(axis=0) - 1).max() < 0.2  # five standard errors


def test_resamples_without_a_statistic_are_left_out() -> None:
    """As those in which a unit that is active on one image only is constant."""
    statistics = np.stack([np.arange(101.0), np.full(101, np.nan)], axis=1)
    statistics[:50, 1] = np.arange(50)
    low, high = percentile_interval(statistics)
    np.testing.assert_allclose(low, [2.5, 0.025 * 49])
    np.testing.assert_allclose(high, [97.5, 0.975 * 49])


@given(st.lists(FINITE, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_interval_does_not_depend_on_the_order(values: list[float], random) -> None:
    mixed = random.sample(values, len(values))
    low, high = mean_interval(values, resamples=99)
    assert (low, high) == mean_interval(mixed, resamples=99)
    assert min(values) - 1e-6 <= low <= high <= max(values) + 1e-6


@given(FINITE, st.integers(1, 9))
def test_equal_values_are_both_ends(value: float, count: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mean_interval([value] * count) == (value, value)


def test_nearly_equal_values_raise_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mean_interval([1.0, 1.0, 1 + 2e-16]) == pytest.approx((1, 1))


def test_an_interval_is_as_wide_as_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    error = values.std() / np.sqrt(values.size)
    for level, deviations in ((0.95, 1.960), (0.6827, 1.0)):
        low, high = mean_interval(values, level=level)
        assert low == pytest.approx(values.mean() - deviations * error, abs=0.06 * error)
        assert high == pytest.approx(values.mean() + deviations * error, abs=0.06 * error)


def test_intervals_cover_the_mean_at_their_level() -> None:
    random = np.random.default_rng(2)
    intervals = [
        mean_interval(random.normal(3, 1, 50), level=0.8, resamples=400) for _ in range(400)
    ]
    covered = np.mean([low <= 3 <= high for low, high in intervals])
    assert covered == pytest.approx(0.8, abs=0.06)  # three standard errors


def test_the_seed_determines_the_resamples() -> None:
    values = [1.0, 2.0, 4.0, 8.0, 16.0]
    first, second, other = (mean_interval(values, seed=seed, resamples=50) for seed in (1, 1, 2))
    assert first == second != other


def test_many_values_are_resampled_in_batches() -> None:
    values = np.random.default_rng(3).normal(0, 1, 300_000)
    low, high = mean_interval(values, resamples=60)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(values.size), rel=0.4)


@pytest.mark.parametrize(
    ("values", "level", "said"),
    [
        ([], 0.95, "0 of 0 values"),
        ([1.0, np.inf], 0.95, "1 of 2 values"),
        ([np.nan], 0.95, "0 of 1 values"),
        ([1.0], 95, "level 95"),
        ([1.0], 0, "level 0"),
    ],
)
def test_invalid_values_and_levels_are_errors(values: list[float], level: float, said: str) -> None:
    with pytest.raises(RosettaError, match=said):
        mean_interval(values, level=level)
