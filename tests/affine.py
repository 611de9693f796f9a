"""A generator whose maps and images are affine in its latents, so that minima are known."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.zoo.network import Generator, LatentSpace

__all__ = ["LAYERS", "SIZE", "Affine", "affine_generator"]

SIZE = 6  # length of a latent
ROWS = 2  # latents of an image in w+: one per layer
LAYERS = {"first": 5, "second": 3}  # channels
SIDES = {"first": 4, "second": 8}


class Affine(nn.Module):
    """w = A z + a of the class; maps B w + b in two layers; the image is the sum of both."""

    def __init__(self, classes: int = 0, enlarged: int = 1) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.mapping = nn.Linear(SIZE, SIZE)
            self.labels = nn.Embedding(max(classes, 1), SIZE)
            for layer, channels in LAYERS.items():
                positions = SIDES[layer] ** 2
                maps = nn.Sequential(
                    nn.Linear(SIZE, channels * positions),
                    nn.Unflatten(1, (channels, SIDES[layer], SIDES[layer])),
                )
                self.add_module(layer, maps)
        self.enlarged = enlarged

    def enter_w(self, z: Tensor, classes: Tensor | None) -> Tensor:
        return self.mapping(z) + (0 if classes is None else self.labels(classes))

    def enter_plus(self, z: Tensor, classes: Tensor | None) -> Tensor:
        return self.enter_w(z, classes)[:, None].repeat(1, ROWS, 1)  # (n, k, w)

    def draw_w(self, w: Tensor, classes: Tensor | None) -> Tensor:
        return self.draw_plus(w[:, None].expand(-1, ROWS, -1), classes)

    def draw_plus(self, w: Tensor, _classes: Tensor | None) -> Tensor:
        first, second = self.first(w[:, 0]), self.second(w[:, 1])
        image = second + functional.interpolate(first[:, :3], scale_factor=2)  # (n, 3, 8, 8)
        return functional.interpolate(image, scale_factor=self.enlarged)

    def forward(self, z: Tensor, classes: Tensor | None = None) -> Tensor:
        return self.draw_w(self.enter_w(z, classes), classes)


def affine_generator(
    *, classes: int = 0, enlarged: int = 1, neurons: int | None = None
) -> SteeredGenerator:
    """The network with random statistics of its units, and with latent spaces z, w and w+.

    Args:
        classes: number of classes.
        enlarged: factor by which its images are larger than 8×8.
        neurons: number of Rosetta neurons, from the first unit; None for all units.
    """
    network = Affine(classes, enlarged).eval().requires_grad_(False)
    spaces = {
        "w": LatentSpace(network.enter_w, network.draw_w),
        "w+": LatentSpace(network.enter_plus, network.draw_plus),
    }
    generator = Generator(
        network=network,
        latent_size=SIZE,
        preset=("first", "second"),
        learning_rate=0.05,
        classes=classes,
        latent_spaces=spaces,
    )
    rows = [
        (layer, channel, SIDES[layer], SIDES[layer])
        for layer, channels in LAYERS.items()
        for channel in range(channels)
    ]
    units = pd.DataFrame(rows, columns=["layer", "channel", "height", "width"])
    rng = np.random.default_rng(0)
    units = units.assign(
        unit=units.index.astype(np.int32),
        mean=rng.uniform(-0.5, 0.5, len(units)),
        std=rng.uniform(0.5, 1.5, len(units)),
        alive=True,
    )
    rosetta = np.arange(len(units) if neurons is None else neurons)
    return SteeredGenerator("affine", generator, units, rosetta, torch.device("cpu"))
