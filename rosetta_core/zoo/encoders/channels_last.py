"""Activation maps of modules that work on channels-last tensors (n, h, w, c)."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

__all__ = ["channels_first"]


def channels_first(network: nn.Module) -> Callable[[str, Any], Any]:
    """Return a `to_maps` function that moves the channels of MLPs to the second dimension.

    ConvNeXt and Swin apply linear layers to (n, h, w, c), and a shape does not show which
    dimension holds the channels. A module `mlp` with a linear layer among its children works on
    such tensors, and so do these children. Other outputs, for example tokens (n, t, c), are
    returned unchanged.
    """
    channels_last = set()
    for name, module in network.named_modules():
        children = dict(module.named_children())
        has_linear = any(isinstance(child, nn.Linear) for child in children.values())
        if name.rsplit(".", 1)[-1] == "mlp" and has_linear:
            channels_last |= {name, *(f"{name}.{child}" for child in children)}

    def to_maps(layer: str, output: Any) -> Any:
        if layer in channels_last and isinstance(output, Tensor) and output.ndim == 4:
            return output.permute(0, 3, 1, 2)  # (n, c, h, w)
        return output

    return to_maps
