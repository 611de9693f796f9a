"""Tiny random networks for mining in memory: encoders and a generator."""

import torch
from torch import nn

import rosetta_core as rosetta

GREY = {"mean": [0.5] * 3, "std": [0.5] * 3}

EIGHT = {"size": 8, **GREY}


def small(seed: int, *, channels: int = 6, side: int = 16) -> rosetta.Model:
    """A random network of two layers on images of `side` pixels."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Conv2d(3, channels, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        ).eval()
    return rosetta.wrap(network, ["1", "2"], input={"size": side, **GREY}, name=f"small{seed}")


class Toy(nn.Module):
    """A generator of images of 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.grow = nn.ConvTranspose2d(4, 6, 4)
        self.paint = nn.ConvTranspose2d(6, 3, 2, stride=2)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        return self.paint(self.grow(latents[:, :, None, None]).relu()).tanh()


def toy(seed: int = 0) -> rosetta.Model:
    """A random generator of the seed's weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Toy().eval()
    return rosetta.wrap(network, "grow", latent_size=4)
