"""In which precision a training multiplies matrices.

multiplies_bfloat16    whether a device has units for products in bfloat16
mixed_precision        what makes a method's matrices be multiplied in it where there are
"""

import torch
from timm.layers.attention import Attention
from torch import nn

from rosetta_core.runtime.machine import abilities

__all__ = ["mixed_precision", "multiplies_bfloat16"]

# what the kernel calls them: Intel's and AMD's, Intel's matrix units, ARM's
UNITS = {"avx512_bf16", "amx_bf16", "bf16"}


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has units for such products, which without are slower than float32's."""
    return device.type == "cuda" or not UNITS.isdisjoint(abilities())


def mixed_precision(method: nn.Module, device: torch.device) -> torch.autocast:
    """Return what a step's loss is computed under; it may be entered again and again.

    On a processor torch's fused attention takes six times as long backwards in bfloat16 as in
    float32, so timm's attention then is products and a softmax.
    """
    enabled = multiplies_bfloat16(device)
    if enabled and device.type == "cpu":
        for module in method.modules():
            if isinstance(module, Attention):
                module.fused_attn = False  # type: ignore[misc]  # final for TorchScript only
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
