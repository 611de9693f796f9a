"""Sources that change, combine or choose from others read exactly what they should."""

import numpy as np
import pandas as pd
import pytest
import torch

from rosetta_core.errors import RosettaError
from rosetta_core.mining.correlation.pearson import correlate
from rosetta_core.mining.sources.base import ActivationSource, WrappedSource, fit_batch_size
from rosetta_core.mining.sources.in_memory import InMemoryActivations
from rosetta_core.mining.sources.permuted import RolledPositions
from rosetta_core.mining.sources.subset import UnitPositions, UnitSubset
from rosetta_core.mining.sources.unit_table import unit_table
from rosetta_core.runtime.threads import TorchThreadPool

IMAGES = 12
SHAPES = {"a": (7, 4, 4), "b": (5, 3, 3), "c": (6, 2, 5)}
UNITS = [13, 2, 5, 17, 2, 12]  # of layers a: 2, 5; c: 0, 1, 5


class Chunked(InMemoryActivations):
    """Maps that are stored four channels at a time, must be loaded, and count what is read."""

    def __init__(self, arrays: dict[str, np.ndarray]) -> None:
        super().__init__(arrays)
        self.loaded, self.chunks_read = range(0), []

    def load(self, images: range, workers: TorchThreadPool) -> None:
        self.loaded = images

    def release(self) -> None:
        self.loaded = range(0)

    def bytes_per_image(self) -> int:
        return 1000

    def chunk_channels(self, layer: int) -> int:
        return 4

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> torch.Tensor:
        assert images.start in self.loaded
        assert images[-1] in self.loaded
        first, stop, _ = channels.indices(self.layers[layer].channels)
        self.chunks_read += [(layer, chunk) for chunk in range(first // 4, -(-stop // 4))]
        return super().read(layer, images, channels)


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {name: rng.random((IMAGES, *shape), dtype=np.float32) for name, shape in SHAPES.items()}


def test_chosen_units_are_read_in_order_and_each_chunk_once() -> None:
    source = Chunked(arrays())
    some = UnitSubset(source, UNITS)
    assert [(layer.name, layer.channels) for layer in some.layers] == [("a", 2), ("c", 3)]
    assert some.units.tolist() == [2, 5, 12, 13, 17]
    assert some.layer_numbers == [0, 2]
    assert some.chunks(0) == [slice(0, 1), slice(1, 2)]  # channels 2 and 5 of layer a
    assert some.chunks(1) == [slice(0, 2), slice(2, 3)]  # 0, 1 and 5 of layer c
    with TorchThreadPool(1) as workers:
        some.load(range(3, 9), workers)
    for number, name, channels in ((0, "a", [2, 5]), (1, "c", [0, 1, 5])):
        expected = arrays()[name][3:9, channels]
        np.testing.assert_array_equal(some.read(number, range(3, 9)), expected)
        np.testing.assert_array_equal(
            some.read(number, range(4, 6), slice(1, 2)), expected[1:3, 1:2]
        )
    source.chunks_read.clear()
    some.read(1, range(3, 9))
    assert source.chunks_read == [(2, 0), (2, 1)]
    some.release()
    assert source.loaded == range(0)


@pytest.mark.parametrize("kind", [InMemoryActivations, Chunked])
def test_chosen_units_have_the_correlations_that_they_have_among_all(kind) -> None:
    maps = kind(arrays())
    some = UnitSubset(maps, UNITS)
    whole = correlate(InMemoryActivations(arrays()), InMemoryActivations(arrays()))
    np.testing.assert_allclose(correlate(some, maps), whole[some.units], atol=1e-6)
    np.testing.assert_allclose(correlate(maps, some), whole[:, some.units], atol=1e-6)
    for mine, number, channels in zip(some.moments(), (0, 2), ([2, 5], [0, 1, 5]), strict=True):
        every = maps.moments()[number]
        assert mine.count == every.count
        np.testing.assert_array_equal(mine.mean, every.mean[channels])
        np.testing.assert_array_equal(mine.deviation, every.deviation[channels])


@pytest.mark.parametrize("kind", [InMemoryActivations, Chunked])
def test_standardised_maps_of_chosen_units(kind) -> None:
    maps = kind(arrays())
    table = unit_table(maps.layers, maps.moments(), min_relative_std=0.01)
    chosen = UnitPositions(maps, table, UNITS)
    with TorchThreadPool(2) as workers:
        maps.load(range(2, 7), workers)
        found = chosen.read(range(2, 7), workers)
    assert list(found) == [0, 2]
    for unit in sorted(set(UNITS)):
        row = table.loc[unit]
        layer, position = chosen.locate(unit)
        raw = arrays()[row["layer"]][2:7, row["channel"]].astype(np.float64)
        expected = (raw - row["mean"]) / row["std"]
        np.testing.assert_allclose(found[layer][:, position], expected, atol=1e-5)
    loaded = maps.bytes_per_image()
    assert chosen.bytes_per_image() == loaded + 3 * 4 * (2 * 4 * 4 + 3 * 2 * 5)


def test_a_wrapped_source_loads_what_it_wraps() -> None:
    source = Chunked(arrays())
    wrapped: WrappedSource = RolledPositions(source, seed=0)
    assert wrapped.bytes_per_image() == 1000
    assert wrapped.chunk_channels(0) == 4
    assert list(wrapped.iter_batches(5)) == [range(5), range(5, 10), range(10, 12)]
    with TorchThreadPool(1) as workers:
        wrapped.load(range(5), workers)
    assert source.loaded == range(5)
    assert wrapped.read(0, range(5)).shape == (5, 7, 4, 4)
    wrapped.release()
    assert source.loaded == range(0)


@pytest.mark.parametrize(
    ("per_image", "budget", "expected"),
    [(100, 2000, 8), (100, 1600, 8), (100, 1599, 4), (100, 1, 1), (1, 10**9, 128), (0, 10**9, 128)],
)
def test_a_batch_takes_half_the_budget_and_is_a_power_of_two(
    per_image: int, budget: int, expected: int
) -> None:
    assert fit_batch_size(per_image, memory_budget=budget) == expected


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ({}, "no maps; give an array"),
        ({"a": np.zeros((2, 3, 4))}, r"maps, layer 'a': shape \(2, 3, 4\) is not \(n, c, h, w\)"),
        (
            {"a": np.zeros((2, 1, 1, 1)), "b": np.zeros((3, 1, 1, 1))},
            r"different numbers of images \(\{'a': 2, 'b': 3\}\)",
        ),
    ],
)
def test_arrays_that_are_no_maps(bad: dict[str, np.ndarray], problem: str) -> None:
    with pytest.raises(RosettaError, match=problem):
        InMemoryActivations(bad, name="maps")


def test_a_model_with_fewer_images_is_refused() -> None:
    fewer = {name: array[:-1] for name, array in arrays().items()}
    pivot: ActivationSource = InMemoryActivations(arrays(), name="pivot")
    with pytest.raises(RosettaError, match=r"pivot has maps of 12 images and net of 11; rerun"):
        correlate(pivot, InMemoryActivations(fewer, name="net"))


def test_the_unit_table() -> None:
    maps = InMemoryActivations(
        {"a": np.array([[[[1.0, 3.0]], [[5, 5]]]]), "b": np.array([[[[100.0, 101.0]]]])}
    )
    table = unit_table(maps.layers, maps.moments(), min_relative_std=0.01)
    expected = pd.DataFrame(
        {
            "unit": np.arange(3, dtype=np.int32),
            "layer": ["a", "a", "b"],
            "channel": np.array([0, 1, 0], np.int32),
            "height": np.ones(3, np.int32),
            "width": np.full(3, 2, np.int32),
            "mean": [2.0, 5.0, 100.5],
            "std": [1.0, 0.0, 0.5],
            "alive": [True, False, False],
        }
    )
    pd.testing.assert_frame_equal(table, expected)
