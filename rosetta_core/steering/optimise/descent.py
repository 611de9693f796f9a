"""The descent: Adam on a batch of latents, which can be stopped and taken up again.

descend          from starting latents to those with the least loss
descend_for      the same with the settings of a job
Descended        what was found, and the way there
Checkpoint       where a descent is kept while it runs
Minimised        what it asks of a loss
rate_at          the learning rate: up over the first 5% of the steps, down over the last 25%
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

from rosetta_core.config import steering as config
from rosetta_core.errors import RosettaError
from rosetta_core.io.saved_state import load_state, save_state
from rosetta_core.runtime.progress import Progress
from rosetta_core.steering.generator import Drawing, Pivot
from rosetta_core.steering.optimise.adam import Adam
from rosetta_core.steering.optimise.loss import Term
from rosetta_core.zoo.encoders.preprocessing import to_bytes

__all__ = ["Checkpoint", "Minimised", "OptimisationResult", "descend", "descend_for", "rate_at"]

RAMP_UP, RAMP_DOWN = 0.05, 0.25  # shares of the steps
FRAMES = 72  # of the way, evenly spaced: three seconds
LARGEST_FRAME = 256  # its side
SECONDS = 20  # between two checkpoints


@dataclass(frozen=True)
class Checkpoint:
    """Where a descent is kept while it runs.

    Attributes:
        path: of the file.
        key: of all that the result depends on; a file with another is passed over.
        seconds: between two savings.
    """

    path: Path
    key: str
    seconds: float = SECONDS

    def load(self) -> dict[str, Any] | None:
        """What was saved last, if it belongs to this very descent and is whole."""
        try:
            saved = load_state(self.path)
        except (OSError, RosettaError):  # none, or a broken one: the descent begins anew
            return None
        return saved if saved.get("key") == self.key else None

    def save(self, state: dict[str, Any]) -> None:
        """Replace what was saved."""
        save_state(self.path, {**state, "key": self.key})

    def remove(self) -> None:
        """The descent is over."""
        self.path.unlink(missing_ok=True)


class Minimised(Protocol):
    """What a descent asks of a loss; `Loss` is one."""

    @property
    def layers(self) -> list[str]:
        """The generator's layers whose maps are needed."""

    def terms(self, latents: Tensor, drawing: Drawing, *, start: Tensor) -> dict[Term, Tensor]:
        """The terms (n,) of each latent, without their weights."""

    def total(self, terms: Mapping[Term, Tensor]) -> Tensor:
        """Their weighted sum (n,), to be minimised."""


@dataclass(frozen=True)
class OptimisationResult:
    """What a descent found.

    Attributes:
        latents: (n, …) in their space.
        terms: by name the terms of the loss at the start and after every step (steps + 1, n).
        total: their weighted sum (steps + 1, n).
        frames: the images on the way (t, n, h, w, 3).
    """

    latents: Tensor
    terms: dict[Term, NDArray[np.float32]]
    total: NDArray[np.float32]
    frames: NDArray[np.uint8]


@dataclass
class _Way:
    """What is recorded of a descent while it runs."""

    terms: list[dict[Term, Tensor]] = field(default_factory=list)
    total: list[Tensor] = field(default_factory=list)
    frames: list[Tensor] = field(default_factory=list)


def rate_at(step: int, steps: int) -> float:
    """The learning rate of a step, as a share of the highest.

    Linearly up over the first 5% of the steps, as half a cosine down over the last 25%.
    """
    done = (step + 0.5) / steps
    up = min(1.0, done / RAMP_UP)
    down = 0.5 - 0.5 * math.cos(math.pi * min(1.0, (1 - done) / RAMP_DOWN))
    return up * down


