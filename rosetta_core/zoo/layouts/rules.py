"""Layouts from the shapes of outputs, the classes of modules, and what is said about layers.

Nothing is guessed silently: an output that fits no layout is refused, and whether a layout is right
is checked on changed images (`rosetta_core.zoo.layouts.geometry`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal, assert_never

from rosetta_core.zoo.layers import Grid, Hint, LayoutKind
from rosetta_core.zoo.layouts.layout import (
    Layout,
    dilated_order,
    fit_grid,
    has_aspect,
    window_order,
)
from rosetta_core.zoo.layouts.tracing import Shape, TracedOutput

__all__ = ["LayoutRules", "NoLayoutError", "find_layout"]

AXES = {"nchw": 3, "nhwc": 3, "heads": 3, "none": 1}  # axes of an image's output; others have two
WINDOWS = ("windows", "dilated_windows")


class NoLayoutError(Exception):
    """Reason why an output has no layout, or not the given one."""


@dataclass(frozen=True)
class LayoutRules:
    """All that layouts follow from, besides a layer's own output.

    Attributes:
        image: height and width of the input.
        prefix_tokens: number of tokens before the grid where none is given for a layer.
        traced: outputs of all modules.
    """

    image: Grid
    prefix_tokens: int
    traced: Mapping[str, TracedOutput]


def find_layout(output: TracedOutput, *, hint: Hint, rules: LayoutRules) -> Layout:
    """Return the layout of a layer.

    Args:
        output: the layer's output.
        hint: what is said about the layer.
        rules: what else layouts follow from.

    Raises:
        NoLayoutError: the output has none, or not the given one.
    """
    if output.problem:
        raise NoLayoutError(output.problem)
    axis, folded = _batch_axis(output.single, output.pair)
    shown, rest = _show(output.single), output.single[:axis] + output.single[axis + 1 :]
    if not rest:
        raise NoLayoutError(f"output {shown} has no channels")
    kind = hint.layout or _guess_kind(output, axis, folded, rest, rules)
    expected = AXES.get(kind, 2)
    if kind in WINDOWS:
        fits = axis == 0 and len(rest) + (folded > 1) >= expected + 1
    else:
        axes = len(rest) == expected or (kind == "tokens" and len(rest) == expected + 1)
        fits = folded == 1 and axes and axis == (kind == "tokens_first")
    if not fits:
        raise NoLayoutError(f"output {shown} is not {hint.layout or 'of a known layout'}")
    try:
        return _complete(kind, folded, rest, hint, rules)
    except NoLayoutError as error:
        raise NoLayoutError(f"output {shown} {error}") from None


def _batch_axis(single: Shape, pair: Shape | None) -> tuple[int, int]:
    """Return the axis of the images, and its length for one image."""
    if 0 in single or not single:
        raise NoLayoutError(f"output {_show(single)} has no values")
    if pair is None:
        raise NoLayoutError("does not run for two images")
    grown = [
        axis for axis, sides in enumerate(zip(single, pair, strict=False)) if sides[0] != sides[1]
    ]
    if len(single) != len(pair) or len(grown) != 1 or pair[grown[0]] != 2 * single[grown[0]]:
        raise NoLayoutError(
            f"output {_show(single)} for one image and {_show(pair)} for two has no batch dimension"
        )
    axis = grown[0]
    if axis > 1 or (axis == 1 and (single[1] > 1 or len(single) != 3)):
        raise NoLayoutError(f"output {_show(single)} has the images in dimension {axis}")
    return axis, single[axis]


def _show(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


def _times(grid: Grid) -> str:
    return f"{grid[0]}×{grid[1]}"


def _guess_kind(
    output: TracedOutput, axis: int, folded: int, rest: Shape, rules: LayoutRules
) -> LayoutKind:
    """Return the kind of layout that shapes and the classes of modules suggest."""
    channels = output.channels or _channels_nearby(output, rules.traced)
    if axis == 1:
        kind: LayoutKind = "tokens_first"
    elif folded > 1:
        kind = "windows"
    elif len(rest) == 1:
        kind = "none"
    elif len(rest) == 2:
        kind = "tokens_last" if channels == "second" and not output.converted else "tokens"
    elif len(rest) != 3 or channels != "last":
        kind = "nchw"
    elif has_aspect((rest[0], rest[1]), rules.image):
        kind = "nhwc"
    else:
        kind = "heads" if _token_grid(rest[1], Hint(), rules) else "windows"
    return kind


def _channels_nearby(
    output: TracedOutput, traced: Mapping[str, TracedOutput]
) -> Literal["second", "last"] | None:
    """Return the channels' axis of the module that ran last, of those with outputs of a shape."""
    same = [
        other
        for other in traced.values()
        if other.channels and not other.converted and other.single == output.single
    ]
    before = [other for other in same if other.order <= output.order]
    if before:
        return max(before, key=lambda other: other.order).channels
    return min(same, key=lambda other: other.order).channels if same else None


