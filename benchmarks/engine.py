"""Efficiency and scaling of the correlations on one thread: `python benchmarks/engine.py`.

Prints two tables:

- products: rate of the matrix products within a pass, by map size of the encoder's layers, relative
  to a large square product timed in the same run;
- scaling: CPU time of a pass when images, units or encoders are doubled.

Maps are rectified Gaussian noise with the shapes of the face zoo's layers, in float16.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.correlation import accumulator
from rosetta_core.mining.correlation.matmul import matmul_transposed
from rosetta_core.mining.correlation.pearson import correlate_blocks
from rosetta_core.mining.sources.in_memory import InMemoryActivations
from rosetta_core.runtime.memory import keep_freed_memory

CPU = torch.device("cpu")
PIVOT = {"4": (512, 4), "8": (256, 8), "16": (128, 16), "32": (64, 32)}  # channels, side
ENCODER = {"112": (32, 112), "56": (240, 56), "28": (528, 28), "14": (2880, 14), "7": (4736, 7)}
SMALL = {"28": (264, 28), "14": (768, 14), "7": (1024, 7)}
TRIES = 3


def main() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    products()
    scaling()


def products() -> None:
    """Print the rate of the products within a pass, by map size of the encoder's layers."""
    images = 128
    pivot = maps(PIVOT, images)
    measured, rate = {}, 0.0
    for name, shape in ENCODER.items():
        encoder = maps({name: shape}, images)
        rate = max(rate, peak())
        tries = [timed_pass(pivot, encoder) for _ in range(TRIES)]
        measured[name] = min(tries, key=lambda measurement: measurement[1])
    print(f"peak: {rate / 1e9:.0f} GFLOP/s\n")
    print("| encoder's layers | GFLOP | GFLOP/s in products | share of peak | share of time |")
    print("|---|---|---|---|---|")
    for name, (operations, inside, whole) in measured.items():
        channels, side = ENCODER[name]
        print(f"| {channels} units of {side}×{side} | {operations / 1e9:.1f} | "
              f"{operations / inside / 1e9:.0f} | {operations / inside / rate:.0%} | "
              f"{inside / whole:.0%} |")  # fmt: skip
    operations, inside, whole = np.sum(list(measured.values()), axis=0)
    print(f"| all | {operations / 1e9:.1f} | {operations / inside / 1e9:.0f} | "
          f"**{operations / inside / rate:.0%}** | {inside / whole:.0%} |\n")  # fmt: skip


def timed_pass(
    pivot: InMemoryActivations, encoder: InMemoryActivations
) -> tuple[float, float, float]:
    """Correlate once; return FLOP of the products, their seconds, and the seconds of the pass."""
    spent = np.zeros(2)

    def timed(first: Tensor, second: Tensor) -> Tensor:
        started = time.perf_counter()
        result = matmul_transposed(first, second)
        spent[0] += time.perf_counter() - started
        spent[1] += 2 * first.shape[0] * first.shape[1] * second.shape[0]
        return result

    accumulator.matmul_transposed = timed
    try:
        whole = run(pivot, [encoder], time.perf_counter)
    finally:
        accumulator.matmul_transposed = matmul_transposed
    return spent[1], spent[0], whole


def scaling() -> None:
    """Print the ratio of the CPU times of a pass, doubled to not doubled."""
    base = (PIVOT, [SMALL], 256)
    cases = {
        "images": (PIVOT, [SMALL], 512),
        "units of the encoder": (PIVOT, [doubled(SMALL)], 256),
        "units of the pivot": (doubled(PIVOT), [SMALL], 256),
        "encoders": (PIVOT, [SMALL, SMALL], 256),
    }
    print("| doubled | CPU time of a pass |\n|---|---|")
    for name, case in cases.items():
        alternating = [(cost(*base), cost(*case)) for _ in range(TRIES)]
        before, after = (min(times) for times in zip(*alternating, strict=True))
        print(f"| {name} | × {after / before:.2f} |", flush=True)


def cost(pivot: dict, encoders: list[dict], images: int) -> float:
    """Return the CPU seconds of a pass."""
    models = [maps(shapes, images) for shapes in encoders]
    return run(maps(pivot, images), models, time.process_time)


def run(
    pivot: InMemoryActivations, models: list[InMemoryActivations], clock: Callable[[], float]
) -> float:
    """Return the seconds of a pass, moments excluded."""
    for source in (pivot, *models):
        source.moments()  # stores have them
    started = clock()
    for _ in correlate_blocks(pivot, models, memory_budget=2**31, device=CPU):
        pass
    return clock() - started


def maps(shapes: dict[str, tuple[int, int]], images: int) -> InMemoryActivations:
    """Return random maps of some layers (channels, side)."""
    return InMemoryActivations(
        {layer: noise(images, channels, side) for layer, (channels, side) in shapes.items()}
    )


def noise(images: int, channels: int, side: int) -> NDArray[np.float16]:
    """Return rectified Gaussian noise (images, channels, side, side)."""
    drawn = torch.randn(
        images, channels, side, side, generator=torch.Generator().manual_seed(channels + side)
    )
    return drawn.relu_().half().numpy()


def doubled(shapes: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Return the shapes with twice the channels."""
    return {layer: (2 * channels, side) for layer, (channels, side) in shapes.items()}


def peak() -> float:
    """Return the FLOP/s of one thread in a large square product, the best of a few."""
    square, best = torch.rand(3072, 3072), 0.0
    for _ in range(TRIES):
        started = time.perf_counter()
        square @ square
        best = max(best, 2 * 3072**3 / (time.perf_counter() - started))
    return best


if __name__ == "__main__":
    main()
