"""Catch the activation maps of named layers while a network runs.

capture     hand every named layer's maps to a function, as soon as they are computed
as_maps     a layer's output as maps (n, c, h, w)
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from rosetta_core.errors import RosettaError

__all__ = ["as_maps", "capture"]


@contextmanager
def capture(
    network: nn.Module,
    layers: Sequence[str],
    *,
    maps: Callable[[str, Any], Tensor],
    receive: Callable[[str, Tensor], None],
    lenient: bool = False,
) -> Iterator[None]:
    """Call `receive(layer, maps)` for each layer in every forward pass within the context.

    RosettaError for a layer of whose output `maps(layer, output)` can't make maps; `lenient` passes
    over it instead.

    The maps (n, c, h, w) may be overwritten by the module that follows (in-place activations):
    `receive` has to copy what it keeps.
    """
    modules = dict(network.named_modules())

    def hook_for(layer: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            try:
                found = maps(layer, output)
            except RosettaError:
                if lenient:
                    return
                raise
            receive(layer, found)

        return hook

    with ExitStack() as stack:
        for layer in layers:
            stack.callback(modules[layer].register_forward_hook(hook_for(layer)).remove)
        yield


def as_maps(output: Any, *, layer: str, prefix_tokens: int = 0) -> Tensor:
    """Turn a layer's output into maps (n, c, h, w).

    Maps stay as they are; tokens (n, t, c) lose their prefix and become a square grid; vectors
    (n, c) become 1×1 maps. RosettaError for anything else.
    """
    if isinstance(output, Tensor):
        if output.ndim == 4:
            return output
        if output.ndim == 3:
            tokens = output[:, prefix_tokens:]  # (n, h*w, c)
            side = math.isqrt(tokens.shape[1])
            if side * side == tokens.shape[1]:
                return tokens.transpose(1, 2).unflatten(2, (side, side))  # (n, c, h, w)
        if output.ndim == 2:
            return output[:, :, None, None]  # (n, c, 1, 1)
        shape = f"a tensor of shape {tuple(output.shape)}"
    else:
        shape = f"a {type(output).__name__}"
    raise RosettaError(
        f"layer {layer!r} puts out {shape}, which is no set of activation maps; name other layers"
    )
