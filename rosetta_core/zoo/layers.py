"""Layers whose output channels are units, patterns of their names, and hints of layouts."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from rosetta_core.errors import RosettaError, did_you_mean

__all__ = [
    "Grid",
    "Hint",
    "Layer",
    "LayoutKind",
    "common_grids",
    "map_bytes",
    "match_names",
    "select_layers",
]

Grid = tuple[int, int]  # height and width of an activation map

LayoutKind = Literal[
    "nchw",
    "nhwc",
    "tokens",
    "tokens_first",
    "tokens_last",
    "heads",
    "windows",
    "dilated_windows",
    "none",
]

GLOB = re.compile(r"\*\*|\*|\?|\[[^\]]+\]")


@dataclass(frozen=True)
class Layer:
    """A module whose output channels are units.

    Attributes:
        name: the module's dotted name.
        channels: number of units.
        height: height of an activation map, in positions.
        width: width of an activation map, in positions.
        margin: rows and columns on each side of the module's output that lie outside the image;
            they are cropped.
    """

    name: str
    channels: int
    height: int
    width: int
    margin: int = 0

    @property
    def grid(self) -> Grid:
        """Height and width of an activation map."""
        return self.height, self.width

    @property
    def size(self) -> int:
        """Activations per image."""
        return self.channels * self.height * self.width


@dataclass(frozen=True)
class Hint:
    """What a user or a library says about the layout of a layer; None: nothing.

    Attributes:
        layout: kind of the layout.
        grid: height and width of the maps.
        prefix_tokens: number of tokens before the grid.
        shift: rows and columns by which maps were rolled before they were split into windows.
        strides: strides by which tokens were split, offsets before positions.
    """

    layout: LayoutKind | None = None
    grid: Grid | None = None
    prefix_tokens: int | None = None
    shift: Grid | None = None
    strides: tuple[Grid, ...] | None = None

    def override(self, other: "Hint") -> "Hint":
        """Return this hint with the values that another hint has."""
        given = {part.name: getattr(other, part.name) for part in fields(self)}
        return replace(self, **{name: value for name, value in given.items() if value is not None})


def common_grids(first: Grid, second: Grid) -> tuple[Grid, Grid]:
    """Return (small, large): the grids at which a pair of maps is multiplied and compared.

    `large` is the grid to which both maps are resized by definition; `small` is the grid at which
    their product is computed. Per axis, they are the maximum and the minimum of the two sides.
    """
    small = (min(first[0], second[0]), min(first[1], second[1]))
    large = (max(first[0], second[0]), max(first[1], second[1]))
    return small, large


def map_bytes(layers: Sequence[Layer], float32: Sequence[str] | None) -> int:
    """Return the bytes of the stored maps of one image: float16, or float32 for some layers.

    Args:
        layers: mined layers of a model.
        float32: patterns of the names of layers that are stored as float32.
    """
    names = [layer.name for layer in layers]
    wide = {name for pattern in float32 or () for name in match_names(names, pattern)}
    return sum(layer.size * (4 if layer.name in wide else 2) for layer in layers)


def select_layers(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the module names that match at least one pattern, in their given order.

    `*` and `?` match within one part of a dotted name, `**` matches any number of parts, and
    `[1-6]` matches one of these characters.

    Raises:
        RosettaError: a pattern matches no module; the message suggests similar names.
    """
    names = [name for name in names if name]
    selected: set[str] = set()
    for pattern in patterns:
        matched = match_names(names, pattern)
        if not matched:
            first = (
                f" (the first are {', '.join(names[:3])})" if names else ", since there are none"
            )
            hint = did_you_mean(pattern, names) or first
            raise RosettaError(f"layers: {pattern!r} matches no module{hint}")
        selected.update(matched)
    return [name for name in names if name in selected]


def match_names(names: Iterable[str], pattern: str) -> list[str]:
    """Return the dotted names that match a pattern of `select_layers`."""
    expression = _compile(pattern)
    return [name for name in names if expression.fullmatch(name)]


def _compile(pattern: str) -> re.Pattern[str]:
    wildcards = {"**": ".*", "*": "[^.]*", "?": "[^.]"}
    parts, end = [], 0
    for match in GLOB.finditer(pattern):
        parts += [re.escape(pattern[end : match.start()]), wildcards.get(match[0], match[0])]
        end = match.end()
    try:
        return re.compile("".join([*parts, re.escape(pattern[end:])]))
    except re.error as error:
        raise RosettaError(
            f"layers: {pattern!r} is not a valid pattern ({error.msg}); correct it"
        ) from None
