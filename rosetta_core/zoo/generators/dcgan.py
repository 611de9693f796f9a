"""DCGAN (Radford, Metz and Chintala, 2016): a generator of 64×64 images."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from rosetta_core.zoo.construction import refuse_arguments
from rosetta_core.zoo.network import Generator, normal_latent

__all__ = ["build"]

LATENT = 100
WIDTH = 64


class DCGAN(nn.Module):
    """Four transposed convolutions with ReLU, from 4×4 to 32×32, and a fifth to the image."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [LATENT, 8 * WIDTH, 4 * WIDTH, 2 * WIDTH, WIDTH]
        blocks: list[nn.Module] = []
        for position, (wide, narrow) in enumerate(pairwise(sizes)):
            stride, padding = (2, 1) if position else (1, 0)
            blocks += [
                nn.ConvTranspose2d(wide, narrow, 4, stride, padding, bias=False),
                nn.BatchNorm2d(narrow),
                nn.ReLU(),
            ]
        self.main = nn.Sequential(
            *blocks, nn.ConvTranspose2d(WIDTH, 3, 4, 2, 1, bias=False), nn.Tanh()
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Generate images in -1..1 from latents (n, 100)."""
        return self.main(latents[:, :, None, None])  # (n, 3, 64, 64)


def build(
    architecture: str | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    truncation: float = 1.0,
) -> Generator:
    """Build the generator with random weights; the preset is its four ReLUs.

    Args:
        architecture: has to be None.
        arguments: have to be None or empty.
        truncation: factor of the latents.

    Raises:
        RosettaError: an architecture or arguments are given.
    """
    refuse_arguments(architecture, arguments, family="dcgan")
    return Generator(
        network=DCGAN(),
        preset=tuple(f"main.{position}" for position in (2, 5, 8, 11)),
        latent_size=LATENT,
        learning_rate=0.05,
        sample_latent=lambda seed: truncation * normal_latent(seed, LATENT),
    )
