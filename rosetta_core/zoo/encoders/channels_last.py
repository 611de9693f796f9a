"""Layers whose outputs have their channels last.

channels_first    turns the outputs of a network's MLPs into maps, where these work on (n, h, w, c)
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

__all__ = ["channels_first"]


def channels_first(network: nn.Module) -> Callable[[str, Any], Any]:
    """Return a function of a layer's name and output that puts the channels of MLPs first.

    ConvNeXt and Swin apply linear maps to (n, h, w, c), so that nothing in the shape says which
    axis the channels are. A module `mlp` with a linear map among its children works so, and so
    do those children. Everything else, tokens (n, t, c) included, stays as it is.
    """
    last = set()
    for name, module in network.named_modules():
        children = dict(module.named_children())
        linear = any(isinstance(child, nn.Linear) for child in children.values())
        if name.rsplit(".", 1)[-1] == "mlp" and linear:
            last |= {name, *(f"{name}.{child}" for child in children)}

    def to_maps(layer: str, output: Any) -> Any:
        if layer in last and isinstance(output, Tensor) and output.ndim == 4:
            return output.permute(0, 3, 1, 2)  # (n, c, h, w)
        return output

    return to_maps
