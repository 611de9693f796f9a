"""What a model of the zoo is.

Generator      a network that turns latents into images, and how its latents are drawn
LatentSpace    one of the places where its latents can be looked for
Encoder        a network that looks at images, and how it wants to see them
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rosetta_core.config import Input
from rosetta_core.errors import RosettaError

__all__ = ["Encoder", "Generator", "LatentSpace"]


@dataclass(frozen=True)
class LatentSpace:
    """A place where a generator's latents can be looked for: z, w, w+.

    Attributes:
        enter: turns latents z (n, latent_size) and classes (n,) into latents of the space (n, …).
        draw: turns those, and the classes, into images (n, 3, h, w) in -1..1.
    """

    enter: Callable[[Tensor, Tensor | None], Tensor]
    draw: Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True)
class Generator:
    """A network that turns latents into images.

    Attributes:
        network: maps latents (n, latent_size) to images (n, 3, h, w) in -1..1.
        latent_size: length of a latent z.
        preset: patterns of the layers that are mined unless the configuration names others.
        learning_rate: of Adam, at which its latents are well found.
        classes: how many it draws, in which case the network takes them too (n,); 0 if none.
        further_spaces: by name the latent spaces beside z.
    """

    network: nn.Module
    latent_size: int
    preset: tuple[str, ...]
    learning_rate: float
    classes: int = 0
    further_spaces: Mapping[str, LatentSpace] = field(default_factory=dict)

    def space(self, name: str) -> LatentSpace:
        """The latent space of that name; RosettaError if there is none."""
        spaces = {"z": LatentSpace(lambda z, _: z, self._draw), **self.further_spaces}
        if name not in spaces:
            raise RosettaError(
                f"space: the generator has no latent space {name!r}; it has {', '.join(spaces)}"
            )
        return spaces[name]

    def _draw(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        return self.network(latents) if classes is None else self.network(latents, classes)

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
