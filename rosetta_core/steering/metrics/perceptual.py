"""Perceptual distances between images, differentiable with respect to the first image.

At several layers l of a network, the channels at each position (h, w) are scaled to unit length;
the distance is a weighted sum of their squared differences (Zhang et al., 2018, Eq. 1):

    d(x, y) = Σ_l 1/(H_l·W_l) Σ_hw Σ_c w_lc · (x^l_chw - y^l_chw)²

It is symmetric, and 0 for equal images. Features of y are computed once: the target of an
inversion is the same at every step.
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

MOST_LAYERS = 5  # as many as LPIPS compares of AlexNet and VGG
TINY = 1e-8  # added to squared lengths, so that a position without activation has a gradient


class PerceptualDistance(ABC):
    """A distance between images; subclasses define which maps are compared, and their weights.

    Attributes:
        name: name of the distance in tables and figures.
        weights: weights w_lc of each layer, not negative, (c, 1, 1) or (1, 1, 1).
    """

    name: str
    weights: Sequence[Tensor]

    @torch.no_grad()
    def features(self, targets: Tensor) -> list[Tensor]:
        """Return the features (n, c, h, w) of targets (n, 3, h, w) in -1..1, by layer."""
        return self._features(targets)

    def __call__(self, images: Tensor, features: Sequence[Tensor]) -> Tensor:
        """Return the distance (n,) of each image from its target.

        Args:
            images: images (n, 3, h, w) in -1..1.
            features: features of n targets, or of one target for all images.
        """
        pairs = zip(self._features(images), features, strict=True)
        parts = [(own - target).square().sum(1).mean((1, 2)) for own, target in pairs]  # (n,)
        return torch.stack(parts).sum(0)

    @abstractmethod
    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the maps (n, c, h, w) of images (n, 3, h, w) in -1..1, by layer."""

    def _features(self, images: Tensor) -> list[Tensor]:
        """Return the maps, scaled to unit length and multiplied by the roots of the weights."""
        return [
            maps * (weight.sqrt() * (maps.square().sum(1, keepdim=True) + TINY).rsqrt())
            for weight, maps in zip(self.weights, self.maps(images), strict=True)
        ]


class FeatureDistance(PerceptualDistance):
    """Distance over the features of an encoder: the mean over layers, with equal channel weights.

    Unlike those of LPIPS, the weights are not fitted to human judgements of similarity.

    Attributes:
        layers: names of the compared layers, in the order in which they run.
    """

    def __init__(self, encoder: Encoder, *, name: str, layers: Sequence[str] | None = None) -> None:
        """Choose the compared layers of an encoder, and freeze the encoder.

        Args:
            encoder: the network, on the device of the images. A smaller input size saves most of
                the time.
            name: name of the encoder; the distance is called "features of NAME".
            layers: patterns of layers. None takes the last mined layer at each map size, so that
                edges count as much as semantic features; for a network with a single map size,
                such as a transformer, layers evenly spaced in depth. At most five.

        Raises:
            RosettaError: a pattern matches no layer, or the encoder has no preset of layers.
        """
        self.name = f"features of {name}"
        self._encoder = encoder
        encoder.network.eval().requires_grad_(False)
        try:
            self.layers = _compared_layers(encoder, layers)
        except RosettaError as error:
            raise RosettaError(f"{name}: {error}") from None
        device = next(encoder.network.parameters()).device
        equal = torch.full((1, 1, 1), 1 / len(self.layers), device=device)
        self.weights = [equal] * len(self.layers)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the maps (n, c, h, w) of images (n, 3, h, w) in -1..1, by layer."""
        maps_by_layer: dict[str, Tensor] = {}

        def receive(layer: str, maps: Tensor) -> None:
            maps_by_layer[layer] = maps.clone()  # the next module may overwrite them
            if layer == self.layers[-1]:
                raise _LastLayerReached

        inputs = preprocess_pixels((images + 1) / 2, self._encoder.input)
        with suppress(_LastLayerReached), self._encoder.capture(self.layers, receive=receive):
            self._encoder.forward(inputs)
        return [maps_by_layer[layer] for layer in self.layers]


class _LastLayerReached(Exception):  # noqa: N818 - a signal, not an error
    """Ends a forward pass after the last compared layer."""


def _compared_layers(encoder: Encoder, patterns: Sequence[str] | None) -> list[str]:
    """Return the layers that match the patterns, or the default choice among the preset."""
    chosen = encoder.preset if patterns is None else patterns
    if not chosen:
        raise RosettaError("has no preset of layers; name the layers to compare images by")
    names = select_layers([name for name, _ in encoder.network.named_modules()], chosen)
    layers = probe_layers(encoder, names)
    if patterns is None:
        last_by_grid = {layer.grid: layer.name for layer in layers}
        if len(last_by_grid) > 1:
            layers = [layer for layer in layers if layer.name == last_by_grid[layer.grid]]
        places = np.linspace(0, len(layers) - 1, min(MOST_LAYERS, len(layers))).round()
        layers = [layers[int(place)] for place in places]
    return [layer.name for layer in layers]
