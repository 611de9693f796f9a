"""What a model of the zoo is.

Generator    a network that turns latents into images, and how its latents are drawn
Encoder      a network that looks at images, and how it wants to see them
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rosetta_core.config import Input

__all__ = ["Encoder", "Generator"]


@dataclass(frozen=True)
class Generator:
    """A network that turns latents into images.

    Attributes:
        network: maps latents (n, latent_size) to images (n, 3, h, w) in -1..1.
        latent_size: length of a latent z.
        preset: patterns of the layers that are mined unless the configuration names others.
    """

    network: nn.Module
    latent_size: int
    preset: tuple[str, ...]

    def latents(self, seeds: Sequence[int], *, truncation: float = 1.0) -> Tensor:
        """Draw one latent per seed: truncation · N(0, 1), float32 (n, latent_size)."""
        rows = [
            torch.randn(self.latent_size, generator=torch.Generator().manual_seed(seed))
            for seed in seeds
        ]
        return torch.stack(rows) * truncation

    def probe(self) -> Tensor:
        """A latent of the right shape, to learn the shapes of the maps from."""
        return torch.zeros(1, self.latent_size)


@dataclass(frozen=True)
class Encoder:
    """A network that looks at images.

    Attributes:
        network: takes normalised images (n, 3, size, size); what it returns is not used.
        input: crop, resize and normalisation.
        preset: patterns of the layers that are mined unless the configuration names others.
        prefix_tokens: tokens before the grid in (n, tokens, channels) outputs (class, registers).
    """

    network: nn.Module
    input: Input
    preset: tuple[str, ...]
    prefix_tokens: int = 0

    def probe(self) -> Tensor:
        """An image of the right shape, to learn the shapes of the maps from."""
        return torch.zeros(1, 3, self.input.size, self.input.size)
