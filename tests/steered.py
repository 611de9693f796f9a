"""The face zoo with few layers, mined in memory on a few images, ready to be steered.

pivot_of       the generator, with its units' moments
seen_of        the encoders, with their best buddies
distances_of   a distance as a term of the loss, and another to judge by
target_images  some held-out images of the generator, and a photograph
photograph     that alone
Interrupted    what a distance raises when its calls are used up
CallsLeft      a distance that can be called so many times
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import oracle
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.config import Config
from rosetta_core.io.images import crop_square, resize_image
from rosetta_core.runs.paths import RunPaths
from rosetta_core.steering.generator import Pivot
from rosetta_core.steering.images import sample_image
from rosetta_core.steering.map_targets import EncoderView
from rosetta_core.steering.metrics.perceptual import FeatureDistance, PerceptualDistance
from rosetta_core.steering.optimise.latents import given_latents
from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.loading import layers_of, load
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.network import Encoder, Generator

__all__ = [
    "CPU",
    "CallsLeft",
    "Interrupted",
    "distances_of",
    "photograph",
    "pivot_of",
    "seen_of",
    "target_images",
]

CPU = torch.device("cpu")
IMAGES = 4
K = 2  # nearest neighbours: few best buddies


def pivot_of(config: Config) -> Pivot:
    """The generator and its units."""
    generator = _loaded(config, config.pivot)
    assert isinstance(generator, Generator)
    units = _units(_maps(config.pivot, generator, generator.sample_latents(range(IMAGES))))
    return Pivot(config.pivot.name, generator, units, np.arange(len(units)), CPU)


def seen_of(config: Config, pivot: Pivot) -> list[EncoderView]:
    """The encoders, each with those of its units that are best buddies of the pivot's."""
    latents = pivot.generator.sample_latents(range(IMAGES))
    own = _maps(config.pivot, pivot.generator, latents)
    images, _ = pivot.look(latents, space="z", classes=None)
    found = []
    for model in config.encoders:
        encoder = _encoder(config, model.name)
        its = _maps(model, encoder, preprocess(torch.from_numpy(images), encoder.input))
        buddies = sorted(oracle.best_buddies(oracle.correlations(own, its), K))
        found.append(EncoderView(model.name, encoder, _units(its), np.array(buddies, np.int64)))
    return found


def _loaded(config: Config, model: ModelSpec) -> Generator | Encoder:
    return load(model, RunPaths(config).weights(model), device=CPU)


def _encoder(config: Config, name: str) -> Encoder:
    encoder = _loaded(config, config.model(name))
    assert isinstance(encoder, Encoder)
    return encoder


@torch.no_grad()
def _maps(model: ModelSpec, built: Generator | Encoder, inputs: Tensor) -> dict[str, NDArray]:
    """By layer the maps (n, c, h, w)."""
    found: dict[str, NDArray] = {}

    def receive(layer: str, maps: Tensor) -> None:
        found[layer] = maps.numpy().copy()

    layers = [layer.name for layer in layers_of(model, built)]
    with built.capture(layers, receive=receive):
        built.network(inputs)
    return found


def _units(maps: dict[str, NDArray]) -> pd.DataFrame:
    """The table of units."""
    rows = [
        (layer, channel, *its.shape[2:], float(unit.mean()), float(unit.std()))
        for layer, its in maps.items()
        for channel, unit in enumerate(its.astype(np.float64).transpose(1, 0, 2, 3))
    ]
    table = pd.DataFrame(rows, columns=["layer", "channel", "height", "width", "mean", "std"])
    return table.assign(unit=table.index.astype(np.int32), alive=table["std"] > 0)


def distances_of(config: Config) -> tuple[FeatureDistance, FeatureDistance]:
    """One as a term of the loss, and another to judge by; both see small images."""
    early = ["features.1.conv.0.2", "features.3.conv.1.2", "features.6.conv.1.2"]
    layers = {"mobilenet_v2": early, "efficientnet_lite0": None}
    first, second = (
        FeatureDistance(
            replace(encoder, input=encoder.input.model_copy(update={"size": 64})),
            name=name,
            layers=layers[name],
        )
        for name, encoder in ((name, _encoder(config, name)) for name in layers)
    )
    return first, second


def photograph() -> NDArray[np.uint8]:
    """A face (64, 64, 3)."""
    return resize_image(crop_square(sample_image("astronaut"), (148, 28, 152)), (64, 64))


def target_images(pivot: Pivot, *, seeds: int) -> NDArray[np.uint8]:
    """Held-out images of the generator, and a face (seeds + 1, 64, 64, 3)."""
    latents = given_latents(pivot, range(1000, 1000 + seeds), space="z", classes=None)
    images, _ = pivot.look(latents, space="z", classes=None)
    return np.concatenate([images, photograph()[None]])


class Interrupted(Exception):  # noqa: N818 - not the program's
    """Somebody turned the machine off."""


class CallsLeft(PerceptualDistance):
    """A distance that can be called so many times."""

    def __init__(self, distance: PerceptualDistance, calls: int) -> None:
        self.name, self.weights, self.calls = distance.name, distance.weights, calls
        self._maps = distance.maps

    def maps(self, images: Tensor) -> list[Tensor]:
        return self._maps(images)

    def __call__(self, images: Tensor, targets: Sequence[Tensor]) -> Tensor:
        if not self.calls:
            raise Interrupted
        self.calls -= 1
        return super().__call__(images, targets)
