"""Agreement of a layer's responses with the places of changed patches, and with other layouts.

A layer whose layout is right responds where the patch is. The centres of the responses are compared
with those of the patches, and with what other layouts of the same output would give.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import torch
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.layers import Grid, Hint, LayoutKind
from rosetta_core.zoo.layouts.layout import Layout, dilated_order, window_order
from rosetta_core.zoo.layouts.rules import NoLayoutError, find_layout
from rosetta_core.zoo.network import Network

__all__ = [
    "Verdict",
    "judge",
    "leading_tokens",
    "other_layouts",
    "patch_slices",
    "responses",
]

# `follows`: responses are where patches are; `even`: they are everywhere, as after global mixing;
# `single`: the maps have one position; `silent`: the layer does not respond; `opaque`: it cannot be
# seen how the images depend on it
Verdict = Literal["follows", "even", "single", "silent", "opaque"]

PATCH = 8  # patches per side of the image
CENTRES = (  # of the patches, in shares of height and width: all corners, then between them
    *((1 / 16, 1 / 16), (1 / 16, 15 / 16), (15 / 16, 1 / 16), (15 / 16, 15 / 16)),
    *((5 / 16, 11 / 16), (11 / 16, 3 / 16), (3 / 16, 7 / 16), (9 / 16, 13 / 16)),
)
MIN_CORRELATION = 0.7  # of response centres and patch centres that agree
MIN_AGREEMENT = 0.5  # of another layout that is better
CLOSE = 0.75  # closeness to the patches from which on no other layout is compared
MARGIN = 0.1  # by which another layout has to be better
SHIFT_MARGIN = 0.02  # by which tokens have to be better without the last ones than the first
MIN_PATCHES = 4  # to which a layer responds; fewer show no layout
LOCAL = 8.0  # largest response by the median one, from which on a layer responds to places
MIN_SHARE = 0.6  # of the variance of the patches' places that local responses explain


def patch_slices(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of the patches of an image."""
    patch = max(1, height // PATCH), max(1, width // PATCH)
    for row, column in CENTRES:
        top = min(max(round(row * height - patch[0] / 2), 0), height - patch[0])
        left = min(max(round(column * width - patch[1] / 2), 0), width - patch[1])
        yield slice(top, top + patch[0]), slice(left, left + patch[1])


def responses(change: Tensor) -> Tensor:
    """Return the change of each position (patches, h, w), from changes (patches, c, h, w).

    What a patch changes everywhere alike, as attention with random weights does, is left out.
    """
    change = change.float()
    change = change - change.mean((2, 3), keepdim=True)
    return change.square().sum(1).sqrt()


def judge(
    network: Network,
    layer: str,
    response: Tensor,
    others: Iterable[tuple[str, Tensor]],
    *,
    leading: Tensor | None = None,
) -> Verdict:
    """Return the verdict on a layer from its responses.

    Args:
        network: network of the layer.
        layer: name of the layer.
        response: response of each position to each patch (patches, h, w).
        others: responses (patches, h, w) under other layouts, with the keys that set these.
        leading: responses if the layer's prefix tokens were the last ones; None if it has none.

    Raises:
        RosettaError: another layout agrees better, or responses are local and at other places.
    """
    grid = (response.shape[1], response.shape[2])
    if grid == (1, 1):
        return "single"
    if not bool(response.isfinite().all()) or int(_responds(response).sum()) < MIN_PATCHES:
        return "silent"
    agreement = _agreement(response)
    medians = response.flatten(1).median(1).values.clamp_min(1e-30)
    ratios = (response.amax((1, 2)) / medians)[_responds(response)]
    uneven = float(ratios.median())
    layout = network.layout(layer)
    better = None
    if agreement.closeness < CLOSE:
        rearranged = _rearranged(response, layout)
        better = _better(agreement, [*others, *rearranged])
    if better is None and leading is not None:
        found = _agreement(leading)
        if _fits(found) and found.closeness > agreement.closeness + SHIFT_MARGIN:
            better = "its last tokens are no positions, not the first ones: define to_maps"
    follows = agreement.correlation >= MIN_CORRELATION
    if uneven >= LOCAL:
        follows = follows and agreement.share >= MIN_SHARE
    if better is None and (follows or uneven < LOCAL):
        return "follows" if follows else "even"
    shape = tuple(network.trace()[layer].single)
    cure = better or "choose other layers, set their layout and grid, or define to_maps"
    raise RosettaError(
        f"layer {layer!r}: output {shape}, read as {layout.kind} with maps of {grid[0]}×{grid[1]}, "
        f"does not follow the image; {cure}"
    )


def other_layouts(network: Network, layer: str) -> Iterator[tuple[str, Layout]]:
    """Yield other layouts that a layer's output could have, with the keys that set them."""
    layout, rules = network.layout(layer), network.layout_rules()
    kinds: tuple[LayoutKind, ...] = ("nchw", "nhwc", "tokens", "tokens_last", "heads")
    kinds += ("windows", "dilated_windows")
    for kind in kinds:
        try:
            found = find_layout(rules.traced[layer], hint=Hint(layout=kind), rules=rules)
        except NoLayoutError:
            continue
        if found != layout and found.grid != (1, 1):
            cure = f"set layout: {kind}"
            if kind == layout.kind:
                cure = f"set grid: [{found.grid[0]}, {found.grid[1]}]"
            yield cure, found


def _responds(response: Tensor) -> Tensor:
    """Return to which patches (patches,) there is any response; a ReLU may hide some."""
    return response.amax((1, 2)) > 0


def _fits(agreement: "_Agreement") -> bool:
    """Return whether another layout is plausible by itself."""
    return agreement.share >= MIN_AGREEMENT and agreement.correlation >= MIN_CORRELATION


def leading_tokens(layout: Layout) -> Layout | None:
    """Return a layout with its prefix tokens at the end; None if it has none."""
    if not layout.prefix_tokens or layout.order is not None:
        return None
    first = tuple(range(prod(layout.grid)))
    return replace(layout, prefix_tokens=0, order=first)


def _better(agreement: "_Agreement", others: Iterable[tuple[str, Tensor]]) -> str | None:
    """Return how to set a layout that agrees better with the patches, if there is one."""
    best, cure = agreement.closeness + MARGIN, None
    for other, response in others:
        found = _agreement(response)
        if _fits(found) and found.closeness > best:
            best, cure = found.closeness, other
    return cure


def _rearranged(response: Tensor, layout: Layout) -> Iterator[tuple[str, Tensor]]:
    """Yield responses of tokens in other grids and orders, with what to do."""
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


def _agreement(response: Tensor) -> _Agreement:
    """Compare the centres of responses (patches, h, w) with those of the patches."""
    active = _responds(response)
    response, patches = response[active], torch.tensor(CENTRES)[: len(active)][active]
    _, height, width = response.shape
    above = (response - response.flatten(1).median(1).values[:, None, None]).clamp_min(0).square()
    weights = above / above.sum((1, 2), keepdim=True).clamp_min(1e-30)
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
