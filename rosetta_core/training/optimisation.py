"""Training loop: AdamW, learning-rate schedule, mixed precision and checkpoints.

A step depends on the seed and its number alone, so a resumed training ends with the same weights as
an uninterrupted one. Matrices are multiplied in bfloat16 where the device has units for it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from timm.layers.attention import Attention
from timm.optim import param_groups_weight_decay
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn

from rosetta_core.errors import RosettaError
from rosetta_core.io.saved_state import load_state, save_state
from rosetta_core.mining.sampling.generator import image_seed
from rosetta_core.runtime.machine import cpu_flags
from rosetta_core.runtime.progress import Progress, log
from rosetta_core.training.construction import Method
from rosetta_core.training.images import ImageSource, Views

__all__ = ["Checkpoint", "Step", "mixed_precision", "multiplies_bfloat16", "train"]

# the kernel's names of units for bfloat16: Intel and AMD, Intel's matrix units, ARM
BFLOAT16_UNITS = {"avx512_bf16", "amx_bf16", "bf16"}


class Step(NamedTuple):
    """Loss, learning rate and duration of a step."""

    loss: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Checkpoint:
    """Where and how often the state of a training is saved.

    Attributes:
        path: file of the state.
        recipe: fingerprint of the recipe; the state of another recipe is refused.
        every: steps between checkpoints.
    """

    path: Path
    recipe: str
    every: int


def train(
    method: Method,
    images: ImageSource,
    *,
    views: Views,
    normalise: Callable[[Tensor], Tensor],
    steps: int,
    batch_size: int,
    learning_rate: float,
    warmup: float,
    weight_decay: float,
    betas: Sequence[float],
    clip: float | None,
    seed: int,
    device: torch.device,
    checkpoint: Checkpoint,
    name: str = "training",
) -> list[Step]:
    """Train a method, from its checkpoint if there is one; return all steps.

    Args:
        method: the method around its encoder, on `device`.
        images: training images by running number.
        views: function from images to the views of the loss.
        normalise: function from bytes (n, 3, h, w) to the encoder's input.
        steps: number of AdamW steps.
        batch_size: images per step.
        learning_rate: highest learning rate.
        warmup: share of the steps in which the learning rate rises; then it falls along a cosine.
        weight_decay: weight decay of matrices.
        betas: betas of AdamW.
        clip: largest gradient norm; None: no clipping.
        seed: seed of views and masks.
        device: compute device.
        checkpoint: saved state; the caller deletes it when the results are written.
        name: name of the training in logs and errors.

    Raises:
        RosettaError: the checkpoint belongs to another recipe, or the loss is NaN or infinite.
    """
    parameters = param_groups_weight_decay(method, weight_decay)
    optimiser = torch.optim.AdamW(parameters, lr=learning_rate, betas=(betas[0], betas[1]))
    schedule = CosineLRScheduler(
        optimiser,
        t_initial=steps,
        warmup_t=round(warmup * steps),
        warmup_prefix=False,
        t_in_epochs=False,
    )
    done = _resume(checkpoint, method, optimiser)
    precision = mixed_precision(method, device)
    method.train()
    with Progress(f"training {name}", total=steps, unit="steps") as progress:
        progress.advance(len(done))
        for step in range(len(done), steps):
            started = time.perf_counter()
            schedule.step_update(step)
            batch = images.batch(range(step * batch_size, (step + 1) * batch_size))
            with torch.random.fork_rng():
                torch.manual_seed(image_seed(seed, step))
                inputs = [normalise(view.to(device)) for view in views(batch.cpu())]
                with precision:
                    loss = method(inputs)
            if not loss.isfinite():
                raise RosettaError(
                    f"{name}: loss is NaN or infinite at step {step}; lower learning_rate"
                )
            optimiser.zero_grad()
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(method.parameters(), clip)
            method.before_step(step / steps)
            optimiser.step()
            method.after_step(step / steps)
            rate = optimiser.param_groups[0]["lr"]
            done.append(Step(loss.item(), rate, time.perf_counter() - started))
            progress.advance()
            if len(done) % checkpoint.every == 0:
                _save(checkpoint, method, optimiser, done)
                log.info("%s: %s", name, _summary(done, last=checkpoint.every, steps=steps))
    return done


def _summary(done: Sequence[Step], *, last: int, steps: int) -> str:
    """Return a log line with the mean loss and pace of the last steps, and the time left."""
    recent = done[-last:]
    loss, pace = (sum(getattr(s, key) for s in recent) / last for key in ("loss", "seconds"))
    minutes = (steps - len(done)) * pace / 60
    return (
        f"step {len(done):,} of {steps:,}, loss {loss:.3f}, {pace:.2f} s per step, "
        f"{minutes:.0f} minutes left"
    )


def _save(
    checkpoint: Checkpoint, method: Method, optimiser: torch.optim.Optimizer, done: Sequence[Step]
) -> None:
    state: dict[str, Any] = {
        "recipe": checkpoint.recipe,
        "method": method.state_dict(),
        "optimiser": optimiser.state_dict(),
        "steps": [tuple(step) for step in done],
    }
    save_state(checkpoint.path, state)


def _resume(checkpoint: Checkpoint, method: Method, optimiser: torch.optim.Optimizer) -> list[Step]:
    """Load the state of a checkpoint if there is one; return the steps done."""
    if not checkpoint.path.is_file():
        return []
    state = load_state(checkpoint.path)
    if state["recipe"] != checkpoint.recipe:
        raise RosettaError(
            f"{checkpoint.path}: belongs to another recipe; delete it to start again, or give this "
            "training another name"
        )
    method.load_state_dict(state["method"])
    optimiser.load_state_dict(state["optimiser"])
    return [Step(*step) for step in state["steps"]]


def multiplies_bfloat16(device: torch.device) -> bool:
    """Return whether a device has bfloat16 units; without them bfloat16 is slower than float32."""
    return device.type == "cuda" or not BFLOAT16_UNITS.isdisjoint(cpu_flags())


def mixed_precision(method: nn.Module, device: torch.device) -> torch.autocast:
    """Return the reusable context in which the loss of a step is computed.

    On a CPU torch's fused attention takes six times as long backwards in bfloat16 as in float32, so
    timm's attention is switched to its unfused form.
    """
    enabled = multiplies_bfloat16(device)
    if enabled and device.type == "cpu":
        for module in method.modules():
            if isinstance(module, Attention):
                module.fused_attn = False  # type: ignore[misc]  # final for TorchScript only
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
