"""What kinds of supervision share with the generator: `python benchmarks/supervision.py CONFIG`.

For every encoder of a finished run: its best buddies with the pivot; the same with images shuffled
(image i of the pivot against image i + n/2 of the encoder), which leaves what lies at the same
place of every image, as the centre and the borders; and with random weights. Rosetta neurons are
those of the encoders that were taught with labels.
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
from rosetta_core.runs.sources import activation_source
from rosetta_core.runs.sources import alive_units as living
from rosetta_core.zoo.model_spec import EncoderSpec

SEEDS = range(3)
SUPERVISION = {
    "efficientnet_lite0": "classes (ImageNet)",
    "mobilenet_v2": "classes (ImageNet)",
    "mtcnn_onet": "boxes and landmarks of faces",
    "mae_faces": "none: masked patches",
    "dino_faces": "none: self-distillation",
}


def buddies(config: Config, pivot: ActivationSource, encoder: ActivationSource) -> pd.DataFrame:
    """The best buddies of the pivot and an encoder."""
    corr = correlate(pivot, encoder)
    corr[~living(config, pivot)] = np.nan
    corr[:, ~living(config, encoder)] = np.nan
    k = config.neighbours.k
    return best_buddies(neighbour_table(topk(corr, k), topk(corr.T, k)))


def shuffled(maps: ActivationSource) -> ActivationSource:
    """Image i has the maps of image i + n/2."""
    return PermutedImages(maps, shift=maps.images // 2)


def untrained(config: Config, encoder: EncoderSpec, seed: int) -> ActivationSource:
    """An encoder's maps with random weights."""
    content = config.model_dump(mode="json")
    content |= {"steering": {}, "encoders": [encoder.model_dump(mode="json")]}
    content["encoders"][0]["weights"] = {"random": seed}
    return live_activations(Config.model_validate(content), encoder.name)


def main() -> None:
    config = load_config(Path(sys.argv[1] if len(sys.argv) > 1 else "config.yaml"))
    pivot = activation_source(config, config.pivot.name)
    labelled = [e for e in config.encoders if not e.name.endswith("_faces")]
    found = {
        e.name: buddies(config, pivot, activation_source(config, e.name)) for e in config.encoders
    }
    rosetta = set.intersection(*(set(found[e.name].pivot_unit) for e in labelled))

    def cells(table: pd.DataFrame) -> str:
        units = set(table.pivot_unit)
        kept = len(units & rosetta)
        share = f"{kept} ({kept / len(rosetta):.0%})"
        return f"{len(table):,} | {len(units)} | {share} | {table['corr'].median():.2f}"

    print(f"{len(rosetta)} Rosetta neurons of {', '.join(e.name for e in labelled)}; ", end="")
    print(f"{config.sampling.images} images, K = {config.neighbours.k}\n")
    print(
        "| encoder | supervision | | best buddies | pivot units | of the Rosetta neurons | median |"
    )
    print("|---|---|---|---|---|---|---|")
    for encoder in config.encoders:
        kind = SUPERVISION.get(encoder.name, "")
        print(f"| {encoder.name} | {kind} | trained | {cells(found[encoder.name])} |")
        chance = buddies(config, pivot, shuffled(activation_source(config, encoder.name)))
        print(f"| | | images shuffled | {cells(chance)} |", flush=True)
        for seed in SEEDS:
            control = buddies(config, pivot, untrained(config, encoder, seed))
            print(f"| | | untrained, seed {seed} | {cells(control)} |", flush=True)


if __name__ == "__main__":
    main()
