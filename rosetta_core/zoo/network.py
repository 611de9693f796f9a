"""What a model of the zoo is.

Generator        a network that turns latents into images, and how its latents are drawn
LatentSpace      one of the places where its latents can be looked for
Encoder          a network that looks at images, and how it wants to see them
Network          what the two share: layers, and how their outputs become maps
Arrange          a function that turns what a checkpoint holds into a network's state
Input            crop, resize and normalisation of an encoder's images
normal_latent    the latent of a seed, for generators of standard normal ones

A model of one's own is a function that returns a Generator or an Encoder (docs/own_models.md).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from rosetta_core.errors import RosettaError, raised
from rosetta_core.zoo.hooks import as_maps, capture
from rosetta_core.zoo.model_spec import Input

__all__ = ["Arrange", "Encoder", "Generator", "Input", "LatentSpace", "Network", "normal_latent"]


Arrange = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def normal_latent(seed: int, size: int) -> Tensor:
    """Return the latent (size,) of a seed: N(0, 1), float32."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(size, generator=generator, device="cpu")


@dataclass(frozen=True)
class LatentSpace:
    """A place where a generator's latents can be looked for: z, w, w+.

    Attributes:
        enter: turns latents z (n, latent_size) and classes (n,) into latents of the space (n, …).
        draw: turns those, and the classes, into images (n, 3, h, w) in -1..1.
    """

    enter: Callable[[Tensor, Tensor | None], Tensor]
    draw: Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True, kw_only=True)
class Network(ABC):
    """A network whose layers are mined.

    Attributes:
        network: the module itself; its layers are named as its submodules are.
        preset: patterns of the layers that are mined unless the configuration names others;
            without it, it has to.
        prefix_tokens: tokens before the grid in (n, tokens, channels) outputs (class, registers).
        margins: by layer how many rows and columns on each side its maps reach beyond the image;
            they are cut off, so that maps of all layers lie on the image.
        to_maps: turns a layer's name and output into maps (n, c, h, w), for modules whose outputs
            are neither maps nor tokens nor vectors.
        arrange: turns what a checkpoint of the family holds into the network's state, where that
            is more than one entry of it.
    """

    network: nn.Module
    preset: Sequence[str] = ()
    prefix_tokens: int = 0
    margins: Mapping[str, int] = field(default_factory=dict)
    to_maps: Callable[[str, Any], Tensor] | None = None
    arrange: Arrange | None = None

    def maps(self, layer: str, output: Any) -> Tensor:
        """Turn a layer's output into maps (n, c, h, w) that lie on the image.

        RosettaError for an output that is no set of maps.
        """
        if self.to_maps:
            try:
                output = self.to_maps(layer, output)
            except Exception as error:
                raise RosettaError(f"layer {layer!r}: to_maps raised {raised(error)}") from error
        found = as_maps(output, layer=layer, prefix_tokens=self.prefix_tokens)
        margin = self.margins.get(layer, 0)
        return found[:, :, margin : found.shape[2] - margin, margin : found.shape[3] - margin]

    @property
    def device(self) -> torch.device:
        """Where the network is; the default device for one without parameters and buffers."""
        held = chain(self.network.parameters(), self.network.buffers())
        return next((tensor.device for tensor in held), torch.get_default_device())

    @abstractmethod
    def probe(self) -> tuple[Tensor, ...]:
        """Inputs of the right shape, to learn the shapes of the maps from."""

    def capture(
        self,
        layers: Sequence[str],
        *,
        receive: Callable[[str, Tensor], None],
        lenient: bool = False,
    ) -> AbstractContextManager[None]:
        """Call `receive(layer, maps)` for each layer in every forward pass within the context.

        RosettaError for a layer whose output is no set of maps; `lenient` passes over it instead.
        """
        return capture(self.network, layers, maps=self.maps, receive=receive, lenient=lenient)


@dataclass(frozen=True, kw_only=True)
class Generator(Network):
    """A network that turns latents into images.

    Attributes:
        network: maps latents z (n, latent_size) to images (n, 3, h, w) in -1..1; one that has
            classes takes them too (n,).
        latent_size: length of a latent z.
        learning_rate: of Adam, at which its latents are well found.
        classes: how many it draws; 0 if none.
        latent_of: turns a seed into a latent (latent_size,); N(0, 1) unless given.
        further_spaces: by name the latent spaces beside z; their functions are methods of the
            network, so that a copy of it draws with its own weights.
    """

    latent_size: int
    learning_rate: float = 0.05
    classes: int = 0
    latent_of: Callable[[int], Tensor] | None = None
    further_spaces: Mapping[str, LatentSpace] = field(default_factory=dict)

    def space(self, name: str) -> LatentSpace:
        """The latent space of that name; RosettaError if there is none."""
        spaces = {"z": LatentSpace(lambda z, _: z, self.draw), **self.further_spaces}
        if name not in spaces:
            raise RosettaError(
                f"space: the generator has no latent space {name!r}; it has {', '.join(spaces)}"
            )
        return spaces[name]

    def draw(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        """Draw images (n, 3, h, w) in -1..1 of latents z and, if it has any, classes (n,)."""
        return self.network(latents) if classes is None else self.network(latents, classes)

    def latents(self, seeds: Sequence[int]) -> Tensor:
        """Draw one latent per seed: float32 (n, latent_size)."""
        latent_of = self.latent_of or (lambda seed: normal_latent(seed, self.latent_size))
        return torch.stack([latent_of(seed) for seed in seeds])

    def probe(self) -> tuple[Tensor, ...]:
        """Inputs of the right shape, to learn the shapes of the maps from."""
        latents = torch.zeros(1, self.latent_size)
        return (latents, torch.zeros(1, dtype=torch.int64)) if self.classes else (latents,)


@dataclass(frozen=True, kw_only=True)
class Encoder(Network):
    """A network that looks at images.

    Attributes:
        network: takes normalised images (n, 3, size, size); what it returns is not used.
        input: crop, resize and normalisation.
    """

    input: Input

    def probe(self) -> tuple[Tensor, ...]:
        """An input of the right shape, to learn the shapes of the maps from."""
        return (torch.zeros(1, 3, self.input.size, self.input.size),)
