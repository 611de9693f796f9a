"""Check that the maps of a generator's layers lie where the image depends on them.

There is no input image to change. Instead, the gradient of the image in one patch after the other
is taken at the layers' outputs: a layer whose layout is right has it where the patch is. Random
weights suffice, as for encoders.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.layouts.agreement import (
    Verdict,
    judge,
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
from rosetta_core.zoo.network import Generator

__all__ = ["check_generator_geometry"]

BATCH = 2  # latents in a batch
IMAGES = ""  # key of the images among the samples of layers
AT_ONCE = 2**20  # pixels of the images whose gradients are taken in one pass


def check_generator_geometry(
    generator: Generator, layers: Sequence[str], *, patches: int | None = None
) -> dict[str, Verdict]:
    """Check that layers lie where the image depends on them, and that a latent's maps are its own.

    The weights of the network are changed, as by the check of encoders.

    Args:
        generator: network on the CPU.
        layers: names of the layers.
        patches: number of patches of the image, each of which costs a forward and a backward pass;
            0: gradients are not computed; None: all.

    Returns:
        The verdict on each layer; `opaque` where gradients do not reach it.

    Raises:
        RosettaError: a layout is wrong; or maps or images of a latent differ between two passes,
            or change with the other latents of a batch; or the network fails on random latents.
    """
    generator.trace()
    vary_constants(generator.network)
    latents = generator.sample_latents(range(BATCH))
    classes = torch.arange(BATCH) % generator.classes if generator.classes else None
    with report_failures("a batch of latents"), torch.no_grad():
        calibrate_norms(generator.network, lambda: _generate(generator, latents, classes))
    first = latents[:1], None if classes is None else classes[:1]
    alone = _sample_pass(generator, layers, *first)
    _compare(
        alone,
        _sample_pass(generator, layers, *first),
        "of a latent differ between two passes; turn off dropout and random numbers in the "
        "network's forward",
    )
    _compare(
        alone,
        _sample_pass(generator, layers, latents, classes),
        "of a latent change with the other latents of its batch; switch batch normalisation to "
        "evaluation mode",
    )
    slices = list(patch_slices(*generator.image_sides))[:patches]
    collected = _collect_responses(generator, layers, *first, slices)
    verdicts: dict[str, Verdict] = {}
    for layer in layers:
        found = collected.get(layer)
        if found is None:
            verdicts[layer] = "single" if generator.layout(layer).grid == (1, 1) else "opaque"
            continue
        response = torch.cat(found.pop(None))
        scale = response.amax().clamp_min(1e-30)  # of deep networks gradients may be tiny
        others = [(cure, torch.cat(parts) / scale) for cure, parts in found.items() if cure]
        verdicts[layer] = judge(generator, layer, response / scale, others)
    return verdicts


def _generate(generator: Generator, latents: Tensor, classes: Tensor | None) -> Tensor:
    """Generate images (n, c, h, w) as the network returns them."""
    return generator.network(latents) if classes is None else generator.network(latents, classes)


@torch.no_grad()
def _sample_pass(
    generator: Generator, layers: Sequence[str], latents: Tensor, classes: Tensor | None
) -> dict[str, Tensor]:
    """Return some activations of the first latent by layer, and some values of its image."""
    samples: dict[str, Tensor] = {}

    def receive(layer: str, maps: Tensor) -> None:
        if len(maps) != len(latents):
            raise RosettaError(
                f"layer {layer!r}: has maps of {len(maps)} images for {len(latents)} latents; "
                "choose other layers, or set their layout"
            )
        samples[layer] = sample(maps)

    failures = report_failures(f"{len(latents)} random latents")
    with failures, generator.capture(layers, receive=receive):
        images = _generate(generator, latents, classes)
    if len(images) != len(latents):
        raise RosettaError(
            f"the generator returns {len(images)} images for {len(latents)} latents; return one "
            "image per latent"
        )
    samples[IMAGES] = sample(images)
    return samples


def _compare(first: Mapping[str, Tensor], second: Mapping[str, Tensor], problem: str) -> None:
    """Raise a RosettaError with a problem if samples of two passes differ."""
    for layer, values in first.items():
        if differ(values, second[layer]):
            where = "the images" if layer == IMAGES else f"layer {layer!r}: the maps"
            raise RosettaError(f"{where} {problem}")


def _collect_responses(
    generator: Generator,
    layers: Sequence[str],
    latent: Tensor,
    classes: Tensor | None,
    patches: Sequence[tuple[slice, slice]],
) -> dict[str, dict[str | None, list[Tensor]]]:
    """Return responses to each patch, by layer and by the key that sets a layout; None: as it is.

    Layers are left out whose output has no floating-point tensor, and all layers of generators that
    cannot be differentiated.
    """
    height, width = generator.image_sides
    count = max(1, AT_ONCE // (height * width))
    collected: dict[str, dict[str | None, list[Tensor]]] = defaultdict(lambda: defaultdict(list))
    for start in range(0, len(patches), count):
        part = patches[start : start + count]
        labels = None if classes is None else classes.expand(len(part))
        try:
            found = _gradients(generator, layers, latent.expand(len(part), -1), labels, part)
        except Exception:  # the network runs without gradients: of its own, as by work in place
            return {}
        for layer, gradient in found.items():
            for cure, response in _layer_responses(generator, layer, gradient):
                collected[layer][cure].append(response)
    return collected


@torch.enable_grad()
def _gradients(
    generator: Generator,
    layers: Sequence[str],
    latents: Tensor,
    classes: Tensor | None,
    patches: Sequence[tuple[slice, slice]],
) -> dict[str, Any]:
    """Return the gradient of one patch of each image, in the form of the outputs of layers."""
    noise = torch.Generator("cpu").manual_seed(0)
    probes: dict[str, Any] = {}
    latents = latents.clone().requires_grad_(True)
    with _probes(generator, layers, probes):
        images = _generate(generator, latents, classes)
    if not images.requires_grad or not probes:
        return {}
    total = torch.zeros(())
    for number, (rows, columns) in enumerate(patches):
        patch = images[number, :, rows, columns].float()
        total = total + (patch * torch.randn(patch.shape, generator=noise)).sum()
    tensors: list[Tensor] = []
    _map_tensors(probes, tensors.append)
    found = iter(torch.autograd.grad(total, tensors, allow_unused=True))

    def gradient_at(probe: Tensor) -> Tensor:
        gradient = next(found)
        return torch.zeros_like(probe) if gradient is None else gradient

    gradients: dict[str, Any] = _map_tensors(probes, gradient_at)
    return gradients


def _map_tensors(value: Any, function: Callable[[Tensor], Any]) -> Any:
    """Apply a function to the floating-point tensors in an output, in order."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return function(value)
    if type(value) in (tuple, list):
        return type(value)(_map_tensors(part, function) for part in value)
    if type(value) is dict:
        return {key: _map_tensors(part, function) for key, part in value.items()}
    return value


def _layer_responses(
    generator: Generator, layer: str, gradient: Any
) -> Iterator[tuple[str | None, Tensor]]:
    """Yield the responses of a layer's positions under its layout, and under others."""
    converted = generator.convert(layer, gradient)
    layout = generator.layout(layer)
    yield None, responses(generator.crop(layer, layout.to_maps(converted)))
    for cure, other in other_layouts(generator, layer):
        yield cure, responses(other.to_maps(converted))


@contextmanager
def _probes(generator: Generator, layers: Sequence[str], probes: dict[str, Any]) -> Iterator[None]:
    """Add tensors of zeros to the output of each layer, at which gradients are taken."""
    modules = dict(generator.network.named_modules())

    def hook_for(layer: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            added: list[Tensor] = []

            def add(tensor: Tensor) -> Tensor:
                added.append(torch.zeros_like(tensor, requires_grad=True))
                return tensor + added[-1]

            changed = _map_tensors(output, add)
            if not added:
                return None
            parts = iter(added)
            probes[layer] = _map_tensors(output, lambda _: next(parts))
            return changed

        return hook

    handles = [modules[layer].register_forward_hook(hook_for(layer)) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
