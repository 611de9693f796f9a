"""Adam (Kingma and Ba, 2015), as torch computes it, on one tensor.

Adam    its steps, and what it remembers between them
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam

__all__ = ["Adam"]


class Adam:
    """Steps of `torch.optim.Adam`, without the compiler that this class imports for two seconds."""

    def __init__(self, latents: Tensor) -> None:
        """Move a leaf tensor (n, …) by its gradient."""
        self._latents = latents
        self._mean, self._square = (torch.zeros_like(latents, requires_grad=False) for _ in "12")
        self._steps = torch.tensor(0.0)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Take a step at a learning rate, and forget the gradient."""
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
        """What it remembers, on a CPU: running means of the gradient and of its square, steps."""
        state = {"mean": self._mean, "square": self._square, "steps": self._steps}
        return {name: value.cpu().clone() for name, value in state.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        self._mean.copy_(state["mean"])
        self._square.copy_(state["square"])
        self._steps.copy_(state["steps"])
