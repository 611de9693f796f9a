"""Callbacks and early stopping of optimisations."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["Plateau", "StepCallback", "Stopping"]

# step, loss (n,) and latents (n, …), copied to the CPU -> True to stop
StepCallback = Callable[[int, NDArray[np.float32], Tensor], object]


@dataclass(frozen=True)
class Stopping:
    """When an optimisation ends before its last step; by default never.

    Attributes:
        callback: called with the step, the loss and the latents before the first step and after
            steps; the optimisation ends if it returns True.
        every: number of steps between two calls; the last step is always reported.
        patience: number of steps without a lower loss after which the optimisation ends; None:
            never.
        tolerance: decrease of the loss that counts as lower.
    """

    callback: StepCallback | None = None
    every: int = 1
    patience: int | None = None
    tolerance: float = 0.0

    def with_latents(self, latents: Tensor) -> "Stopping":
        """Return the same with a callback that receives fixed latents, for other parameters."""
        callback = self.callback
        if callback is None:
            return self
        return replace(self, callback=lambda step, loss, _: callback(step, loss, latents.clone()))

    def report(self, step: int, total: Tensor, latents: Tensor, *, last: bool) -> bool:
        """Call the callback if it is due; return whether it ends the optimisation.

        Args:
            step: number of steps so far.
            total: loss (n,), on the CPU.
            latents: latents (n, …).
            last: whether this is the last step in any case.
        """
        if self.callback is None or not (last or step % self.every == 0):
            return False
        returned = self.callback(step, total.numpy().copy(), latents.detach().cpu().clone())
        # other values, such as what a list's method returns, do not stop by accident
        return isinstance(returned, bool | np.bool_) and bool(returned)


class Plateau:
    """Watches whether the loss of any latent of a batch still falls.

    Attributes:
        reached: whether no loss has fallen for as many steps as the patience.
    """

    def __init__(self, stopping: Stopping) -> None:
        self._patience, self._tolerance = stopping.patience, stopping.tolerance
        self._lowest: Tensor | None = None
        self._steps = 0
        self.reached = False

    def add(self, total: Tensor) -> None:
        """Add the loss of the next step (n,)."""
        if self._patience is None:
            return
        if self._lowest is None:
            self._lowest = total
            return
        fell = total < self._lowest - self._tolerance
        self._lowest = torch.where(fell, total, self._lowest)
        self._steps = 0 if bool(fell.any()) else self._steps + 1
        self.reached = self._steps >= self._patience
