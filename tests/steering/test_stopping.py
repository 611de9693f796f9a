"""Optimisations stop where the loss no longer falls or a callback says so, and not before."""

from typing import Any

import numpy as np
import pytest
import torch

from rosetta_core.steering.optimise.stopping import Plateau, Stopping

TWO = [[3, 3], [2, 3], [2, 2.9], [2, 2.9], [2, 2.9], [1, 2.9]]


@pytest.mark.parametrize(
    ("losses", "patience", "tolerance", "stop"),
    [
        ([5, 4, 3, 2, 1], 1, 0.0, None),
        ([5, 4, 4, 4, 1], 2, 0.0, 3),
        ([5, 5, 5], 1, 0.0, 1),
        ([5, 4.9, 4.8, 4.7, 4.6], 2, 0.5, 2),
        ([5, 4.7, 4.4, 4.1, 3.8], 2, 0.5, None),  # slow falls add up
        ([5, 4, 6, 3, 7, 2], 2, 0.0, None),  # a peak between two falls
        ([5, 6, 6, 6], None, 0.0, None),
        (TWO, 2, 0.0, 4),
        (TWO, 3, 0.0, None),  # one of two latents is enough
    ],
)
def test_a_plateau_is_reached_after_steps_without_a_lower_loss(
    losses: Any, patience: int | None, tolerance: float, stop: int | None
) -> None:
    plateau = Plateau(Stopping(patience=patience, tolerance=tolerance))
    reached = []
    for step, loss in enumerate(losses):
        plateau.add(torch.tensor(loss, dtype=torch.float32).reshape(-1))
        if plateau.reached:
            reached.append(step)
    assert (reached[0] if reached else None) == stop


@pytest.mark.parametrize(
    ("returned", "stops"),
    [(True, True), (np.True_, True), (False, False), (None, False), (1, False), ([0], False)],
)
def test_only_true_stops(returned: Any, stops: bool) -> None:
    stopping = Stopping(lambda *_: returned)
    total, latents = torch.zeros(2), torch.zeros(2, 3)
    assert stopping.report(0, total, latents, last=False) is stops
    assert Stopping().report(0, total, latents, last=True) is False
    assert Stopping(lambda *_: True, every=2).report(3, total, latents, last=False) is False
    assert Stopping(lambda *_: True, every=2).report(3, total, latents, last=True) is True