def descend(
    pivot: Pivot,
    loss: Minimised,
    start: Tensor,
    *,
    steps: int,
    learning_rate: float,
    space: str = "z",
    classes: Tensor | None = None,
    checkpoint: Checkpoint | None = None,
    what: str = "descent",
) -> OptimisationResult:
    """Move a batch of latents to where the loss is least. Each goes its own way.

    Args:
        pivot: the generator, which stays as it is.
        loss: of the batch.
        start: latents (n, …) of the space.
        steps: of Adam.
        learning_rate: the highest.
        space: the latent space.
        classes: to draw (n,), for generators that have them.
        checkpoint: to go on from, and to save to.
        what: the job's name, for progress and errors.

    Raises:
        RosettaError: the loss is no number.
    """
    start = start.to(pivot.device)
    latents = start.clone().requires_grad_(True)
    adam = Adam(latents)
    way, first = _Way(), 0
    if checkpoint and (saved := checkpoint.load()):
        with torch.no_grad():
            latents.copy_(saved["latents"])
        adam.load(saved["adam"])
        way, first = _Way(saved["terms"], saved["total"], saved["frames"]), saved["step"]
    shown = set(np.linspace(0, steps, min(FRAMES, steps + 1)).round().astype(int).tolist())
    kept = time.monotonic()
    with Progress(what, total=steps, unit="steps") as progress:
        progress.advance(first)
        for step in range(first, steps + 1):
            if checkpoint and step > first and time.monotonic() - kept > checkpoint.seconds:
                state = {"latents": latents.detach().cpu(), "adam": adam.state(), "step": step}
                checkpoint.save({**state, **vars(way)})
                kept = time.monotonic()
            drawing = pivot.draw(latents, space=space, classes=classes, layers=loss.layers)
            terms = loss.terms(latents, drawing, start=start)
            total = loss.total(terms)
            way.terms.append({name: value.detach().cpu() for name, value in terms.items()})
            way.total.append(total.detach().cpu())
            if step in shown:
                way.frames.append(_frame(drawing.images))
            _refuse_nan(way.total[-1], step=step, what=what)
            if step == steps:
                break  # that was the result, looked at
            total.sum().backward()
            adam.step(learning_rate * rate_at(step, steps))
            progress.advance()
    return OptimisationResult(
        latents.detach().cpu(),
        {name: torch.stack([at[name] for at in way.terms]).numpy() for name in way.terms[0]},
        torch.stack(way.total).numpy(),
        torch.stack(way.frames).numpy(),
    )


def descend_for(
    job: config.LatentOptimisation,
    pivot: Pivot,
    loss: Minimised,
    start: Tensor,
    *,
    classes: Tensor | None,
    checkpoint: Checkpoint | None,
    what: str | None = None,
) -> OptimisationResult:
    """Move a batch of latents as a job's settings say.

    Args:
        job: the settings; its rate is the family's unless given.
        pivot: the generator, which stays as it is.
        loss: of the batch.
        start: latents (n, …) of the job's space.
        classes: to draw (n,), for generators that have them.
        checkpoint: to go on from, and to save to.
        what: the name for progress and errors; the job's unless given.

    Raises:
        RosettaError: the loss is no number.
    """
    return descend(
        pivot,
        loss,
        start,
        steps=job.steps,
        learning_rate=job.learning_rate or pivot.generator.learning_rate,
        space=job.space,
        classes=classes,
        checkpoint=checkpoint,
        what=what or job.name,
    )


def _frame(images: Tensor) -> Tensor:
    """Images as bytes (n, h, w, 3), no larger than a video shows them."""
    images = images.detach()
    largest = max(images.shape[2:])
    if largest > LARGEST_FRAME:
        size = [side * LARGEST_FRAME // largest for side in images.shape[2:]]
        images = functional.interpolate(images, size=size, mode="area")
    return to_bytes(images).cpu()


def _refuse_nan(total: Tensor, *, step: int, what: str) -> None:
    bad = torch.nonzero(~torch.isfinite(total)).flatten().tolist()
    if bad:
        raise RosettaError(
            f"{what}: the loss of latent {bad[0]} is no number after {step} steps; lower the "
            "learning rate"
        )
