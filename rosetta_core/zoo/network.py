"""Generators and encoders: networks with named layers and the shape of their activation maps.

A function of the user's own that returns a `Generator` or an `Encoder` is a model like those of
the zoo (docs/how-to/own-models.md).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from rosetta_core.errors import RosettaError, describe_exception
from rosetta_core.zoo.generators.output import OutputRange, image_shape_problem, to_rgb
from rosetta_core.zoo.layers import Grid, Hint, match_names
from rosetta_core.zoo.layouts.layout import Layout
from rosetta_core.zoo.layouts.rules import LayoutRules, NoLayoutError, find_layout
from rosetta_core.zoo.layouts.tracing import TracedOutput, trace_outputs
from rosetta_core.zoo.model_spec import Input

__all__ = [
    "CheckpointConverter",
    "Encoder",
    "Generator",
    "Input",
    "LatentSpace",
    "Network",
    "normal_latent",
]

CheckpointConverter = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def normal_latent(seed: int, size: int) -> Tensor:
    """Return the latent (size,) of a seed: standard normal, float32."""
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(size, generator=generator, device="cpu")


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
        hints: what the user says about the layouts of layers, by pattern; the last match counts.
        hint_for: what the library says about the layout of a layer, by its name and output.
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
    hints: Mapping[str, Hint] = field(default_factory=dict)
    hint_for: Callable[[str, TracedOutput], Hint] | None = None
    margins: Mapping[str, int] = field(default_factory=dict)
    to_maps: Callable[[str, Any], Tensor] | None = None
    convert_checkpoint: CheckpointConverter | None = None
    unused_entries: Sequence[str] = ()
    _traced: dict[str, TracedOutput] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _layouts: dict[str, Layout] = field(default_factory=dict, init=False, repr=False, compare=False)

    def activation_maps(self, layer: str, output: Any) -> Tensor:
        """Convert a layer's output to maps (n, c, h, w) that cover the image.

        Raises:
            RosettaError: the output cannot be converted.
        """
        return self.crop(layer, self.layout(layer).to_maps(self.convert(layer, output)))

    def crop(self, layer: str, maps: Tensor) -> Tensor:
        """Remove the margin of a layer from its maps (n, c, h, w)."""
        margin = self.margins.get(layer, 0)
        return maps[:, :, margin : maps.shape[2] - margin, margin : maps.shape[3] - margin]

    def layout(self, layer: str) -> Layout:
        """Return the layout of a layer; the network is run on one example and on two before.

        Raises:
            RosettaError: the layer's output cannot be converted to maps.
        """
        if layer not in self._layouts:
            rules = self.layout_rules()
            if layer not in rules.traced:
                raise RosettaError(f"layer {layer!r}: never runs in a forward pass; choose another")
            traced = rules.traced[layer]
            try:
                found = find_layout(traced, hint=self.hint(layer, traced), rules=rules)
            except NoLayoutError as error:
                cure = (
                    "choose other layers, set its layout, grid and prefix_tokens, or define to_maps"
                )
                raise RosettaError(f"layer {layer!r}: {error}; {cure}") from None
            self._layouts[layer] = found
        return self._layouts[layer]

    def layout_rules(self) -> LayoutRules:
        """Return what the layouts of all layers follow from."""
        traced = self.trace()
        return LayoutRules(self.image_sides, self.prefix_tokens, traced)

    def trace(self) -> Mapping[str, TracedOutput]:
        """Return the outputs of all modules for one example and for two."""
        if not self._traced:
            self._traced.update(
                trace_outputs(
                    self.network,
                    lambda count: self.run_probe(*(p.to(self.device) for p in self.probe(count))),
                    convert=self.convert,
                    example=self.example,
                )
            )
        return self._traced

    def hint(self, layer: str, traced: TracedOutput) -> Hint:
        """Return what is known about the layout of a layer with an output."""
        hint = self.hint_for(layer, traced) if self.hint_for else Hint()
        matches = [said for pattern, said in self.hints.items() if match_names([layer], pattern)]
        for said in matches:
            hint = hint.override(said)
        return hint

    def convert(self, layer: str, output: Any) -> Any:
        """Return a layer's output after the user's `to_maps`."""
        if self.to_maps is None:
            return output
        try:
            return self.to_maps(layer, output)
        except Exception as error:
            raise RosettaError(
                f"layer {layer!r}: to_maps raised {describe_exception(error)}"
            ) from error

    @property
    def device(self) -> torch.device:
        """Device of the network; the default device if it has no parameters and buffers."""
        tensors = chain(self.network.parameters(), self.network.buffers())
        return next((tensor.device for tensor in tensors), torch.get_default_device())

    @property
    def dtype(self) -> torch.dtype:
        """Type of the network's first real parameter; float32 if it has none."""
        tensors = chain(self.network.parameters(), self.network.buffers())
        return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)

    @property
    @abstractmethod
    def image_sides(self) -> Grid:
        """Height and width of the network's images."""

    @property
    @abstractmethod
    def example(self) -> str:
        """Word for an input: image or latent."""

    @abstractmethod
    def probe(self, count: int = 1) -> tuple[Tensor, ...]:
        """Return inputs of some examples, all zeros, from which the shapes of maps are learned."""

    def run_probe(self, *inputs: Tensor) -> Any:
        """Run the network on inputs of `probe`."""
        return self.network(*inputs)

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
        self.trace()

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
                if isinstance(modules[layer], torch.jit.ScriptModule):
                    if skip_invalid:
                        continue
                    raise RosettaError(
                        f"layer {layer!r}: is a TorchScript module, whose output cannot be read; "
                        "choose the module around it, or use the Python module that was scripted"
                    )
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
    _sides: list[Grid] = field(default_factory=list, init=False, repr=False, compare=False)

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

    @property
    def image_sides(self) -> Grid:
        """Height and width of generated images; 1 and 1 before the network has run."""
        return self._sides[0] if self._sides else (1, 1)

    @property
    def example(self) -> str:
        """Word for an input."""
        return "latent"

    def probe(self, count: int = 1) -> tuple[Tensor, ...]:
        """Return latents and, if the generator is conditional, class labels, all zeros."""
        latents = torch.zeros(count, self.latent_size)
        return (latents, torch.zeros(count, dtype=torch.int64)) if self.classes else (latents,)

    def run_probe(self, *inputs: Tensor) -> Any:
        """Run the network on inputs of `probe`, and remember the sides of its images."""
        images = self.network(*inputs)
        if image_shape_problem(images) is None:
            self._sides[:] = [(images.shape[2], images.shape[3])]
        return images


@dataclass(frozen=True, kw_only=True)
class Encoder(Network):
    """A network that receives images.

    Attributes:
        network: takes normalised images (n, 3, size, size); what it returns is not used.
        input: preprocessing of the images: crop, resize and normalisation.
    """

    input: Input

    @property
    def image_sides(self) -> Grid:
        """Height and width of the input."""
        return self.input.sides

    @property
    def example(self) -> str:
        """Word for an input."""
        return "image"

    def probe(self, count: int = 1) -> tuple[Tensor, ...]:
        """Return images (n, 3, h, w), all zeros."""
        return (torch.zeros(count, 3, *self.input.sides, dtype=self.dtype),)

    def forward(self, inputs: Tensor) -> Any:
        """Run the network on normalised images (n, 3, h, w), in the type of its parameters."""
        return self.network(inputs.to(self.dtype))
