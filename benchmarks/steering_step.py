"""Time that the similarity of maps adds to a step of Adam: `python benchmarks/steering_step.py`.

Needs a finished run (`results/faces`, or that of another configuration, the first argument). For
pairs of Rosetta neurons and for all best buddies, and for each similarity, it prints the time of a
step without and with the similarity of maps: the generator's forward pass with captured maps, the
backward pass to 8 latents, and Adam. Without it, the loss is the sum of all pixels; with it, the
similarity to the encoders' maps of 8 images of the run is added. One thread; blocks of steps
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
from rosetta_core.stages.steering.networks import SteeringNetworks
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.map_targets import encoder_targets
from rosetta_core.steering.optimise.latents import latents_from_seeds
from rosetta_core.steering.optimise.objective import Objective

ROOT = Path(__file__).resolve().parent.parent
BATCH = 8
STEPS, BLOCKS = 4, 40  # per variant


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?", type=Path, default=ROOT / "config.yaml")
    config = load_config(parser.parse_args().config)
    torch.set_num_threads(1)
    keep_freed_memory()
    networks = SteeringNetworks(config)
    generator, encoders = networks.generator, [encoder.name for encoder in config.encoders]
    images = Samples(RunPaths(config).sample_stores).images(range(BATCH))
    print("| pairs | similarity | step without, ms | with, ms | ratio | quartiles |")
    print("|---|---|---|---|---|---|")
    for name in ("rosetta", "best_buddies"):
        views = networks.views(encoders, pairs=name)
        targets = [
            target
            for view in views
            for target in encoder_targets(view, images, generator=generator)
        ]
        count = sum(len(target.channels) for target in targets)
        for similarity in ("image", "dataset", "distance"):
            objective = Objective(
                targets, grids=generator.grids, moments=generator.moments, similarity=similarity
            )
            without, with_it = timed(generator, objective)
            low, middle, high = np.quantile(with_it / without, [0.25, 0.5, 0.75])
            print(f"| {count} ({name}) | {similarity} | {1e3 * np.median(without):.1f} | "
                  f"{1e3 * np.median(with_it):.1f} | **{middle:.3f}** | {low:.3f}–{high:.3f} |",
                  flush=True)  # fmt: skip


def timed(generator: SteeredGenerator, objective: Objective) -> tuple[np.ndarray, np.ndarray]:
    """Seconds per step without and with the objective, by block; the order alternates."""
    variants = [_Steps(generator, None), _Steps(generator, objective)]
    for variant in variants:
        variant.seconds(STEPS)
    blocks = np.array(
        [
            [variant.seconds(STEPS) for variant in variants[:: 1 - 2 * (block % 2)]][
                :: 1 - 2 * (block % 2)
            ]
            for block in range(BLOCKS)
        ]
    )
    return blocks[:, 0], blocks[:, 1]


class _Steps:
    """Adam on a batch of latents."""

    def __init__(self, generator: SteeredGenerator, objective: Objective | None) -> None:
        self.generator, self.objective = generator, objective
        seeds = [image_seed(1, start) for start in range(BATCH)]
        self.latents = latents_from_seeds(generator, seeds, space="z", classes=None).requires_grad_(
            True
        )
        self.adam = torch.optim.Adam([self.latents], lr=0.05)

    def seconds(self, steps: int) -> float:
        """Mean seconds of a few steps."""
        started = time.perf_counter()
        for _ in range(steps):
            self.step()
        return (time.perf_counter() - started) / steps

    def step(self) -> None:
        """Generate images, compute the loss, and take a step."""
        layers = list(self.generator.grids)
        generated = self.generator.generate(self.latents, space="z", classes=None, layers=layers)
        loss = generated.images.sum()
        if self.objective:
            loss = loss - self.objective(generated.maps).sum()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()


if __name__ == "__main__":
    main()
