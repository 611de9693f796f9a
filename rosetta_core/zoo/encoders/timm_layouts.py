"""Layouts of layers of timm networks that shapes do not show: windows, strides, class tokens."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from rosetta_core.zoo.layers import Hint
from rosetta_core.zoo.layouts.tracing import TracedOutput

__all__ = ["hints_of"]

# networks with a class token and no `num_prefix_tokens`
CLASS_TOKEN = (
    "CoaT",
    "CrossVit",
    "PoolingVisionTransformer",
)
SHIFTED = ("SwinTransformerBlock", "SwinTransformerV2Block", "SwinTransformerV2CrBlock")
PARTITIONED = ("PartitionAttentionCl", "PartitionAttention2d", "ParallelPartitionAttention")
DILATED = ("MobileVitBlock", "MobileVitV2Block")


def hints_of(network: nn.Module) -> Callable[[str, TracedOutput], Hint]:
    """Return a function of a layer's name and output that says what timm's code shows of it.

    Args:
        network: timm's network, or a network that contains one.
    """
    modules = dict(network.named_modules())
    classes = {name: type(module).__name__ for name, module in modules.items()}

    def hint_for(layer: str, output: TracedOutput) -> Hint:
        parts = layer.split(".")
        parents = [".".join(parts[:depth]) for depth in range(len(parts))]
        for name in reversed(parents):
            found = _hint_inside(modules[name], classes[name], layer[len(name) :], output)
            if found:
                return found
        return Hint()

    return hint_for


def _hint_inside(module: Any, kind: str, inside: str, output: TracedOutput) -> Hint | None:
    """Return what a module shows of the layers inside of it, or None."""
    hint: Hint | None = None
    if kind in SHIFTED and inside.startswith(".attn."):
        shift = module.shift_size
        hint = Hint(shift=(shift, shift) if isinstance(shift, int) else tuple(shift))
    elif kind in PARTITIONED and inside.startswith(".attn."):
        hint = Hint(layout="windows" if module.partition_block else "dilated_windows")
    elif kind in DILATED and inside.startswith((".transformer", ".norm")):
        hint = Hint(layout="dilated_windows")
    elif kind == "NestLevel" and inside.startswith(".transformer_encoder"):
        hint = Hint(layout="windows")
    elif kind == "Hiera" and inside.lstrip(".").startswith("blocks."):
        hint = _unrolled(module, output)
    elif kind in CLASS_TOKEN and len(output.single) == 3:
        hint = Hint(prefix_tokens=1)
    return hint


def _unrolled(hiera: Any, output: TracedOutput) -> Hint | None:
    """Return the strides by which Hiera has split its tokens, from their number."""
    schedules: Mapping[int, tuple[list, list]] = hiera.reroll.schedule
    for strides, size in schedules.values():
        if len(output.single) == 3 and output.single[1] == size[0] * size[1]:
            return Hint(layout="tokens", grid=tuple(size), strides=tuple(map(tuple, strides)))
    return None
