"""Generators and encoders: networks with named layers and the shape of their activation maps.

A function of the user's own that returns a `Generator` or an `Encoder` is a model like those of
the zoo (docs/how-to/own-models.md).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from rosetta_core.errors import RosettaError, describe_exception
from rosetta_core.zoo.generators.output import OutputRange, to_rgb
from rosetta_core.zoo.model_spec import Input

__all__ = [
    "CheckpointConverter",
    "Encoder",
    "Generator",
    "Input",
    "LatentSpace",
    "Network",
    "as_maps",
    "normal_latent",
]

CheckpointConverter = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def normal_latent(seed: int, size: int) -> Tensor:
    """Return the latent (size,) of a seed: standard normal, float32."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(size, generator=generator, device="cpu")


def as_maps(output: Any, *, layer: str, prefix_tokens: int = 0) -> Tensor:
    """Convert a layer's output to activation maps (n, c, h, w).

    Args:
        output: maps (n, c, h, w), which are returned unchanged; tokens (n, t, c), which become a
            square grid; or vectors (n, c), which become 1×1 maps.
        layer: name of the layer, for the error.
        prefix_tokens: number of tokens before the grid; they are dropped.

    Raises:
        RosettaError: the output has another shape or is not a tensor.
    """
    if isinstance(output, Tensor):
        if output.ndim == 4:
            return output
        if output.ndim == 3:
            tokens = output[:, prefix_tokens:]  # (n, h*w, c)
            side = math.isqrt(tokens.shape[1])
            if side * side == tokens.shape[1]:
                return tokens.transpose(1, 2).unflatten(2, (side, side))  # (n, c, h, w)
        if output.ndim == 2:
            return output[:, :, None, None]  # (n, c, 1, 1)
        shape = f"shape {tuple(output.shape)}"
    else:
        shape = f"a {type(output).__name__}"
    raise RosettaError(
        f"layer {layer!r}: output ({shape}) is not (n, c, h, w), (n, tokens, c) or (n, c); choose "
        "other layers or define to_maps"
    )


@dataclass(frozen=True)
class LatentSpace:
    """A latent space of a generator, for example z, w or w+.

    Attributes:
        from_z: maps latents z (n, latent_size) and class labels (n,) to latents of this space
            (n, …).
        generate: maps latents of this space and class labels to images (n, c, h, w) as the
            generator's network returns them.
    """

    from_z: Callable[[Tensor, Tensor | None], Tensor]
    generate: Callable[[Tensor, Tensor | None], Tensor]


@dataclass(frozen=True, kw_only=True)
class Network(ABC):
    """A module whose layers can be mined.

    Attributes:
        network: the module; layers are named as its submodules are.
        preset: patterns of the layers that are mined by default; if empty, the layers have to be
            given.
        prefix_tokens: number of tokens before the grid in (n, tokens, c) outputs, for example
            class and register tokens.
        margins: by layer the rows and columns on each side of its maps that lie outside the image;
            they are cropped, so that the maps of all layers cover the image exactly.
        to_maps: converts a layer's name and output to maps (n, c, h, w), for outputs that are
            neither maps nor tokens nor vectors.
        convert_checkpoint: converts the content of a checkpoint to the network's state dict, if
            that is more than one entry of it.
        unused_entries: patterns of entries that its files have and the network does not use.
    """

    network: nn.Module
    preset: Sequence[str] = ()
    prefix_tokens: int = 0
    margins: Mapping[str, int] = field(default_factory=dict)
    to_maps: Callable[[str, Any], Tensor] | None = None
    convert_checkpoint: CheckpointConverter | None = None
    unused_entries: Sequence[str] = ()

    def activation_maps(self, layer: str, output: Any) -> Tensor:
        """Convert a layer's output to maps (n, c, h, w) that cover the image.

        Raises:
            RosettaError: the output cannot be converted.
        """
        if self.to_maps:
            try:
                output = self.to_maps(layer, output)
            except Exception as error:
                raise RosettaError(
                    f"layer {layer!r}: to_maps raised {describe_exception(error)}"
                ) from error
        maps = as_maps(output, layer=layer, prefix_tokens=self.prefix_tokens)
        margin = self.margins.get(layer, 0)
        return maps[:, :, margin : maps.shape[2] - margin, margin : maps.shape[3] - margin]

    @property
    def device(self) -> torch.device:
        """Device of the network; the default device if it has no parameters and buffers."""
        tensors = chain(self.network.parameters(), self.network.buffers())
        return next((tensor.device for tensor in tensors), torch.get_default_device())

    @abstractmethod
    def probe(self) -> tuple[Tensor, ...]:
        """Return inputs of one example, all zeros, from which the shapes of maps are learned."""

    @contextmanager
    def capture(
        self,
        layers: Sequence[str],
        *,
        receive: Callable[[str, Tensor], None],
        skip_invalid: bool = False,
    ) -> Iterator[None]:
        """Call `receive(layer, maps)` for every layer in every forward pass within the context.

        Args:
            layers: dotted names of modules.
            receive: called with a layer's name and maps (n, c, h, w). A following in-place module
                may overwrite them, so `receive` has to copy what it keeps.
            skip_invalid: ignore layers whose output cannot be converted to maps.

        Raises:
            RosettaError: an output cannot be converted, unless `skip_invalid`.
        """
        modules = dict(self.network.named_modules())

        def hook_for(layer: str) -> Callable[[nn.Module, Any, Any], None]:
            def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
                try:
                    maps = self.activation_maps(layer, output)
                except RosettaError:
                    if skip_invalid:
                        return
                    raise
                receive(layer, maps)

            return hook

        with ExitStack() as stack:
            for layer in layers:
                stack.callback(modules[layer].register_forward_hook(hook_for(layer)).remove)
            yield


