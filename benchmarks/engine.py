"""How near the correlations come to what the machine can do: `python benchmarks/engine.py`.

Prints two tables, both for one thread:

- products: the rate of the matrix products inside a pass, by the grid of the encoder's layers,
  against a large square product timed in the same run;
- growth: the CPU time of a pass when images, units or encoders are doubled.

Maps are seeded random ones of the face zoo's shapes, rectified and rounded to float16.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.mining.correlation import accumulator as pooling
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
    growth()


def products() -> None:
    """Print the rate of the products inside a pass, by grid of the encoder's layers."""
    images = 128
    pivot = maps(PIVOT, images)
    measured, rate = {}, 0.0
    for name, shape in ENCODER.items():
        encoder = maps({name: shape}, images)
        rate = max(rate, peak())  # of the whole run
        tries = [timed_pass(pivot, encoder) for _ in range(TRIES)]
        measured[name] = min(tries, key=lambda found: found[1])
    print(f"the peak: {rate / 1e9:.0f} GFLOP/s\n")
    print("| encoder's layers | GFLOP | GFLOP/s in products | of the peak | of a pass's time |")
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
    """Correlate once; return operations in products, seconds in them, and seconds in all."""
    spent = np.zeros(2)

    def timed(first: Tensor, second: Tensor) -> Tensor:
        started = time.perf_counter()
        result = matmul_transposed(first, second)
        spent[0] += time.perf_counter() - started
        spent[1] += 2 * first.shape[0] * first.shape[1] * second.shape[0]
        return result

    pooling.matmul_transposed = timed
    try:
        whole = run(pivot, [encoder], time.perf_counter)
    finally:
        pooling.matmul_transposed = matmul_transposed
    return spent[1], spent[0], whole


def growth() -> None:
    """Print how the CPU time of a pass grows."""
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
    """CPU seconds of a pass."""
    models = [maps(shapes, images) for shapes in encoders]
    return run(maps(pivot, images), models, time.process_time)


def run(
    pivot: InMemoryActivations, models: list[InMemoryActivations], clock: Callable[[], float]
) -> float:
    """Seconds of a pass."""
    for source in (pivot, *models):
        source.moments()  # known of stores
    started = clock()
    for _ in correlate_blocks(pivot, models, memory_budget=2**31, device=CPU):
        pass
    return clock() - started


def maps(shapes: dict[str, tuple[int, int]], images: int) -> InMemoryActivations:
    """Seeded random maps of some shapes, by layer (channels, side)."""
    return InMemoryActivations(
        {layer: noise(images, channels, side) for layer, (channels, side) in shapes.items()}
    )


def noise(images: int, channels: int, side: int) -> NDArray[np.float16]:
    """Rectified noise."""
    drawn = torch.randn(
        images, channels, side, side, generator=torch.Generator().manual_seed(channels + side)
    )
    return drawn.relu_().half().numpy()


def doubled(shapes: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """The same with twice the channels."""
    return {layer: (2 * channels, side) for layer, (channels, side) in shapes.items()}


def peak() -> float:
    """Operations a second of one thread in a large square product, the best of a few."""
    square, best = torch.rand(3072, 3072), 0.0
    for _ in range(TRIES):
        started = time.perf_counter()
        square @ square
        best = max(best, 2 * 3072**3 / (time.perf_counter() - started))
    return best


if __name__ == "__main__":
    main()
