"""Latent spaces w and w+ of style-based generators, and class labels as one-hot rows."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn import functional

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.network import LatentSpace

__all__ = ["StyleBased", "one_hot", "w_spaces"]


def one_hot(classes: Tensor | None, count: int, *, like: Tensor) -> Tensor:
    """Return one row (n, count) per class label: 1 at the label, 0 elsewhere.

    Args:
        classes: integers (n,); or rows (n, count), which may mix classes and are returned as they
            are.
        count: number of classes of the generator.
        like: tensor with the dtype and the device of the rows.

    Raises:
        RosettaError: there are no labels, or a label is out of range.
    """
    if classes is None:
        raise RosettaError(
            "class_label: required, because the generator is class-conditional; give a class from "
            f"0 to {count - 1}"
        )
    if classes.ndim == 2:
        return classes.to(like)
    if not classes.is_meta:  # on CUDA, PyTorch's own check aborts the process
        wrong = classes[(classes < 0) | (classes >= count)]
        if len(wrong):
            raise RosettaError(
                f"class_label: {int(wrong[0])} is out of range; give a class from 0 to {count - 1}"
            )
    return functional.one_hot(classes, count).to(like)


class StyleBased(Protocol):
    """A generator with a mapping and a synthesis network (Karras et al., CVPR 2019)."""

    def w(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        """Map z (n, z_dim) and class labels (n,) to truncated w (n, w_dim)."""
        ...

    def synthesis(self, ws: Tensor) -> Tensor:
        """Generate images (n, 3, h, w) from w+ (n, slots, w_dim)."""
        ...


def w_spaces(network: StyleBased, *, slots: int) -> dict[str, LatentSpace]:
    """Return the latent spaces w (n, w_dim) and w+ (n, slots, w_dim) of a generator.

    `slots` is the number of w vectors that the synthesis network takes.
    """
    spaces = _WSpaces(network, slots)
    return {
        "w": LatentSpace(from_z=network.w, generate=spaces.generate_from_w),
        "w+": LatentSpace(from_z=spaces.w_plus, generate=spaces.generate_from_w_plus),
    }


@dataclass(frozen=True)
class _WSpaces:
    """Functions of the spaces as methods, so that a copied generator uses the copy's network."""

    network: StyleBased
    slots: int

    def generate_from_w(self, w: Tensor, classes: Tensor | None) -> Tensor:
        return self.network.synthesis(self._repeat(w))

    def w_plus(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        return self._repeat(self.network.w(latents, classes))

    def generate_from_w_plus(self, ws: Tensor, classes: Tensor | None) -> Tensor:
        return self.network.synthesis(ws)

    def _repeat(self, w: Tensor) -> Tensor:
        return w[:, None].repeat(1, self.slots, 1)  # (n, slots, w_dim)
