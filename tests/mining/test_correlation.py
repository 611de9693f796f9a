"""Correlations agree with enlarging both maps in float64, however the work is split."""

import subprocess
import sys
import textwrap

import numpy as np
import oracle
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rosetta_core.errors import RosettaError
from rosetta_core.mining.correlation.accumulator import CorrelationAccumulator
from rosetta_core.mining.correlation.channel_blocks import split_layers
from rosetta_core.mining.correlation.matmul import matmul_split_fp16, matmul_transposed, split_fp16
from rosetta_core.mining.correlation.pearson import correlate, correlate_blocks
from rosetta_core.mining.sources.in_memory import InMemoryActivations
from rosetta_core.runtime.threads import TorchThreadPool

BOUND = 1e-5  # against the definition
SPLIT = 1e-6  # between splits


def noise(seed: int, shape: tuple[int, ...], *, mean: float = 0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    means = mean * (1 + rng.random((1, shape[1], 1, 1)))
    return (rng.standard_normal(shape) + means).astype(dtype)


def zoo(images: int, *, mean: float = 0, dtype=np.float32):
    """A pivot and an encoder with square, oblong and 1×1 maps, some of them alike."""
    pivot = {
        name: noise(seed, (images, *shape), mean=mean, dtype=dtype)
        for seed, (name, shape) in enumerate(
            {"a": (5, 4, 4), "b": (7, 8, 6), "c": (3, 32, 32), "d": (2, 1, 1)}.items()
        )
    }
    encoder = {
        name: noise(9 + seed, (images, *shape), mean=mean, dtype=dtype)
        for seed, (name, shape) in enumerate(
            {"w": (6, 1, 1), "x": (4, 7, 5), "y": (9, 56, 56), "z": (2, 4, 33)}.items()
        )
    }
    up = torch.nn.functional.interpolate(
        torch.from_numpy(pivot["c"].astype(np.float32)), size=(56, 56), mode="bilinear"
    )
    encoder["y"][:, :3] = up.numpy()  # correlations of nearly 1
    return pivot, encoder


@pytest.mark.parametrize("mean", [0, 1, 1000])
@pytest.mark.parametrize("images", [1, 3, 40])
def test_agrees_with_the_definition(mean: float, images: int) -> None:
    pivot, encoder = zoo(images, mean=mean)
    with np.errstate(invalid="ignore"):
        expected = oracle.correlations(pivot, encoder)
    found = correlate(InMemoryActivations(pivot), InMemoryActivations(encoder))
    assert found.dtype == np.float32
    constant = np.isnan(expected)
    assert constant.any() == (images == 1)  # a 1×1 map of one image doesn't vary
    np.testing.assert_array_equal(np.isnan(found), constant)
    assert np.abs(found - expected)[~constant].max() <= BOUND
    assert np.nanmax(expected) > 0.9


@given(
    images=st.integers(1, 6),
    first=st.lists(st.tuples(st.integers(1, 3), *[st.integers(1, 12)] * 2), min_size=1, max_size=3),
    second=st.lists(
        st.tuples(st.integers(1, 3), *[st.integers(1, 12)] * 2), min_size=1, max_size=3
    ),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
)
@settings(max_examples=60)
def test_any_shapes(images: int, first, second, scale: float) -> None:
    pivot = {f"p{i}": noise(i, (images, *s), mean=1) * scale for i, s in enumerate(first)}
    encoder = {f"e{i}": noise(50 + i, (images, *s), mean=1) for i, s in enumerate(second)}
    with np.errstate(invalid="ignore", divide="ignore"):
        expected = oracle.correlations(pivot, encoder)
    found = correlate(InMemoryActivations(pivot), InMemoryActivations(encoder))
    both = np.isfinite(found) & np.isfinite(expected)
    assert np.abs(found - expected)[both].max(initial=0) <= BOUND
    assert both.mean() >= (np.isfinite(expected)).mean()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_any_type_of_maps(dtype) -> None:
    pivot, encoder = zoo(8, mean=2, dtype=dtype)
    found = correlate(InMemoryActivations(pivot), InMemoryActivations(encoder))
    assert np.abs(found - oracle.correlations(pivot, encoder)).max() <= BOUND


class Split(InMemoryActivations):
    """Maps that come in pieces of at most `most` images."""

    def __init__(self, arrays, most: int) -> None:
        super().__init__(arrays)
        self.most = most

    def iter_batches(self, largest: int):
        return super().iter_batches(min(largest, self.most))


@pytest.mark.parametrize("most", [1, 7, 17])
@pytest.mark.parametrize("budget", [3_000, 70_001, 2**31])
def test_the_split_into_images_and_units_does_not_matter(most: int, budget: int) -> None:
    pivot, encoder = zoo(40, mean=3)
    whole = correlate(InMemoryActivations(pivot), InMemoryActivations(encoder))
    device = torch.device("cpu")
    blocks = list(
        correlate_blocks(
            Split(pivot, most), [InMemoryActivations(encoder)], memory_budget=budget, device=device
        )
    )
    split = np.concatenate([block.corr for block in blocks], axis=1)
    assert np.abs(split - whole).max() <= SPLIT
    assert (len(blocks) > 1) == (budget < 10_000)
    assert [block.columns.start for block in blocks] == [
        sum(b.corr.shape[1] for b in blocks[:i]) for i in range(len(blocks))
    ]


def test_a_model_with_itself() -> None:
    pivot, _ = zoo(20, mean=1)
    found = correlate(InMemoryActivations(pivot), InMemoryActivations(pivot))
    np.testing.assert_allclose(np.diag(found), 1, atol=SPLIT)
    np.testing.assert_allclose(found, found.T, atol=SPLIT)


def test_scaling_and_shifting_a_unit_changes_nothing() -> None:
    pivot, encoder = zoo(10)
    moved = {name: maps * np.float32(4) + np.float32(64) for name, maps in encoder.items()}
    first, second = (
        correlate(InMemoryActivations(pivot), InMemoryActivations(maps))
        for maps in (encoder, moved)
    )
    assert np.abs(first - second).max() <= BOUND


def test_constant_units_correlate_with_nothing() -> None:
    pivot, encoder = zoo(6)
    pivot["a"][:, 2] = 0.1
    found = correlate(InMemoryActivations(pivot), InMemoryActivations(encoder))
    assert np.isnan(found[2]).all()
    assert np.isfinite(np.delete(found, 2, axis=0)).all()


def test_pooled_over_images_not_averaged() -> None:
    """Two units that agree between images only: correlations within a batch would all be 0."""
    levels = np.arange(6, dtype=np.float32)[:, None, None, None]
    pattern = np.tile(np.array([[1, -1], [-1, 1]], np.float32), (6, 1, 1, 1))
    f, g = 10 * levels + pattern, 10 * levels - pattern
    found = correlate(InMemoryActivations({"f": f}), InMemoryActivations({"g": g}))
    assert found[0, 0] > 0.99


def test_different_numbers_of_images() -> None:
    pivot, encoder = zoo(3)[0], zoo(4)[1]
    with pytest.raises(RosettaError, match=r"3 images and .* of 4"):
        correlate(InMemoryActivations(pivot), InMemoryActivations(encoder))


def test_working_memory_stays_within_the_budget() -> None:
    """Maps that are made when they are read, 0.9 GiB in all, with 256 MiB and two threads."""
    script = """
        from pathlib import Path
        import numpy as np, torch
        from rosetta_core.mining.correlation.pearson import correlate, correlate_blocks
        from rosetta_core.mining.sources.in_memory import InMemoryActivations
        torch.set_num_threads(1)

        class Endless(InMemoryActivations):
            def __init__(self, images, **layers):
                super().__init__({name: np.ones((1, *s), np.float32) for name, s in layers.items()})
                self.images = images

            def read(self, layer, images, channels):
                h, w = self.layers[layer].grid
                c = len(range(self.layers[layer].channels)[channels])
                maps = np.random.default_rng(layer).random((len(images), c, h, w), np.float32)
                return torch.from_numpy(maps)

        def peak():  # of this process in 256 MiB; getrusage would count what started it too
            status = Path("/proc/self/status").read_text()
            return int(status.split("VmHWM:")[1].split()[0]) / 2**18

        small = Endless(4, a=(8, 4, 4))
        correlate(small, small)
        before = peak()
        pivot = Endless(512, a=(256, 8, 8), b=(64, 32, 32))
        model = Endless(512, x=(24, 112, 112), y=(900, 7, 7))
        cpu = torch.device("cpu")
        list(correlate_blocks(pivot, [model], memory_budget=2**28, device=cpu, threads=2))
        print(peak() - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True
    )
    assert 0.1 < float(done.stdout) < 1, f"{float(done.stdout):.2f} of the budget"


class Counted(InMemoryActivations):
    """Maps that count how often each was read."""

    def __init__(self, arrays, name: str) -> None:
        super().__init__(arrays, name=name)
        self.reads = np.zeros((len(self.layers), self.images), int)

    def read(self, layer: int, images: range, channels: slice = slice(None)):
        self.reads[layer, images.start : images.stop] += 1
        return super().read(layer, images, channels)


@pytest.mark.parametrize("threads", [1, 3])
def test_one_pass_over_the_pivot_for_all_models(threads: int) -> None:
    pivot, encoder = zoo(12, mean=2)
    other = {"o": noise(77, (12, 11, 9, 9))}
    maps = [Counted(arrays, name) for arrays, name in ((pivot, "p"), (encoder, "e"), (other, "o"))]
    blocks = list(
        correlate_blocks(
            maps[0], maps[1:], memory_budget=2**31, device=torch.device("cpu"), threads=threads
        )
    )
    assert [block.model for block in blocks] == [0, 1]
    for block, arrays in zip(blocks, (encoder, other), strict=True):
        alone = correlate(InMemoryActivations(pivot), InMemoryActivations(arrays))
        assert np.abs(block.corr - alone).max() <= SPLIT
    assert all((source.reads == 1).all() for source in maps)


def test_blocks_of_rows_make_up_the_matrix() -> None:
    pivot, encoder = zoo(9, mean=1)
    whole = correlate(InMemoryActivations(pivot), InMemoryActivations(encoder))
    parts = [
        block.corr
        for rows in (range(4), range(4, 6), range(6, 17))
        for block in correlate_blocks(
            InMemoryActivations(pivot),
            [InMemoryActivations(encoder)],
            memory_budget=2**31,
            device=torch.device("cpu"),
            rows=rows,
        )
    ]
    assert np.abs(np.concatenate(parts) - whole).max() <= SPLIT


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_map_that_is_not_finite_is_named(value: float) -> None:
    pivot, encoder = zoo(20)
    source = InMemoryActivations(encoder, name="net")
    encoder["y"][13, 4, 50, 3] = value  # after the maps were checked, as in a store
    with pytest.raises(RosettaError) as caught:
        correlate(Split(pivot, 8), source)
    assert "net: layer 'y', image 13, channel 4, position (50, 3): the map contains" in str(
        caught.value
    )


@pytest.mark.parametrize("spread", [1, 1e4, 1e-6])
def test_tensor_cores_lose_nothing(spread: float) -> None:
    """Products of halves, as on a GPU, are as near to float64 as float32's are."""
    rng = np.random.default_rng(0)
    first, second = (
        torch.from_numpy((rng.standard_normal((n, 4096)) ** 3 * spread).astype(np.float32))
        for n in (30, 20)
    )
    second[3] = 0
    exact = first.double() @ second.double().T
    norm = torch.outer(first.double().norm(dim=1), second.double().norm(dim=1)).clamp(min=1e-300)
    for product in (matmul_transposed(first, second), matmul_split_fp16(first, second)):
        assert product.dtype == torch.float32
        assert float(((product.double() - exact) / norm).abs().max()) < 1e-6
    high, low, scale = split_fp16(first)
    again = (high.double() + low.double() / 2**11) * scale.double()[:, None]
    largest = first.abs().amax(1, keepdim=True)
    assert float(((again - first) / largest).abs().max()) < 2**-21


@pytest.mark.parametrize("threads", [1, 4])
def test_reading_ahead_changes_nothing(threads: int) -> None:
    """As for a GPU: maps are read in other threads and processed in this one."""
    pivot, encoder = (InMemoryActivations(arrays) for arrays in zoo(21, mean=2))
    expected = correlate(pivot, encoder)
    with TorchThreadPool(threads) as workers:
        accumulator = CorrelationAccumulator(
            pivot,
            [encoder],
            rows=split_layers(pivot.layers),
            columns=split_layers(encoder.layers, model=0),
            device=torch.device("cpu"),
            memory_budget=2**31,
            workers=workers,
            read_ahead=True,
        )
        for images in pivot.iter_batches(8):
            accumulator.add(images)
    units, corr = accumulator.correlations(0)
    assert units == slice(0, corr.shape[1])
    assert np.abs(corr - expected).max() <= SPLIT


@pytest.mark.parametrize("loaded", [0, 1000])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_takes_two_thirds_of_the_budget(loaded: int, threads: int) -> None:
    """By hand: the reduced pivot twice, and the largest block of maps for each thread."""

    class Loading(InMemoryActivations):
        def bytes_per_image(self) -> int:
            return loaded

    pivot = InMemoryActivations({"a": np.ones((4, 3, 4, 4), np.float32)})
    model = Loading({"b": np.ones((4, 5, 2, 2), np.float32)})
    reduced, row, column = 4 * 3 * 2 * 2, 4 * 3 * 4 * 4, 4 * (5 * 2 * 2 + 5 * 2 * 2)
    image = 2 * reduced + threads * max(row, column) + loaded

    def batch(budget: int) -> int:
        with TorchThreadPool(threads) as workers:
            return CorrelationAccumulator(
                pivot,
                [model],
                rows=split_layers(pivot.layers),
                columns=split_layers(model.layers, model=0),
                device=torch.device("cpu"),
                memory_budget=budget,
                workers=workers,
            ).batch_size()

    for images in (2, 4, 8):  # powers of two
        assert batch(3 * image * images // 2) == images
        assert batch(3 * image * images // 2 - 3) == images // 2
    assert batch(3 * image * 7 // 2) == 4
    assert batch(1) == 1
