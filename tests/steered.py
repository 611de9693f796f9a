"""Models of the face zoo with few layers, mined in memory on four images, ready for steering."""

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
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.images import sample_image
from rosetta_core.steering.map_targets import EncoderView
from rosetta_core.steering.metrics.perceptual import FeatureDistance, PerceptualDistance
from rosetta_core.steering.optimise.latents import latents_from_seeds
from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.loading import layers_of, load
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.network import Encoder, Generator

__all__ = [
    "CPU",
    "CallLimit",
    "Interrupted",
    "load_distances",
    "load_steered_generator",
    "load_views",
    "photograph",
    "target_images",
]

CPU = torch.device("cpu")
IMAGES = 4
K = 2  # nearest neighbours: few best buddies


def load_steered_generator(config: Config) -> SteeredGenerator:
    """The generator with the statistics of its units; all units are Rosetta neurons."""
    generator = _load(config, config.pivot)
    assert isinstance(generator, Generator)
    units = _units(_maps(config.pivot, generator, generator.sample_latents(range(IMAGES))))
    return SteeredGenerator(config.pivot.name, generator, units, np.arange(len(units)), CPU)


def load_views(config: Config, generator: SteeredGenerator) -> list[EncoderView]:
    """The encoders with their best buddies."""
    latents = generator.generator.sample_latents(range(IMAGES))
    generator_maps = _maps(config.pivot, generator.generator, latents)
    images, _ = generator.render(latents, space="z", classes=None)
    views = []
    for model in config.encoders:
        encoder = _load_encoder(config, model.name)
        maps = _maps(model, encoder, preprocess(torch.from_numpy(images), encoder.input))
        buddies = sorted(oracle.best_buddies(oracle.correlations(generator_maps, maps), K))
        views.append(EncoderView(model.name, encoder, _units(maps), np.array(buddies, np.int64)))
    return views


def _load(config: Config, model: ModelSpec) -> Generator | Encoder:
    return load(model, RunPaths(config).weights(model), device=CPU)


def _load_encoder(config: Config, name: str) -> Encoder:
    encoder = _load(config, config.model(name))
    assert isinstance(encoder, Encoder)
    return encoder


@torch.no_grad()
def _maps(model: ModelSpec, network: Generator | Encoder, inputs: Tensor) -> dict[str, NDArray]:
    """The maps (n, c, h, w) of each layer."""
    maps_by_layer: dict[str, NDArray] = {}

    def receive(layer: str, maps: Tensor) -> None:
        maps_by_layer[layer] = maps.numpy().copy()

    layers = [layer.name for layer in layers_of(model, network)]
    with network.capture(layers, receive=receive):
        network.network(inputs)
    return maps_by_layer


def _units(maps: dict[str, NDArray]) -> pd.DataFrame:
    """The table of units."""
    rows = [
        (layer, channel, *layer_maps.shape[2:], float(unit.mean()), float(unit.std()))
        for layer, layer_maps in maps.items()
        for channel, unit in enumerate(layer_maps.astype(np.float64).transpose(1, 0, 2, 3))
    ]
    table = pd.DataFrame(rows, columns=["layer", "channel", "height", "width", "mean", "std"])
    return table.assign(unit=table.index.astype(np.int32), alive=table["std"] > 0)


def load_distances(config: Config) -> tuple[FeatureDistance, FeatureDistance]:
    """A distance for the loss and another for evaluation, both on small images."""
    early = ["features.1.conv.0.2", "features.3.conv.1.2", "features.6.conv.1.2"]
    layers = {"mobilenet_v2": early, "efficientnet_lite0": None}
    encoders = {name: _load_encoder(config, name) for name in layers}
    loss, evaluation = (
        FeatureDistance(
            replace(encoder, input=encoder.input.model_copy(update={"size": 64})),
            name=name,
            layers=layers[name],
        )
        for name, encoder in encoders.items()
    )
    return loss, evaluation


def photograph() -> NDArray[np.uint8]:
    """A face (64, 64, 3)."""
    return resize_image(crop_square(sample_image("astronaut"), (148, 28, 152)), (64, 64))


def target_images(generator: SteeredGenerator, *, seeds: int) -> NDArray[np.uint8]:
    """Held-out images of the generator, and a face (seeds + 1, 64, 64, 3)."""
    latents = latents_from_seeds(generator, range(1000, 1000 + seeds), space="z", classes=None)
    images, _ = generator.render(latents, space="z", classes=None)
    return np.concatenate([images, photograph()[None]])


class Interrupted(Exception):  # noqa: N818 - stands for a loss of power
    """The machine was turned off."""


class CallLimit(PerceptualDistance):
    """A distance that raises `Interrupted` after a number of calls."""

    def __init__(self, distance: PerceptualDistance, calls: int) -> None:
        self.name, self.weights, self.calls = distance.name, distance.weights, calls
        self._maps = distance.maps

    def maps(self, images: Tensor) -> list[Tensor]:
        return self._maps(images)

    def __call__(self, images: Tensor, features: Sequence[Tensor]) -> Tensor:
        if not self.calls:
            raise Interrupted
        self.calls -= 1
        return super().__call__(images, features)