@dataclass(frozen=True, kw_only=True)
class Generator(Network):
    """A network that generates images from latents.

    Attributes:
        network: maps latents z (n, latent_size) to images (n, c, h, w) of 1 channel (grey), 3
            (RGB) or 4 (RGBA); a class-conditional network also takes class labels (n,).
        latent_size: length of a latent z.
        learning_rate: learning rate of Adam at which latents are optimised well.
        classes: number of classes; 0 if the network is unconditional.
        sample_latent: maps a seed to a latent (latent_size,); standard normal by default.
        latent_spaces: latent spaces besides z, by name. Their functions are methods of the
            network, so that a copy of it generates with the copy's weights.
        output_range: values of black and white in the network's images; None: -1 and 1.
    """

    latent_size: int
    learning_rate: float = 0.05
    classes: int = 0
    sample_latent: Callable[[int], Tensor] | None = None
    latent_spaces: Mapping[str, LatentSpace] = field(default_factory=dict)
    output_range: OutputRange | None = None

    def latent_space(self, name: str) -> LatentSpace:
        """Return a latent space by name; its images are RGB (n, 3, h, w) in -1..1.

        Raises:
            RosettaError: the generator does not have it.
        """
        if name in self.latent_spaces:
            space = self.latent_spaces[name]
            return LatentSpace(
                space.from_z, lambda x, labels: to_rgb(space.generate(x, labels), self.output_range)
            )
        if name == "z":
            return LatentSpace(lambda z, _: z, self.generate)
        names = ", ".join(dict.fromkeys(["z", *self.latent_spaces]))
        raise RosettaError(f"space: the generator has no latent space {name!r}; it has {names}")

    def generate(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        """Generate images from latents z, as RGB whatever the network's channels and range.

        Args:
            latents: (n, latent_size).
            classes: class labels (n,); None if the generator is unconditional.

        Returns:
            RGB (n, 3, h, w) in -1..1, not clipped.

        Raises:
            RosettaError: the network does not return images.
        """
        images = self.network(latents) if classes is None else self.network(latents, classes)
        return to_rgb(images, self.output_range)

    def sample_latents(self, seeds: Sequence[int]) -> Tensor:
        """Sample one latent per seed: float32 (n, latent_size)."""
        sample = self.sample_latent or (lambda seed: normal_latent(seed, self.latent_size))
        return torch.stack([sample(seed) for seed in seeds])

    def probe(self) -> tuple[Tensor, ...]:
        """Return one latent and, if the generator is conditional, one class label."""
        latents = torch.zeros(1, self.latent_size)
        return (latents, torch.zeros(1, dtype=torch.int64)) if self.classes else (latents,)


@dataclass(frozen=True, kw_only=True)
class Encoder(Network):
    """A network that receives images.

    Attributes:
        network: takes normalised images (n, 3, size, size); what it returns is not used.
        input: preprocessing of the images: crop, resize and normalisation.
    """

    input: Input

    def probe(self) -> tuple[Tensor, ...]:
        """Return one image (1, 3, size, size)."""
        return (torch.zeros(1, 3, self.input.size, self.input.size),)
