"""Deviation of the correlations from their definition: `python benchmarks/accuracy.py CONFIG`.

The definition resizes the stored maps of a finished run (16 images, up to 64 units per layer) in
float64 and correlates them directly. Printed is the largest absolute difference per model: by
default, in batches of 5 images, and with every unit centred (see `moments.centring_shift`).
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from rosetta_core import load_config
from rosetta_core.mining.correlation.moments import Moments
from rosetta_core.mining.correlation.pearson import correlate
from rosetta_core.mining.sources.in_memory import InMemoryActivations
from rosetta_core.mining.sources.stored import StoredActivations
from rosetta_core.runs.paths import RunPaths

IMAGES, UNITS, BATCH = 16, 64, 5


class SmallBatches(InMemoryActivations):
    """Maps in small batches."""

    def iter_batches(self, batch_size: int) -> Iterator[range]:
        """Yield batches of at most BATCH images."""
        return super().iter_batches(min(batch_size, BATCH))


class Centred(InMemoryActivations):
    """Maps whose units are all centred."""

    def pilot_moments(self) -> list[Moments]:
        """Return the mean of every unit, and a std of 0, so that |mean| exceeds it."""
        return [Moments(m.count, m.mean, 0 * m.deviation) for m in self.moments()]


def main() -> None:
    config = load_config(Path(sys.argv[1] if len(sys.argv) > 1 else "config.yaml"))
    paths = RunPaths(config)
    maps = {}
    for model in config.models:
        stored = StoredActivations([paths.activations(model.name, config.shards[0])])
        maps[model.name] = {
            layer.name: stored.read(i, range(IMAGES), slice(UNITS)).numpy()
            for i, layer in enumerate(stored.layers)
        }
    pivot = maps[config.pivot.name]
    print("| pivot × model | largest error | batches of 5 | all centred |\n|---|---|---|---|")
    for name, arrays in maps.items():
        expected = direct(pivot, arrays)
        errors = [
            np.nanmax(np.abs(correlate(kind(pivot), kind(arrays)) - expected))
            for kind in (InMemoryActivations, SmallBatches, Centred)
        ]
        print(f"| {name} | " + " | ".join(f"{error:.1e}" for error in errors) + " |")


def direct(first: dict[str, NDArray], second: dict[str, NDArray]) -> NDArray[np.float64]:
    """Compute the definition: resize both maps, then Pearson over all images and positions."""
    rows = []
    for f in first.values():
        blocks = []
        for g in second.values():
            size = (max(f.shape[2], g.shape[2]), max(f.shape[3], g.shape[3]))
            x, y = (enlarged(maps, size) for maps in (f, g))
            blocks.append((x @ y.T).numpy())
        rows.append(np.concatenate(blocks, axis=1))
    return np.concatenate(rows)


def enlarged(maps: NDArray, size: tuple[int, int]) -> torch.Tensor:
    """Return maps (n, c, h, w) resized, centred and of norm 1, as (c, n·positions)."""
    large = torch.nn.functional.interpolate(
        torch.from_numpy(maps).double(), size=size, mode="bilinear", align_corners=False
    )
    units = large.transpose(0, 1).flatten(1)
    units -= units.mean(1, keepdim=True)
    norm = units.norm(dim=1, keepdim=True)
    return units / norm.masked_fill(norm < 1e-9, torch.nan)


if __name__ == "__main__":
    main()
