"""The steps of a training: AdamW, its schedule, checkpoints.

train          run the steps that are left; return how all of them went
Step           how one went
fingerprint    a recipe in one word, without what changes neither weights nor losses
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from timm.optim import param_groups_weight_decay
from timm.scheduler import CosineLRScheduler
from torch import Tensor, nn

from rosetta_core.errors import RosettaError
from rosetta_core.io.saved_state import load_state, save_state
from rosetta_core.mining.sampling.generator import image_seed
from rosetta_core.runtime.progress import Progress, log
from rosetta_core.training.images import TrainingImages
from rosetta_core.training.masked_autoencoder import MaskedAutoencoder
from rosetta_core.training.precision import mixed_precision
from rosetta_core.training.recipe import Recipe
from rosetta_core.training.self_distillation import SelfDistillation
from rosetta_core.training.views import Views
from rosetta_core.validation import to_json

__all__ = ["Step", "fingerprint", "train"]

Method = MaskedAutoencoder | SelfDistillation
# keys of a recipe that change neither weights nor losses
WITHOUT_EFFECT = {"name", "results", "resources", "device", "checkpoint_every", "probes"}


class Step(NamedTuple):
    """How a step went."""

    loss: float
    learning_rate: float
    seconds: float


def train(
    method: Method,
    recipe: Recipe,
    *,
    images: TrainingImages,
    views: Views,
    normalise: Callable[[Tensor], Tensor],
    checkpoint: Path,
    device: torch.device,
) -> list[Step]:
    """Train a method, from its checkpoint if there is one; return how every step went.

    A step depends on the recipe and its number alone, so that a training that was stopped and went
    on ends as one that wasn't.

    Args:
        method: on `device`.
        recipe: steps, batch size, optimiser, seed.
        images: by running number.
        views: what of them is seen.
        normalise: turns bytes (n, 3, h, w) into what the encoder takes.
        checkpoint: the file where the state is kept; there is none after the last step.
        device: where it runs. Where it has units for it, matrices are multiplied in bfloat16.

    Raises:
        RosettaError: the checkpoint is of another recipe, or the loss is no number any more.
    """
    parameters = param_groups_weight_decay(method, recipe.weight_decay)
    optimiser = torch.optim.AdamW(
        parameters, lr=recipe.learning_rate, betas=(recipe.betas[0], recipe.betas[1])
    )
    schedule = CosineLRScheduler(
        optimiser,
        t_initial=recipe.steps,
        warmup_t=round(recipe.warmup * recipe.steps),
        warmup_prefix=False,
        t_in_epochs=False,
    )
    steps = _resume(checkpoint, recipe, method, optimiser)
    precision = mixed_precision(method, device)
    method.train()
    with Progress(f"training {recipe.name}", total=recipe.steps, unit="steps") as progress:
        progress.advance(len(steps))
        for step in range(len(steps), recipe.steps):
            started = time.perf_counter()
            schedule.step_update(step)
            batch = images.batch(range(step * recipe.batch_size, (step + 1) * recipe.batch_size))
            with torch.random.fork_rng():
                torch.manual_seed(image_seed(recipe.seed, step))
                seen = [normalise(view.to(device)) for view in views(batch.cpu())]
                with precision:
                    loss = method(seen)
            if not loss.isfinite():
                raise RosettaError(
                    f"{recipe.name}: the loss is {loss.item()} at step {step}; lower learning_rate"
                )
            optimiser.zero_grad()
            loss.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(method.parameters(), recipe.clip)
            method.before_step(step / recipe.steps)
            optimiser.step()
            method.after_step(step / recipe.steps)
            rate = optimiser.param_groups[0]["lr"]
            steps.append(Step(loss.item(), rate, time.perf_counter() - started))
            progress.advance()
            if len(steps) % recipe.checkpoint_every == 0:
                _keep(checkpoint, recipe, method, optimiser, steps)
                log.info("%s", _how_far(recipe, steps))
    return steps


def _how_far(recipe: Recipe, steps: Sequence[Step]) -> str:
    """A line for a log: the loss, and how long the rest takes at the pace of late."""
    late = steps[-recipe.checkpoint_every :]
    loss, pace = (sum(getattr(s, key) for s in late) / len(late) for key in ("loss", "seconds"))
    left = (recipe.steps - len(steps)) * pace / 60
    return (
        f"{recipe.name}: step {len(steps):,} of {recipe.steps:,}, loss {loss:.3f}, "
        f"{pace:.2f} s a step, {left:.0f} minutes left"
    )


def fingerprint(recipe: Recipe) -> str:
    """A recipe in one word, without what changes neither weights nor losses."""
    content = to_json(recipe.model_dump(mode="json", exclude=WITHOUT_EFFECT))
    return hashlib.sha256(content.encode()).hexdigest()


def _keep(
    checkpoint: Path,
    recipe: Recipe,
    method: Method,
    optimiser: torch.optim.Optimizer,
    steps: Sequence[Step],
) -> None:
    state: dict[str, Any] = {
        "recipe": fingerprint(recipe),
        "method": method.state_dict(),
        "optimiser": optimiser.state_dict(),
        "steps": [tuple(step) for step in steps],
    }
    save_state(checkpoint, state)


def _resume(
    checkpoint: Path, recipe: Recipe, method: Method, optimiser: torch.optim.Optimizer
) -> list[Step]:
    if not checkpoint.is_file():
        return []
    state = load_state(checkpoint)
    if state["recipe"] != fingerprint(recipe):
        raise RosettaError(
            f"{checkpoint}: is of another recipe; delete it to begin anew, or give this training "
            "another name"
        )
    method.load_state_dict(state["method"])
    optimiser.load_state_dict(state["optimiser"])
    return [Step(*step) for step in state["steps"]]
