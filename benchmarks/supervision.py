"""Print what encoders of different supervision share with the generator.

`python benchmarks/supervision.py CONFIG`, for docs/explanation/supervision-study.md. For every
encoder of a finished run: its best buddies with the pivot; those with permuted images (image i of
the pivot with image i + n/2 of the encoder), which keeps fixed positions such as borders and the
centre; and those with random weights. Rosetta neurons are those of the supervised encoders.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from rosetta_core import load_config
from rosetta_core.config import Config
from rosetta_core.mining.correlation.pearson import correlate
from rosetta_core.mining.matching.best_buddies import best_buddies, neighbour_table
from rosetta_core.mining.matching.topk import topk
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.mining.sources.permuted import PermutedImages
from rosetta_core.runs.live_source import live_activations
from rosetta_core.runs.sources import activation_source, alive_units
from rosetta_core.zoo.model_spec import EncoderSpec

SEEDS = range(3)
SUPERVISION = {
    "efficientnet_lite0": "classes (ImageNet)",
    "mobilenet_v2": "classes (ImageNet)",
    "mtcnn_onet": "boxes and landmarks of faces",
    "mae_faces": "self-supervised: masked patches",
    "dino_faces": "self-supervised: self-distillation",
}


def buddies(config: Config, pivot: ActivationSource, encoder: ActivationSource) -> pd.DataFrame:
    """Return the best buddies of the pivot and an encoder."""
    corr = correlate(pivot, encoder)
    corr[~alive_units(config, pivot)] = np.nan
    corr[:, ~alive_units(config, encoder)] = np.nan
    k = config.neighbours.k
    return best_buddies(neighbour_table(topk(corr, k), topk(corr.T, k)))


def permuted(maps: ActivationSource) -> ActivationSource:
    """Return activations in which image i has the maps of image i + n/2."""
    return PermutedImages(maps, shift=maps.images // 2)


def untrained(config: Config, encoder: EncoderSpec, seed: int) -> ActivationSource:
    """Return the activations of an encoder with random weights."""
    content = config.model_dump(mode="json")
    content |= {"steering": {}, "encoders": [encoder.model_dump(mode="json")]}
    content["encoders"][0]["weights"] = {"random": seed}
    return live_activations(Config.model_validate(content), encoder.name)


def main() -> None:
    config = load_config(Path(sys.argv[1] if len(sys.argv) > 1 else "config.yaml"))
    pivot = activation_source(config, config.pivot.name)
    supervised = [e for e in config.encoders if not e.name.endswith("_faces")]
    pairs = {
        e.name: buddies(config, pivot, activation_source(config, e.name)) for e in config.encoders
    }
    rosetta = set.intersection(*(set(pairs[e.name].pivot_unit) for e in supervised))

    def cells(table: pd.DataFrame) -> str:
        units = set(table.pivot_unit)
        shared = len(units & rosetta)
        share = f"{shared} ({shared / len(rosetta):.0%})"
        return f"{len(table):,} | {len(units)} | {share} | {table['corr'].median():.2f}"

    print(f"{len(rosetta)} Rosetta neurons of {', '.join(e.name for e in supervised)}; ", end="")
    print(f"{config.sampling.images} images, K = {config.neighbours.k}\n")
    print("| encoder | supervision | | best buddies | pivot units | Rosetta neurons | median r |")
    print("|---|---|---|---|---|---|---|")
    for encoder in config.encoders:
        kind = SUPERVISION.get(encoder.name, "")
        print(f"| {encoder.name} | {kind} | trained | {cells(pairs[encoder.name])} |")
        null = buddies(config, pivot, permuted(activation_source(config, encoder.name)))
        print(f"| | | images permuted | {cells(null)} |", flush=True)
        for seed in SEEDS:
            control = buddies(config, pivot, untrained(config, encoder, seed))
            print(f"| | | untrained, seed {seed} | {cells(control)} |", flush=True)


if __name__ == "__main__":
    main()
