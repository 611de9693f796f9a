"""What the loss of steering adds to a step of Adam: `python benchmarks/steering_step.py`.

Needs a finished run (`results/faces`, or that of another configuration, named after the script).
Prints for Rosetta pairs and for all best buddies, and for each similarity, how long a step takes
without the similarity of maps and with it: the generator forward with its maps caught, backward to
8 latents, and Adam. Without, the loss is the sum of the drawn pixels; with, the similarity to the
maps that the encoders have of 8 of the run's images is added. One thread; blocks of steps
alternate, and the median of their ratios is printed with its quartiles.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from rosetta_core.config import load_config
from rosetta_core.mining.sampling.generator import image_seed
from rosetta_core.mining.sampling.samples import Samples
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.memory import keep_freed_memory
from rosetta_core.stages.steered_networks import Networks
from rosetta_core.steering.generator import Pivot
from rosetta_core.steering.map_targets import matches_of
from rosetta_core.steering.optimise.latents import given_latents
from rosetta_core.steering.optimise.objective import Objective

ROOT = Path(__file__).resolve().parent.parent
BATCH = 8
STEPS, BLOCKS = 4, 40  # of each way


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?", type=Path, default=ROOT / "config.yaml")
    config = load_config(parser.parse_args().config)
    torch.set_num_threads(1)
    keep_freed_memory()
    networks = Networks(config)
    pivot, encoders = networks.pivot, [encoder.name for encoder in config.encoders]
    images = Samples(RunPaths(config).sample_stores).images(range(BATCH))
    print("| pairs | similarity | step without, ms | with, ms | ratio | quartiles |")
    print("|---|---|---|---|---|---|")
    for name in ("rosetta", "best_buddies"):
        seen = networks.seen(encoders, pairs=name)
        matches = [match for one in seen for match in matches_of(one, images, pivot=pivot)]
        count = sum(len(match.channels) for match in matches)
        for similarity in ("image", "dataset", "distance"):
            objective = Objective(
                matches, grids=pivot.grids, moments=pivot.moments, similarity=similarity
            )
            without, with_it = timed(pivot, objective)
            low, middle, high = np.quantile(with_it / without, [0.25, 0.5, 0.75])
            print(f"| {count} ({name}) | {similarity} | {1e3 * np.median(without):.1f} | "
                  f"{1e3 * np.median(with_it):.1f} | **{middle:.3f}** | {low:.3f}–{high:.3f} |",
                  flush=True)  # fmt: skip


def timed(pivot: Pivot, objective: Objective) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of a step without the objective and with it, by block; each goes first in turn."""
    ways = [_Steps(pivot, None), _Steps(pivot, objective)]
    for way in ways:
        way.seconds(STEPS)
    blocks = np.array(
        [
            [way.seconds(STEPS) for way in ways[:: 1 - 2 * (block % 2)]][:: 1 - 2 * (block % 2)]
            for block in range(BLOCKS)
        ]
    )
    return blocks[:, 0], blocks[:, 1]


class _Steps:
    """Adam on a batch of latents."""

    def __init__(self, pivot: Pivot, objective: Objective | None) -> None:
        self.pivot, self.objective = pivot, objective
        seeds = [image_seed(1, start) for start in range(BATCH)]
        self.latents = given_latents(pivot, seeds, space="z", classes=None).requires_grad_(True)
        self.adam = torch.optim.Adam([self.latents], lr=0.05)

    def seconds(self, steps: int) -> float:
        """Of a step, the mean of a few."""
        started = time.perf_counter()
        for _ in range(steps):
            self.step()
        return (time.perf_counter() - started) / steps

    def step(self) -> None:
        """Draw, look at the maps, and move the latents."""
        layers = list(self.pivot.grids)
        drawing = self.pivot.draw(self.latents, space="z", classes=None, layers=layers)
        loss = drawing.images.sum()
        if self.objective:
            loss = loss - self.objective(drawing.maps).sum()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()


if __name__ == "__main__":
    main()
