"""How different two images look, as a loss that an image can be optimised by.

PerceptualDistance    what any such distance offers
FeatureDistance       over an encoder of the zoo, all its channels weighted alike

At several layers l of a network, the channels at each position (h, w) are scaled to unit length;
the distance is a weighted sum of their squared differences (Zhang et al., 2018, Eq. 1):

    d(x, y) = Σ_l 1/(H_l·W_l) Σ_hw Σ_c w_lc · (x^l_chw - y^l_chw)²

It is 0 for equal images, symmetric, and differentiable with respect to the first. What a network
makes of the second is computed once: in an inversion the target stays the same over all steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.encoders.preprocessing import preprocess_pixels
from rosetta_core.zoo.layers import select_layers
from rosetta_core.zoo.network import Encoder
from rosetta_core.zoo.probing import probe_layers

__all__ = ["FeatureDistance", "PerceptualDistance"]

MOST_LAYERS = 5  # as many as LPIPS has of AlexNet and VGG
TINY = 1e-8  # added to squared lengths, so that a position without activation has a gradient


class PerceptualDistance(ABC):
    """A distance between images; a kind of it says which maps it compares, and by what weights.

    Attributes:
        name: what it is called in tables and figures.
        weights: by layer w_lc, not negative, (c, 1, 1) or (1, 1, 1).
    """

    name: str
    weights: Sequence[Tensor]

    @torch.no_grad()
    def look_at(self, targets: Tensor) -> list[Tensor]:
        """Return what targets (n, 3, h, w) in -1..1 are compared by: per layer (n, c, h, w)."""
        return self._features(targets)

    def __call__(self, images: Tensor, targets: Sequence[Tensor]) -> Tensor:
        """Return the distance (n,) of each image from its target.

        Args:
            images: (n, 3, h, w) in -1..1.
            targets: what `look_at` returned, of n targets or of one for all images.
        """
        pairs = zip(self._features(images), targets, strict=True)
        parts = [(own - target).square().sum(1).mean((1, 2)) for own, target in pairs]  # (n,)
        return torch.stack(parts).sum(0)

    @abstractmethod
    def maps(self, images: Tensor) -> list[Tensor]:
        """Return by layer the maps (n, c, h, w) of images (n, 3, h, w) in -1..1."""

    def _features(self, images: Tensor) -> list[Tensor]:
        """The maps at unit length, times the roots of the weights."""
        return [
            maps * (weight.sqrt() * (maps.square().sum(1, keepdim=True) + TINY).rsqrt())
            for weight, maps in zip(self.weights, self.maps(images), strict=True)
        ]


class FeatureDistance(PerceptualDistance):
    """The distance over an encoder of the zoo: the mean of its layers, all channels alike.

    It is no LPIPS: nothing of it was fitted to what people find similar.

    Attributes:
        layers: names of the layers that are compared, in the order in which they run.
    """

    def __init__(self, encoder: Encoder, *, name: str, layers: Sequence[str] | None = None) -> None:
        """Choose the layers of an encoder that images are compared by, and freeze the encoder.

        Args:
            encoder: the network, on the device where the images will be. Its input may be made
                smaller, which saves most of the time.
            name: of the encoder; the distance is called "features of NAME".
            layers: patterns of layers. By default, of the layers that are mined, the last at each
                size of map, so that edges count as much as meaning; of a network with one size of
                map, such as a transformer, layers evenly spaced in depth. At most five.

        Raises:
            RosettaError: a pattern matches nothing, or the encoder has no preset of layers.
        """
        self.name = f"features of {name}"
        self._encoder = encoder
        encoder.network.eval().requires_grad_(False)
        try:
            self.layers = _compared_layers(encoder, layers)
        except RosettaError as error:
            raise RosettaError(f"{name}: {error}") from None
        device = next(encoder.network.parameters()).device
        alike = torch.full((1, 1, 1), 1 / len(self.layers), device=device)
        self.weights = [alike] * len(self.layers)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return by layer the maps (n, c, h, w) of images (n, 3, h, w) in -1..1."""
        found: dict[str, Tensor] = {}

        def receive(layer: str, maps: Tensor) -> None:
            found[layer] = maps.clone()  # the next module may overwrite them
            if layer == self.layers[-1]:
                raise _SeenAll

        inputs = preprocess_pixels((images + 1) / 2, self._encoder.input)
        with suppress(_SeenAll), self._encoder.capture(self.layers, receive=receive):
            self._encoder.network(inputs)
        return [found[layer] for layer in self.layers]


class _SeenAll(Exception):  # noqa: N818 - a signal, no error
    """Ends a forward pass after the last layer that is compared."""


def _compared_layers(encoder: Encoder, patterns: Sequence[str] | None) -> list[str]:
    """The layers that match, or those of the preset that are compared by default."""
    chosen = encoder.preset if patterns is None else patterns
    if not chosen:
        raise RosettaError("has no preset of layers; name some to compare images by")
    names = select_layers([name for name, _ in encoder.network.named_modules()], chosen)
    layers = probe_layers(encoder, names)
    if patterns is None:
        ends = {layer.grid: layer.name for layer in layers}  # the last of each grid
        if len(ends) > 1:
            layers = [layer for layer in layers if layer.name == ends[layer.grid]]
        places = np.linspace(0, len(layers) - 1, min(MOST_LAYERS, len(layers))).round()
        layers = [layers[int(place)] for place in places]
    return [layer.name for layer in layers]
