"""Check that the maps of an encoder's layers follow the image.

An image is changed in one patch after the other. A layer whose layout is right responds where the
patch is; the check compares the centres of the responses with those of the patches, and with what
other layouts of the same output would give. Random weights suffice, so no file is needed.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rosetta_core.errors import RosettaError, describe_exception
from rosetta_core.zoo.layers import Grid, Hint, LayoutKind
from rosetta_core.zoo.layouts.layout import dilated_order, window_order
from rosetta_core.zoo.layouts.rules import LayoutRules, NoLayoutError, find_layout
from rosetta_core.zoo.network import Encoder

__all__ = ["Verdict", "check_geometry"]

# `follows`: responses are where patches are; `even`: they are everywhere, as after global mixing;
# `single`: the maps have one position; `silent`: the layer does not respond
Verdict = Literal["follows", "even", "single", "silent"]

PATCH = 8  # patches per side of the image
CENTRES = (  # of the patches, in shares of height and width: all corners, and between them
    *((1 / 16, 1 / 16), (1 / 16, 15 / 16), (15 / 16, 1 / 16), (15 / 16, 15 / 16)),
    *((5 / 16, 11 / 16), (11 / 16, 3 / 16), (3 / 16, 7 / 16), (9 / 16, 13 / 16)),
)
MIN_CORRELATION = 0.7  # of response centres and patch centres that agree
MIN_AGREEMENT = 0.5  # of another layout that is better
CLOSE = 0.75  # closeness to the patches from which on no other layout is compared
MARGIN = 0.1  # by which another layout has to be better
LOCAL = 8.0  # largest response by the median one, from which on a layer responds to places
MIN_SHARE = 0.6  # of the variance of the patches' places that local responses explain
TOLERANCE = {torch.float32: 1e-2, torch.float64: 1e-6}  # difference in standard deviations
SAMPLE = 4096  # activations of an image that are compared between passes


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
    _vary_constants(encoder.network)
    _calibrate_norms(encoder, images)
    alone = [_sample_maps(encoder, layers, images[:1]) for _ in range(2)]
    for layer in layers:
        if _differ(*(passed[layer] for passed in alone)):
            raise RosettaError(
                f"layer {layer!r}: two passes over one image differ; turn off dropout and random "
                "numbers in the network's forward"
            )
    probe = _Probe(encoder, alone[0])
    with _reported("a batch of images"), probe.hooks(layers):
        encoder.forward(images)
    return {layer: probe.verdicts[layer] for layer in layers}


def _probe_images(encoder: Encoder) -> Tensor:
    """Return an image, the same with one patch changed for each centre, and a different one."""
    generator = torch.Generator("cpu").manual_seed(0)

    def noise(height: int, width: int) -> Tensor:
        return torch.randn(1, 3, height, width, generator=generator, device="cpu")

    height, width = encoder.input.sides
    patch = max(1, height // PATCH), max(1, width // PATCH)
    image = noise(height, width)
    images = [image]
    for row, column in CENTRES:
        top = min(max(round(row * height - patch[0] / 2), 0), height - patch[0])
        left = min(max(round(column * width - patch[1] / 2), 0), width - patch[1])
        changed = image.clone()
        changed[..., top : top + patch[0], left : left + patch[1]] = 2 * noise(*patch)
        images.append(changed)
    return torch.cat([*images, 3 * noise(height, width) + 1])


def _vary_constants(network: nn.Module) -> None:
    """Replace constant parameters by random values: factors by 0.5 to 1.5, others by noise."""
    generator = torch.Generator("cpu").manual_seed(0)
    for parameter in network.parameters():
        if not parameter.is_floating_point() or parameter.numel() < 2 or parameter.is_meta:
            continue
        first = parameter.flatten()[0]
        if not bool((parameter == first).all()):
            continue
        values = torch.rand(parameter.shape, generator=generator, device="cpu")
        is_factor = parameter.numel() == max(parameter.shape) and bool(first != 0)
        parameter.copy_(values + 0.5 if is_factor else 0.2 * (values - 0.5))


def _calibrate_norms(encoder: Encoder, images: Tensor) -> None:
    """Give batch normalisations the statistics of the probe images, so that signals survive."""
    norms = [
        module
        for module in encoder.network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None
    ]
    if not norms:
        return
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    try:
        with _reported("a batch of images"):
            encoder.forward(images[:-1])
    finally:
        for norm in norms:
            norm.eval()


@contextmanager
def _reported(images: str) -> Iterator[None]:
    """Report what a network raises, in one line."""
    try:
        yield
    except RosettaError:
        raise
    except Exception as error:
        raise RosettaError(
            f"the network fails on {images} of random pixels ({describe_exception(error)}); "
            "correct its forward"
        ) from error


def _sample_maps(encoder: Encoder, layers: Sequence[str], images: Tensor) -> dict[str, Tensor]:
    """Return some activations of the first image, by layer."""
    samples: dict[str, Tensor] = {}

    def receive(layer: str, maps: Tensor) -> None:
        samples[layer] = _sample(maps)

    with _reported("an image"), encoder.capture(layers, receive=receive):
        encoder.forward(images)
    return samples


def _sample(maps: Tensor) -> Tensor:
    """Return evenly spaced activations of the first image."""
    values = maps[0].flatten()
    return values[:: max(1, len(values) // SAMPLE)].clone()


def _differ(first: Tensor, second: Tensor) -> bool:
    """Return whether activations differ by more than rounding."""
    scale = first.float().std(correction=0) + first.float().abs().mean() * 1e-3
    allowed = TOLERANCE.get(first.dtype, 0.1) * scale
    return bool(((first.float() - second.float()).abs() > allowed).any())


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
        if _differ(self.alone[layer], _sample(maps)):
            raise RosettaError(
                f"layer {layer!r}: the maps of an image change with the other images of its batch; "
                "switch batch normalisation to evaluation mode"
            )
        if maps.shape[2] * maps.shape[3] == 1:
            return "single"
        response = _responses(maps)
        if not bool(response.isfinite().all()) or not bool((response > 0).any()):
            return "silent"
        agreement = _agreement(response)
        ratios = response.amax((1, 2)) / response.flatten(1).median(1).values.clamp_min(1e-30)
        uneven = float(ratios.median())
        better = self._better(layer, output, response, agreement)
        follows = agreement.correlation >= MIN_CORRELATION
        if uneven >= LOCAL:
            follows = follows and agreement.share >= MIN_SHARE
        if better is None and (follows or uneven < LOCAL):
            return "follows" if follows else "even"
        shape = tuple(self.encoder.trace()[layer].single)
        kind = self.encoder.layout(layer).kind
        cure = better or "choose other layers, set their layout and grid, or define to_maps"
        raise RosettaError(
            f"layer {layer!r}: output {shape}, read as {kind} with maps of {maps.shape[2]}×"
            f"{maps.shape[3]}, does not follow the image; {cure}"
        )

    def _better(
        self, layer: str, output: Any, response: Tensor, agreement: "_Agreement"
    ) -> str | None:
        """Return how to set a layout that agrees better with the patches, if there is one."""
        best, cure = agreement.closeness + MARGIN, None
        if agreement.closeness >= CLOSE:
            return None
        for other, responses in self._alternatives(layer, output, response):
            found = _agreement(responses)
            right = found.share >= MIN_AGREEMENT and found.correlation >= MIN_CORRELATION
            if right and found.closeness > best:
                best, cure = found.closeness, other
        return cure

    def _alternatives(
        self, layer: str, output: Any, response: Tensor
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield other layouts of an output, as the keys that set them, with their responses."""
        encoder, layout = self.encoder, self.encoder.layout(layer)
        traced = encoder.trace()
        kinds: tuple[LayoutKind, ...] = ("nchw", "nhwc", "tokens", "tokens_last", "heads")
        kinds += ("windows", "dilated_windows")
        rules = LayoutRules(encoder.input.sides, encoder.prefix_tokens, traced)
        converted = encoder.convert(layer, output)
        for kind in kinds:
            try:
                found = find_layout(traced[layer], hint=Hint(layout=kind), rules=rules)
            except NoLayoutError:
                continue
            if found != layout and found.grid != (1, 1):
                cure = f"set layout: {kind}"
                if kind == layout.kind:
                    cure = f"set grid: [{found.grid[0]}, {found.grid[1]}]"
                yield cure, _responses(found.to_maps(converted))
        if layout.kind in ("nchw", "nhwc"):
            return
        flat = response.flatten(1)
        for height in range(2, flat.shape[1] // 2 + 1):  # a row or column would fit one axis only
            if flat.shape[1] % height == 0 and height != layout.grid[0]:
                grid = (height, flat.shape[1] // height)
                yield f"set grid: [{grid[0]}, {grid[1]}]", flat.unflatten(1, grid)
        for order in _orders(layout.grid):
            cure = "its positions are in another order: choose other layers, or define to_maps"
            yield cure, flat[:, torch.tensor(order)].unflatten(1, layout.grid)


def _orders(grid: Grid) -> Iterator[tuple[int, ...]]:
    """Yield orders in which networks hold positions: windows, and one or more strides."""
    height, width = grid
    for side in range(2, min(grid) // 2 + 1):
        if height % side == 0 and width % side == 0:
            yield window_order(grid, (side, side))
            yield dilated_order(grid, [(side, side)])
    for depth in (2, 3, 4):
        if height % 2**depth == 0 and width % 2**depth == 0:
            yield dilated_order(grid, [(2, 2)] * depth)


@dataclass(frozen=True)
class _Agreement:
    """Agreement of the centres of responses with those of patches, on the worse axis.

    Attributes:
        correlation: Pearson's r, which allows for responses that are drawn to the centre.
        share: share of the variance of the patches' places that the centres explain as they are.
        closeness: the same share for all positions, weighted by their response, in place of their
            centre; responses at two places have a centre, but are not close to it.
    """

    correlation: float
    share: float
    closeness: float


def _responses(maps: Tensor) -> Tensor:
    """Return the change of each position by each patch (patches, h, w), of maps (n, c, h, w).

    What a patch changes everywhere alike, as attention with random weights does, is left out.
    """
    change = maps[1:-1].float() - maps[:1].float()  # (patches, c, h, w)
    change = change - change.mean((2, 3), keepdim=True)
    return change.square().sum(1).sqrt()


def _agreement(response: Tensor) -> _Agreement:
    """Compare the centres of responses (patches, h, w) with those of the patches."""
    _, height, width = response.shape
    above = (response - response.flatten(1).median(1).values[:, None, None]).clamp_min(0).square()
    weights = above / above.sum((1, 2), keepdim=True).clamp_min(1e-30)
    patches = torch.tensor(CENTRES)
    correlations, shares, closeness = [1.0], [1.0], [1.0]
    for side, profile, places in (  # of a row or column, its share of the response
        (height, weights.sum(2), patches[:, 0]),
        (width, weights.sum(1), patches[:, 1]),
    ):
        if side == 1:
            continue
        positions = (torch.arange(side) + 0.5) / side
        centres = profile @ positions
        apart = (positions - places[:, None]).square()  # (patches, side)
        variance = (places - places.mean()).square().sum()
        product = ((centres - centres.mean()) * (places - places.mean())).sum()
        spread = (centres - centres.mean()).square().sum() * variance
        correlations.append(float(product / spread.sqrt().clamp_min(1e-12)))
        shares.append(1 - float((centres - places).square().sum() / variance))
        closeness.append(1 - float((profile * apart).sum() / variance))
    return _Agreement(min(correlations), min(shares), min(closeness))
