"""Which layers of a network are mined, and the shapes of their maps.

select_layers    the module names that patterns match
matches          the names that a pattern matches
probe_layers     the layers in the order in which they run, with their shapes
"""

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.zoo.layer import Layer
from rosetta_core.zoo.network import Network

__all__ = ["matches", "probe_layers", "select_layers"]

GLOB = re.compile(r"\*\*|\*|\?|\[[^\]]+\]")


def select_layers(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """Return the module names that match any pattern.

    `*` and `?` stand for anything within one part of a dotted name, `**` for any parts, `[1-6]`
    for one of those characters. RosettaError for a pattern that matches nothing, with near names.
    """
    names = [name for name in names if name]
    chosen: set[str] = set()
    for pattern in patterns:
        found = matches(names, pattern)
        if not found:
            hint = did_you_mean(pattern, names) or f" (the first are {', '.join(names[:3])})"
            raise RosettaError(f"layers: {pattern!r} matches no module{hint}")
        chosen.update(found)
    return [name for name in names if name in chosen]


def matches(names: Iterable[str], pattern: str) -> list[str]:
    """Return the dotted names that a pattern matches, as `select_layers` reads it."""
    expression = _regex(pattern)
    return [name for name in names if expression.fullmatch(name)]


def _regex(pattern: str) -> re.Pattern[str]:
    wild = {"**": ".*", "*": "[^.]*", "?": "[^.]"}
    parts, last = [], 0
    for match in GLOB.finditer(pattern):
        parts += [re.escape(pattern[last : match.start()]), wild.get(match[0], match[0])]
        last = match.end()
    try:
        return re.compile("".join([*parts, re.escape(pattern[last:])]))
    except re.error as error:
        raise RosettaError(f"layers: {pattern!r} is no pattern: {error.msg}") from None


@torch.no_grad()
def probe_layers(model: Network, names: Sequence[str], *, lenient: bool = False) -> list[Layer]:
    """Run a model once and return its layers in the order in which they ran.

    Works on the meta device, where nothing is computed. RosettaError for a layer that ran twice
    or never, and for one whose output is no set of maps; `lenient` leaves those out instead.
    """
    layers: dict[str, Layer] = {}
    repeated: set[str] = set()

    def receive(name: str, maps: Tensor) -> None:
        if name in layers and lenient:
            repeated.add(name)
            return
        if name in layers:
            raise RosettaError(
                f"layer {name!r} runs more than once in a forward pass, so its units are "
                "ambiguous; name the block around it"
            )
        _, channels, height, width = maps.shape
        layers[name] = Layer(name, channels, height, width, model.margins.get(name, 0))

    with model.capture(names, receive=receive, lenient=lenient):
        model.network(*(part.to(model.device) for part in model.probe()))
    if lenient:
        return [layer for name, layer in layers.items() if name not in repeated]
    if silent := [name for name in names if name not in layers]:
        raise RosettaError(f"layer {silent[0]!r} never runs in a forward pass; name another")
    return list(layers.values())
