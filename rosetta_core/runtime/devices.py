"""Compute devices, by the names that a configuration gives them."""

import re

import torch

from rosetta_core.errors import RosettaError

__all__ = ["resolve_device"]


def resolve_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda` or `cuda:N`.

    `auto` is the first GPU if there is one, and the CPU otherwise.

    Raises:
        RosettaError: there is no such device, or not on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise RosettaError(f"device: {name!r} is not a device; use auto, cpu, cuda or cuda:N")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise RosettaError(
            f"device: {name!r} is not available (this machine has {torch.cuda.device_count()} CUDA "
            "devices); use auto or cpu"
        )
    return device
