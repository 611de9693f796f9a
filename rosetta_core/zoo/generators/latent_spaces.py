"""The latent spaces that style-based generators have beside z.

StyleBased    what such a generator offers
w_spaces      w, and w+ with a w of its own in every slot
"""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from rosetta_core.zoo.network import LatentSpace

__all__ = ["StyleBased", "w_spaces"]


class StyleBased(Protocol):
    """A generator with a mapping and a synthesis network (Karras et al., CVPR 2019)."""

    def w(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        """Turn z (n, z_dim) and classes (n,) into truncated w (n, w_dim)."""
        ...

    def synthesis(self, ws: Tensor) -> Tensor:
        """Turn w+ (n, slots, w_dim) into images."""
        ...


def w_spaces(network: StyleBased, *, slots: int) -> dict[str, LatentSpace]:
    """The spaces w (n, w_dim) and w+ (n, slots, w_dim) of a generator that takes `slots` w."""
    its = _Slots(network, slots)
    return {
        "w": LatentSpace(enter=network.w, draw=its.draw_w),
        "w+": LatentSpace(enter=its.enter_all, draw=its.draw_all),
    }


@dataclass(frozen=True)
class _Slots:
    """Its methods are the spaces' functions: a copy of the generator draws with its own network."""

    network: StyleBased
    slots: int

    def draw_w(self, w: Tensor, classes: Tensor | None) -> Tensor:
        return self.network.synthesis(self._spread(w))

    def enter_all(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        return self._spread(self.network.w(latents, classes))

    def draw_all(self, ws: Tensor, classes: Tensor | None) -> Tensor:
        return self.network.synthesis(ws)

    def _spread(self, w: Tensor) -> Tensor:
        return w[:, None].repeat(1, self.slots, 1)  # (n, slots, w_dim)
