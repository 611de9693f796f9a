"""What a forward pass takes.

pixels_and_operations    what a network draws, and the operations of that
"""

import torch
from torch.utils.flop_counter import FlopCounterMode

from rosetta_core.zoo.network import Generator, Network

__all__ = ["pixels_and_operations"]


@torch.no_grad()
def pixels_and_operations(built: Network) -> tuple[int, int]:
    """Count the pixels that a network draws, if any, and the operations of a forward pass.

    Those of an image, in products and convolutions. TypeError if a generator returns no images.
    """
    with FlopCounterMode(display=False) as counter:
        output = built.network(*(part.to(built.device) for part in built.probe()))
    if not isinstance(built, Generator):
        return 0, counter.get_total_flops()
    shape = tuple(getattr(output, "shape", ()))
    if len(shape) != 4 or shape[:2] != (1, 3):
        found = f"of shape {shape}" if shape else f"a {type(output).__name__}"
        raise TypeError(f"a generator has to return images (n, 3, h, w), but {found} came back")
    return shape[2] * shape[3], counter.get_total_flops()
