"""Moments are those of all activations together, in float64, however they came."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rosetta_core.mining.correlation.moments import (
    Moments,
    alive_units,
    pool_moments,
)
from rosetta_core.mining.sources.live import map_moments, raw_moments


def moments_of(maps: np.ndarray) -> Moments:
    """The moments of maps (n, c, h, w), by their definition in float64."""
    flat = maps.astype(np.float64).swapaxes(0, 1).reshape(maps.shape[1], -1)  # (c, n·h·w)
    return Moments(flat.shape[1], flat.mean(1), flat.var(1) * flat.shape[1])


def pooled(maps: np.ndarray) -> Moments:
    """The moments of maps (n, c, h, w), from those of each map."""
    given = torch.from_numpy(maps).contiguous(memory_format=torch.channels_last)
    positions = maps.shape[2] * maps.shape[3]
    mean, deviation = map_moments(*raw_moments(given), positions=positions)
    rows = zip(mean.numpy(), deviation.numpy(), strict=True)
    return pool_moments([Moments(positions, *row) for row in rows])


@pytest.mark.parametrize("ratio", [0, 1, 1e3, 1e6])
@pytest.mark.parametrize("grid", [(1, 1), (7, 5), (56, 56)])
def test_agree_with_float64(ratio: float, grid) -> None:
    rng = np.random.default_rng(0)
    maps = (rng.standard_normal((12, 6, *grid)) + ratio).astype(np.float32)
    found, expected = pooled(maps), moments_of(maps)
    assert found.count == expected.count
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.std, expected.std, rtol=1e-5)


@given(cuts=st.sets(st.integers(1, 19), max_size=6))
def test_pooling_any_parts_gives_the_whole(cuts) -> None:
    maps = (
        np.random.default_rng(1).standard_normal((20, 3, 4, 4)) + np.arange(20)[:, None, None, None]
    )  # the images' means differ much more than their insides
    edges = [0, *sorted(cuts), 20]
    pooled = pool_moments([moments_of(maps[a:b]) for a, b in pairwise(edges)])
    whole = moments_of(maps)
    np.testing.assert_allclose(pooled.mean, whole.mean)
    np.testing.assert_allclose(pooled.deviation, whole.deviation)


def test_dead_and_near_constant_units() -> None:
    maps = np.zeros((4, 4, 8, 8), np.float32)
    noise = np.random.default_rng(2).standard_normal((4, 8, 8)).astype(np.float32)
    maps[:, 1] = 5  # constant
    maps[:, 2] = 5 + 0.01 * noise  # varies by 0.2% of its mean
    maps[:, 3] = 1e-4 * noise  # small, but all variation
    found = pooled(maps)
    np.testing.assert_array_equal(
        alive_units(found, min_relative_std=0.01), [False, False, False, True]
    )
    np.testing.assert_array_equal(
        alive_units(found, min_relative_std=0), [False, False, True, True]
    )
