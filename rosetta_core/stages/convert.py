"""The stage that makes a clean file of weights; not part of the workflow, and of no run.

convert    a safetensors file of a checkpoint

Imports stand inside the function: torch takes seconds.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rosetta_core.zoo.weights.convert import Converted

__all__ = ["convert"]


def convert(source: Path, target: Path, *, entry: str | None = None) -> "Converted":
    """Write the tensors of a checkpoint and its configuration as safetensors; say what it is.

    Args:
        source: a pickle of StyleGAN's authors, or a torch.save of tensors. Nothing in it is run.
        target: where to; the name ends in .safetensors.
        entry: key of the network in the file; G_ema in pickles, unless given.
    """
    from rosetta_core.zoo.weights.convert import convert as write

    return write(source, target, entry=entry)