def _complete(kind: LayoutKind, folded: int, rest: Shape, hint: Hint, rules: LayoutRules) -> Layout:
    """Return a complete layout of a kind that fits the output's axes."""
    match kind:
        case "none":
            return Layout("none", (1, 1))
        case "nchw" | "nhwc":
            grid = (rest[1], rest[2]) if kind == "nchw" else (rest[0], rest[1])
            if hint.grid and hint.grid != grid:
                raise NoLayoutError(f"does not have the grid {_times(hint.grid)}")
            return Layout(kind, grid)
        case "windows" | "dilated_windows":
            return _in_windows(kind, folded, rest, hint, rules)
        case "tokens" | "tokens_first" | "tokens_last" | "heads":
            positions = rest[1] if kind in ("tokens_last", "heads") else rest[0]
            grid_and_prefix = _token_grid(positions, hint, rules)
            if grid_and_prefix is None:
                raise NoLayoutError(_no_grid(positions, hint, rules))
            grid, prefix = grid_and_prefix
            order = dilated_order(grid, hint.strides) if hint.strides else None
            return Layout(kind, grid, prefix_tokens=prefix, order=order)
        case _:
            assert_never(kind)


def _token_grid(positions: int, hint: Hint, rules: LayoutRules) -> tuple[Grid, int] | None:
    """Return the grid of tokens, and the number of tokens before it."""
    prefixes = (rules.prefix_tokens, 0) if hint.prefix_tokens is None else (hint.prefix_tokens,)
    for prefix in prefixes:
        grid = hint.grid
        if grid is None and positions > prefix:
            grid = fit_grid(positions - prefix, rules.image)
        if grid and prod(grid) == positions - prefix:
            return grid, prefix
    return None


def _no_grid(positions: int, hint: Hint, rules: LayoutRules) -> str:
    """Return why tokens do not form a grid."""
    prefix = rules.prefix_tokens if hint.prefix_tokens is None else hint.prefix_tokens
    after = f" and {prefix} prefix tokens" if prefix else ""
    grid = _times(hint.grid) if hint.grid else "a grid of the image's proportions"
    return f"has {positions} tokens, not {grid}{after}"


def _in_windows(
    kind: Literal["windows", "dilated_windows"],
    folded: int,
    rest: Shape,
    hint: Hint,
    rules: LayoutRules,
) -> Layout:
    """Return the layout of windows that are in the batch or in an axis of their own."""
    windows, inner = (rest[0], rest[1:-1]) if folded == 1 else (folded, rest[:-1])
    positions = windows * prod(inner)
    grid = hint.grid or fit_grid(positions, rules.image)
    if grid is None or prod(grid) != positions:
        raise NoLayoutError(f"has {positions} positions in windows, which form no grid")
    if hint.grid is None and grid not in _plain_grids(rules):
        raise NoLayoutError(f"has windows of {_times(grid)} positions, padded beyond the maps")
    window = (inner[0], inner[1]) if len(inner) == 2 else fit_grid(prod(inner), rules.image)
    if window is None or grid[0] % window[0] or grid[1] % window[1]:
        raise NoLayoutError(f"has windows that do not divide the grid {_times(grid)}")
    if kind == "windows":
        order = window_order(grid, window, shift=hint.shift or (0, 0))
    else:
        order = dilated_order(grid, [(grid[0] // window[0], grid[1] // window[1])])
    return Layout(kind, grid, folded=folded, order=order)


def _plain_grids(rules: LayoutRules) -> set[Grid]:
    """Return the grids of all outputs that are not in windows."""
    grids: set[Grid] = set()
    for other in rules.traced.values():
        shape = other.single
        if not shape or shape[0] != 1:
            continue
        if len(shape) == 4:
            grids |= {(shape[2], shape[3]), (shape[1], shape[2])}
        elif len(shape) == 3:
            fitting = _token_grid(shape[1], Hint(), rules)
            grids |= {fitting[0]} if fitting else set()
    return grids
