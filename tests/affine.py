"""A generator whose maps and images are affine in its latents, so that least losses are known.

Affine        the network: two layers, 4×4 and 8×8
affine_pivot  it as a pivot, with z, w and w+, and with classes if asked for
LAYERS        by name the channels of its layers
"""

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from rosetta_core.steering.generator import Pivot
from rosetta_core.zoo.network import Generator, LatentSpace

__all__ = ["LAYERS", "SIZE", "Affine", "affine_pivot"]

SIZE = 6  # of a latent
ROWS = 2  # of one in w+: each layer has its own
LAYERS = {"first": 5, "second": 3}
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
                drawn = nn.Sequential(
                    nn.Linear(SIZE, channels * positions),
                    nn.Unflatten(1, (channels, SIDES[layer], SIDES[layer])),
                )
                self.add_module(layer, drawn)
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


def affine_pivot(*, classes: int = 0, enlarged: int = 1, neurons: int | None = None) -> Pivot:
    """The network as a pivot; its units have means and stds of their own.

    Args:
        classes: that it draws.
        enlarged: how many times its images are as large as 8×8.
        neurons: how many of its units, from the first, are Rosetta neurons; all unless given.
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
    chosen = np.arange(len(units) if neurons is None else neurons)
    return Pivot("affine", generator, units, chosen, torch.device("cpu"))
