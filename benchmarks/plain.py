"""Comparison with a plain implementation: `python benchmarks/plain.py [CONFIG]`.

The plain implementation follows the paper's text in a few lines of torch: for each batch of images
and each pair of layers it resizes both maps to the larger grid, flattens them, and accumulates
sums, squares and products. Both use the first stored maps of a finished run, in the same session,
on all cores, with one pass per model. The plain implementation receives its maps from memory, and
runs first, with glibc's defaults; ours reads and verifies its stores, and glibc keeps freed memory,
as under the command line. Constant units are excluded.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rosetta_core import load_config
from rosetta_core.mining.correlation.pearson import correlate_blocks
from rosetta_core.mining.sources.base import ActivationSource, WrappedSource
from rosetta_core.mining.sources.stored import StoredActivations
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.memory import keep_freed_memory

BATCH = 16  # images that the plain implementation resizes at once
CPU = torch.device("cpu")


class FirstImages(WrappedSource):
    """The first images of a source, all of one shard."""

    def __init__(self, source: ActivationSource, images: int) -> None:
        super().__init__(source)
        self.images = images

    def iter_batches(self, batch_size: int) -> Iterator[range]:
        """Yield the images as ranges of at most `batch_size`."""
        for start in range(0, self.images, batch_size):
            yield range(start, min(start + batch_size, self.images))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?", type=Path, default=Path("config.yaml"))
    parser.add_argument("--images", type=int, default=256)
    arguments = parser.parse_args()
    config = load_config(arguments.config)
    paths, images, threads = RunPaths(config), arguments.images, torch.get_num_threads()
    maps = {
        model.name: FirstImages(
            StoredActivations([paths.activations(model.name, config.shards[0])]), images
        )
        for model in config.models
    }
    pivot = maps[config.pivot.name]
    print(f"{images} images, {threads} threads\n")
    expected, seconds = {}, {}
    for name, model in maps.items():
        in_memory = [
            [source.read(layer, range(images)) for layer in range(len(source.layers))]
            for source in (pivot, model)
        ]
        started = time.perf_counter()
        expected[name] = plain(*in_memory)
        seconds[name] = time.perf_counter() - started
    keep_freed_memory()
    print("| pivot × model | plain | ours | speed-up | largest difference |")
    print("|---|---|---|---|---|")
    totals = np.zeros(2)
    for name, model in maps.items():
        times = []
        for _ in range(2):
            started = time.perf_counter()
            blocks = correlate_blocks(
                pivot, [model], memory_budget=2**31, device=CPU, threads=threads
            )
            found = np.concatenate([block.corr for block in blocks], axis=1)
            times.append(time.perf_counter() - started)
        totals += seconds[name], min(times)
        difference = np.abs(found - expected[name])
        error = difference[np.isfinite(difference)].max()
        print(f"| {name} | {seconds[name]:.1f} s | {min(times):.2f} s | "
              f"{seconds[name] / min(times):.0f} | {error:.0e} |", flush=True)  # fmt: skip
    print(f"| all | {totals[0]:.1f} s | {totals[1]:.2f} s | **{totals[0] / totals[1]:.0f}** | |")


def plain(pivot: list[Tensor], model: list[Tensor]) -> np.ndarray:
    """Return the correlations of maps (n, c, h, w) by layer; both maps of a pair are resized."""
    return np.concatenate(
        [np.concatenate([correlate_layers(f, g) for g in model], axis=1) for f in pivot]
    )


def correlate_layers(first: Tensor, second: Tensor) -> np.ndarray:
    """Return the correlations (c, c') of the units of two layers."""
    size = max(first.shape[2], second.shape[2])
    products, sums, squares, count = 0.0, [0.0, 0.0], [0.0, 0.0], 0
    for batch in zip(first.split(BATCH), second.split(BATCH), strict=True):
        flat = []
        for side, maps in enumerate(batch):
            large = torch.nn.functional.interpolate(
                maps.float(), size=(size, size), mode="bilinear", align_corners=False
            )
            units = large.transpose(0, 1).flatten(1)  # (c, n·size²)
            sums[side] = sums[side] + units.sum(1).double()
            squares[side] = squares[side] + units.square().sum(1).double()
            flat.append(units)
        products = products + (flat[0] @ flat[1].T).double()
        count += flat[0].shape[1]
    mean = [total / count for total in sums]
    std = [(s / count - m.square()).clamp(min=0).sqrt() for s, m in zip(squares, mean, strict=True)]
    covariance = products / count - torch.outer(*mean)
    return (covariance / torch.outer(*std)).numpy()


if __name__ == "__main__":
    main()
