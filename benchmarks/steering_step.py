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
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rosetta_core.config import Config, load_config
from rosetta_core.findings import Findings, read_findings
from rosetta_core.freed_memory import keep_freed_memory
from rosetta_core.mining.sampling import Samples, image_seed
from rosetta_core.paths import RunPaths
from rosetta_core.steering.objective import Match, Objective
from rosetta_core.zoo.hooks import capture
from rosetta_core.zoo.images import prepare
from rosetta_core.zoo.loading import layers_of, load
from rosetta_core.zoo.network import Encoder, Generator

ROOT = Path(__file__).resolve().parent.parent
CPU = torch.device("cpu")
BATCH = 8
STEPS, BLOCKS = 4, 40  # of each way


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?", type=Path, default=ROOT / "config.yaml")
    config = load_config(parser.parse_args().config)
    torch.set_num_threads(1)
    keep_freed_memory()
    findings, paths = read_findings(config), RunPaths(config)
    generator = load(config.pivot, paths.weights(config.pivot), device=CPU)
    grids = {layer.name: layer.grid for layer in layers_of(config.pivot, generator)}
    units = findings.units[findings.pivot]
    moments = {
        layer: (of_layer["mean"].to_numpy(), of_layer["std"].to_numpy())
        for layer, of_layer in units.groupby("layer")
    }
    maps = encoder_maps(config)
    print("| pairs | similarity | step without, ms | with, ms | ratio | quartiles |")
    print("|---|---|---|---|---|---|")
    for name in ("rosetta", "best_buddies"):
        matches = matched(findings, maps, pairs=name)
        count = sum(len(match.channels) for match in matches)
        for similarity in ("image", "dataset", "distance"):
            objective = Objective(matches, grids=grids, moments=moments, similarity=similarity)
            without, with_it = timed(generator, list(grids), objective)
            low, middle, high = np.quantile(with_it / without, [0.25, 0.5, 0.75])
            print(f"| {count} ({name}) | {similarity} | {1e3 * np.median(without):.1f} | "
                  f"{1e3 * np.median(with_it):.1f} | **{middle:.3f}** | {low:.3f}–{high:.3f} |",
                  flush=True)  # fmt: skip


def timed(
    generator: Generator, layers: list[str], objective: Objective
) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of a step without the objective and with it, by block; each goes first in turn."""
    ways = [Descent(generator, layers, None), Descent(generator, layers, objective)]
    for way in ways:
        way.seconds(STEPS)
    blocks = np.array(
        [
            [way.seconds(STEPS) for way in ways[:: 1 - 2 * (block % 2)]][:: 1 - 2 * (block % 2)]
            for block in range(BLOCKS)
        ]
    )
    return blocks[:, 0], blocks[:, 1]


class Descent:
    """Adam on a batch of latents."""

    def __init__(
        self, generator: Generator, layers: list[str], objective: Objective | None
    ) -> None:
        self.generator, self.layers, self.objective = generator, layers, objective
        seeds = [image_seed(1, start) for start in range(BATCH)]
        self.latents = generator.latents(seeds).requires_grad_(True)
        self.adam = torch.optim.Adam([self.latents], lr=0.1)

    def seconds(self, steps: int) -> float:
        """Of a step, the mean of a few."""
        started = time.perf_counter()
        for _ in range(steps):
            self.step()
        return (time.perf_counter() - started) / steps

    def step(self) -> None:
        """Draw, look at the maps, and move the latents."""
        maps: dict[str, Tensor] = {}
        with capture(self.generator.network, self.layers, receive=maps.__setitem__):
            loss = self.generator.network(self.latents).sum()
        if self.objective:
            loss = loss - self.objective(maps).sum()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()


@torch.no_grad()
def encoder_maps(config: Config) -> dict[str, dict[str, Tensor]]:
    """Maps (n, c, h, w) of the run's first images, by encoder and layer."""
    paths, result = RunPaths(config), {}
    images = Samples([paths.samples(config.shards[0])]).images(range(BATCH))
    for model in config.encoders:
        encoder = load(model, paths.weights(model), device=CPU)
        assert isinstance(encoder, Encoder)
        its: dict[str, Tensor] = {}
        layers = [layer.name for layer in layers_of(model, encoder)]
        with capture(
            encoder.network,
            layers,
            receive=lambda layer, maps, into=its: into.__setitem__(layer, maps.clone()),
            prefix_tokens=encoder.prefix_tokens,
        ):
            encoder.network(prepare(torch.from_numpy(images), encoder.input))
        result[model.name] = its
    return result


def matched(
    findings: Findings, maps: Mapping[str, Mapping[str, Tensor]], *, pairs: str
) -> list[Match]:
    """The pairs of all encoders as matches; each encoder has the same say."""
    matches = []
    for encoder, its in maps.items():
        table = findings.best_buddies[encoder]
        if pairs == "rosetta":
            table = findings.rosetta[findings.rosetta["model"] == encoder]
        own = findings.units[findings.pivot].iloc[table["pivot_unit"]].reset_index(drop=True)
        other = findings.units[encoder].iloc[table["unit"]].reset_index(drop=True)
        for (own_layer, layer), rows in pd.DataFrame(
            {"own": own["layer"], "other": other["layer"]}
        ).groupby(["own", "other"]):
            units = other.loc[rows.index]
            mean, std = (
                torch.tensor(units[key].to_numpy())[:, None, None] for key in ("mean", "std")
            )
            targets = (its[layer][:, units["channel"].to_numpy()].double() - mean) / std
            weights = torch.full(targets.shape[:2], 1 / len(table))
            channels = own.loc[rows.index, "channel"].to_numpy(np.int64)
            matches.append(Match(own_layer, channels, targets, weights))
    return matches


if __name__ == "__main__":
    main()
