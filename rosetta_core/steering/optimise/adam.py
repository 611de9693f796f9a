"""Adam (Kingma and Ba, 2015) on a single tensor, bit for bit as in `torch.optim.Adam`.

It calls the functional form, because `torch.optim.Adam` imports torch's compiler, which takes two
seconds.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

__all__ = ["Adam"]


class Adam:
    """Adam with β₁ = 0.9, β₂ = 0.999 and ε = 1e-8, on one leaf tensor."""

    def __init__(self, latents: Tensor) -> None:
        """Optimise a leaf tensor (n, …) in place."""
        self._latents = latents
        self._mean, self._square = (torch.zeros_like(latents, requires_grad=False) for _ in "12")
        self._steps = torch.tensor(0.0)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Take one step at a learning rate and clear the gradient."""
        assert self._latents.grad is not None
        adam(
            [self._latents],
            [self._latents.grad],
            [self._mean],
            [self._square],
            [],
            [self._steps],
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=rate,
            weight_decay=0.0,
            eps=1e-8,
            maximize=False,
        )
        self._latents.grad = None

    def state(self) -> dict[str, Any]:
        """Return copies, on the CPU, of both running means and of the number of steps."""
        state = {"mean": self._mean, "square": self._square, "steps": self._steps}
        return {name: value.cpu().clone() for name, value in state.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Resume from what `state` returned."""
        self._mean.copy_(state["mean"])
        self._square.copy_(state["square"])
        self._steps.copy_(state["steps"])
