"""Check that the maps of an encoder's layers follow the image.

An image is changed in one patch after the other, and the layers have to respond there
(`layouts.agreement`). Random weights suffice, so no file is needed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.layouts.agreement import (
    Verdict,
    judge,
    leading_tokens,
    other_layouts,
    patch_slices,
    responses,
)
from rosetta_core.zoo.layouts.trial_weights import (
    calibrate_norms,
    differ,
    report_failures,
    sample,
    vary_constants,
)
from rosetta_core.zoo.network import Encoder

__all__ = ["check_geometry"]


@torch.no_grad()
def check_geometry(encoder: Encoder, layers: Sequence[str]) -> dict[str, Verdict]:
    """Check that layers follow the image, and that an image's maps depend on nothing else.

    The weights of the network are changed: constant ones become random, since a factor of 0 or
    1e-6, with which some networks begin, would hide what a layer does.

    Args:
        encoder: network on the CPU.
        layers: names of the layers.

    Returns:
        The verdict on each layer.

    Raises:
        RosettaError: a layout is wrong; or maps of an image differ between two passes, or change
            with the other images of a batch; or the network fails on random images.
    """
    images = _probe_images(encoder)
    encoder.trace()
    vary_constants(encoder.network)
    with report_failures("a batch of images of random pixels"):
        calibrate_norms(encoder.network, lambda: encoder.forward(images[:-1].clone()))
    alone = [_sample_maps(encoder, layers, images[:1]) for _ in range(2)]
    for layer in layers:
        if differ(*(passed[layer] for passed in alone)):
            raise RosettaError(
                f"layer {layer!r}: two passes over one image differ; turn off dropout and random "
                "numbers in the network's forward"
            )
    probe = _Probe(encoder, alone[0])
    with report_failures("a batch of images of random pixels"), probe.hooks(layers):
        encoder.forward(images.clone())
    second = _sample_maps(encoder, layers, images[[-1, 0]], place=1)
    for layer in layers:
        if differ(alone[0][layer], second[layer]):
            raise _depends_on_batch(layer)
    return {layer: probe.verdicts[layer] for layer in layers}


def _depends_on_batch(layer: str) -> RosettaError:
    return RosettaError(
        f"layer {layer!r}: the maps of an image change with the other images of its batch; "
        "switch batch normalisation to evaluation mode, and dynamic quantisation off"
    )


def _probe_images(encoder: Encoder) -> Tensor:
    """Return an image, the same with one patch changed for each centre, and a different one."""
    generator = torch.Generator("cpu").manual_seed(0)

    def noise(height: int, width: int) -> Tensor:
        return torch.randn(1, 3, height, width, generator=generator, device="cpu")

    height, width = encoder.input.sides
    image = noise(height, width)
    images = [image]
    for rows, columns in patch_slices(height, width):
        changed, patch = image.clone(), image[0, 0, rows, columns]
        changed[..., rows, columns] = 2 * noise(*patch.shape)
        images.append(changed)
    return torch.cat([*images, 3 * noise(height, width) + 1])


def _sample_maps(
    encoder: Encoder, layers: Sequence[str], images: Tensor, *, place: int = 0
) -> dict[str, Tensor]:
    """Return some activations of the first image, or of that at another place, by layer."""
    samples: dict[str, Tensor] = {}

    def receive(layer: str, maps: Tensor) -> None:
        samples[layer] = sample(maps[place:])

    failures = report_failures("an image of random pixels")
    with failures, encoder.capture(layers, receive=receive):
        encoder.forward(images.clone())  # the network may work in place
    return samples


@dataclass
class _Probe:
    """Hooks that compare the layers' responses with the places of the patches."""

    encoder: Encoder
    alone: Mapping[str, Tensor]

    def __post_init__(self) -> None:
        self.verdicts: dict[str, Verdict] = {}

    @contextmanager
    def hooks(self, layers: Sequence[str]) -> Iterator[None]:
        """Check layers during a forward pass over the probe images."""
        modules = dict(self.encoder.network.named_modules())
        handles = []
        for layer in layers:

            def hook(_module: nn.Module, _inputs: Any, output: Any, layer: str = layer) -> None:
                self.verdicts[layer] = self._check(layer, output)

            handles.append(modules[layer].register_forward_hook(hook))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _check(self, layer: str, output: Any) -> Verdict:
        maps = self.encoder.activation_maps(layer, output)
        if differ(self.alone[layer], sample(maps)):
            raise _depends_on_batch(layer)
        converted = self.encoder.convert(layer, output)
        others = (
            (cure, _responses(layout.to_maps(converted)))
            for cure, layout in other_layouts(self.encoder, layer)
        )
        shifted = leading_tokens(self.encoder.layout(layer))
        leading = _responses(shifted.to_maps(converted)) if shifted else None
        return judge(self.encoder, layer, _responses(maps), others, leading=leading)


def _responses(maps: Tensor) -> Tensor:
    """Return the responses of each position to each patch, from the probe images' maps."""
    return responses(maps[1:-1].float() - maps[:1].float())
