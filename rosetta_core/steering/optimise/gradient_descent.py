"""Gradient descent on a batch of latents: Adam, with checkpoints.

The learning rate rises linearly over the first 5% of the steps and falls as half a cosine over the
last 25%. Rows of the batch are independent. A run that was interrupted resumes from its last
checkpoint and ends with the same bits.
"""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rosetta_core.errors import RosettaError
from rosetta_core.io.saved_state import load_state, save_state
from rosetta_core.runtime.progress import Progress
from rosetta_core.steering.generator import GeneratedImages, SteeredGenerator
from rosetta_core.steering.optimise.adam import Adam
from rosetta_core.steering.optimise.loss import Term
from rosetta_core.steering.optimise.stopping import Plateau, Stopping
from rosetta_core.zoo.encoders.preprocessing import to_bytes

__all__ = ["Checkpoint", "LossFunction", "OptimisationResult", "learning_rate_factor", "optimise"]

RAMP_UP, RAMP_DOWN = 0.05, 0.25  # shares of the steps
FRAMES = 72  # images of the trajectory, evenly spaced: a video of three seconds
LARGEST_FRAME = 256  # side of these images, in pixels
SECONDS = 20  # between two checkpoints


@dataclass(frozen=True)
class Checkpoint:
    """File that holds the state of an optimisation while it runs.

    Attributes:
        path: the file.
        key: everything that the result depends on; a file with another key is ignored.
        seconds: interval between two checkpoints.
    """

    path: Path
    key: str
    seconds: float = SECONDS

    def load(self) -> dict[str, Any] | None:
        """Return the saved state; None if it is missing, damaged or of another optimisation."""
        try:
            state = load_state(self.path)
        except (OSError, RosettaError):  # the optimisation starts from the beginning
            return None
        return state if state.get("key") == self.key else None

    def save(self, state: dict[str, Any]) -> None:
        """Replace the saved state."""
        save_state(self.path, {**state, "key": self.key})

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)


class LossFunction(Protocol):
    """Loss of a batch of latents, such as `Loss`."""

    @property
    def layers(self) -> list[str]:
        """The generator's layers whose maps are needed."""

    def terms(
        self, latents: Tensor, generated: GeneratedImages, *, start: Tensor
    ) -> dict[Term, Tensor]:
        """Return the unweighted terms (n,)."""

    def total(self, terms: Mapping[Term, Tensor]) -> Tensor:
        """Return the weighted sum of terms (n,), which is minimised."""


@dataclass(frozen=True)
class OptimisationResult:
    """Result of an optimisation.

    Attributes:
        latents: final latents (n, …), on the CPU.
        terms: terms of the loss at the start and after each step taken (steps + 1, n).
        total: their weighted sum (steps + 1, n).
        frames: images of some steps, the first and the last among them (t, n, h, w, 3).
    """

    latents: Tensor
    terms: dict[Term, NDArray[np.float32]]
    total: NDArray[np.float32]
    frames: NDArray[np.uint8]


@dataclass
class _History:
    """Losses and images of the steps so far."""

    terms: list[dict[Term, Tensor]] = field(default_factory=list)
    total: list[Tensor] = field(default_factory=list)
    frames: list[Tensor] = field(default_factory=list)


def learning_rate_factor(step: int, steps: int) -> float:
    """Return the learning rate of a step as a share of the peak learning rate."""
    done = (step + 0.5) / steps
    up = min(1.0, done / RAMP_UP)
    down = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - done) / RAMP_DOWN))
    return up * down


def optimise(
    generator: SteeredGenerator,
    loss: LossFunction,
    start: Tensor,
    *,
    steps: int,
    learning_rate: float | None = None,
    space: str = "z",
    classes: Tensor | None = None,
    checkpoint: Checkpoint | None = None,
    stopping: Stopping | None = None,
    name: str = "optimisation",
) -> OptimisationResult:
    """Minimise the loss of each latent of a batch.

    An optimisation that stops early ends with the latents of its last step; the learning rate does
    not fall before.

    Args:
        generator: the generator, which does not change.
        loss: loss of the batch.
        start: starting latents (n, …) of the space.
        steps: number of Adam steps.
        learning_rate: peak learning rate; None for the default of the generator's family.
        space: name of the latent space.
        classes: class labels (n,), None for an unconditional generator.
        checkpoint: file to resume from and to save to.
        stopping: callback and early stopping; None for neither.
        name: name of the job, for progress and errors.

    Raises:
        RosettaError: the loss is NaN or infinite.
    """
    learning_rate = learning_rate or generator.generator.learning_rate
    start = start.to(generator.device)
    latents = start.clone().requires_grad_(True)
    adam = Adam(latents)
    history, first = _History(), 0
    stopping = stopping or Stopping()
    plateau = Plateau(stopping)
    if checkpoint and (saved := checkpoint.load()):
        with torch.no_grad():
            latents.copy_(saved["latents"])
        adam.load(saved["adam"])
        history = _History(saved["terms"], saved["total"], saved["frames"])
        first = saved["step"]
        for total in history.total:
            plateau.add(total)
    frame_steps = set(np.linspace(0, steps, min(FRAMES, steps + 1)).round().astype(int).tolist())
    last_saved = time.monotonic()
    with Progress(name, total=steps, unit="steps") as progress:
        progress.advance(first)
        for step in range(first, steps + 1):
            due = time.monotonic() - last_saved > checkpoint.seconds if checkpoint else False
            if checkpoint and step > first and due:
                state = {"latents": latents.detach().cpu(), "adam": adam.state(), "step": step}
                checkpoint.save({**state, **vars(history)})
                last_saved = time.monotonic()
            generated = generator.generate(
                latents, space=space, classes=classes, layers=loss.layers
            )
            terms = loss.terms(latents, generated, start=start)
            total = loss.total(terms)
            history.terms.append({term: value.detach().cpu() for term, value in terms.items()})
            history.total.append(total.detach().cpu())
            _check_finite(history.total[-1], step=step, name=name)
            plateau.add(history.total[-1])
            last = step == steps or plateau.reached
            last |= stopping.report(step, history.total[-1], latents, last=last)
            if last or step in frame_steps:
                history.frames.append(_frame(generated.images))
            if last:
                break  # the loss of the result has been recorded
            total.sum().backward()
            adam.step(learning_rate * learning_rate_factor(step, steps))
            progress.advance()
    return OptimisationResult(
        latents.detach().cpu(),
        {
            term: torch.stack([values[term] for values in history.terms]).numpy()
            for term in history.terms[0]
        },
        torch.stack(history.total).numpy(),
        torch.stack(history.frames).numpy(),
    )


def _frame(images: Tensor) -> Tensor:
    """Return byte images (n, h, w, 3), reduced to the size of a video."""
    images = images.detach()
    largest = max(images.shape[2:])
    if largest > LARGEST_FRAME:
        size = [side * LARGEST_FRAME // largest for side in images.shape[2:]]
        images = functional.interpolate(images, size=size, mode="area")
    return to_bytes(images).cpu()


def _check_finite(total: Tensor, *, step: int, name: str) -> None:
    rows = torch.nonzero(~torch.isfinite(total)).flatten().tolist()
    if rows:
        raise RosettaError(
            f"{name}: the loss of latent {rows[0]} is not finite after {step} steps; lower the "
            "learning rate"
        )
