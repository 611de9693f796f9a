"""Pivotal tuning: the generator's weights are fine-tuned around a latent (Roich et al., 2022).

tune           until the latent draws an image that it could only come near to
Tuned          the weights, and what they draw
tuned_pivot    a generator with these weights, to edit with
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from rosetta_core.config import steering as config
from rosetta_core.steering.generator import Drawing, Pivot
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.metrics.recovery import recovery
from rosetta_core.steering.optimise.descent import Checkpoint, descend
from rosetta_core.steering.optimise.latents import class_labels, starting_latents
from rosetta_core.steering.optimise.loss import Term
from rosetta_core.steering.optimise.result import Measure, Outcome
from rosetta_core.zoo.encoders.preprocessing import to_pixels
from rosetta_core.zoo.network import Generator, LatentSpace

__all__ = ["Tuned", "tune", "tuned_pivot"]

OTHERS = 16  # images that are to stay as they are
FIRST = 3_000_000  # number of the first of them: no start has it


@dataclass(frozen=True)
class Tuned:
    """What a tuning comes to.

    Attributes:
        weights: the network's whole state, as `load_state_dict` takes it, on a CPU.
        outcome: the image before and after, and how much other images changed.
    """

    weights: dict[str, Tensor]
    outcome: Outcome


@dataclass(frozen=True)
class _Reproduction:
    """How far images are from their target: the squared difference of pixels, and features."""

    weights: Mapping[Term, float]
    target: Tensor  # (1, 3, h, w) in -1..1
    perceptual: PerceptualDistance
    looked_at: Sequence[Tensor]

    @property
    def layers(self) -> list[str]:
        return []

    def terms(self, latents: Tensor, drawing: Drawing, *, start: Tensor) -> dict[Term, Tensor]:
        return {
            "pixels": (drawing.images - self.target).square().mean((1, 2, 3)),
            "perceptual": self.perceptual(drawing.images, self.looked_at),
        }

    def total(self, terms: Mapping[Term, Tensor]) -> Tensor:
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum(dim=0)


def tune(
    pivot: Pivot,
    job: config.PivotalTuning,
    latent: Tensor,
    image: NDArray[np.uint8],
    *,
    space: str,
    class_label: int | None,
    perceptual: PerceptualDistance,
    judge: PerceptualDistance,
    checkpoint: Checkpoint | None = None,
) -> Tuned:
    """Change the generator's weights until the latent draws the image; the latent stays.

    All parameters change, BatchNorm's running statistics don't. To Adam the weights are a latent
    of a space of their own.

    Args:
        pivot: the generator, which stays as it is.
        job: the settings.
        latent: that was found for the image (1, …), in its space.
        image: (h, w, 3), of the size that the generator draws.
        space: the latent's.
        class_label: that was drawn, for generators that have classes.
        perceptual: how alike images look, as a term of the loss.
        judge: the distance that results are measured by.
        checkpoint: to go on from, and to save to.

    Raises:
        RosettaError: the loss is no number.
    """
    classes = class_labels(pivot, class_label, count=1)
    target = to_pixels(image[None], device=pivot.device)
    loss = _Reproduction(
        {"pixels": job.pixel_weight, "perceptual": job.perceptual_weight},
        target,
        perceptual,
        perceptual.look_at(target),
    )
    parameters = dict(pivot.generator.network.named_parameters())
    found = descend(
        _drawn_by_weights(pivot, parameters, latent.to(pivot.device), space=space),
        loss,
        nn.utils.parameters_to_vector(parameters.values()).detach()[None],
        steps=job.steps,
        learning_rate=job.learning_rate,
        space="weights",
        classes=classes,
        checkpoint=checkpoint,
        what=job.name,
    )
    state = {**pivot.generator.network.state_dict(), **_parted(found.latents[0], parameters)}
    weights = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
    tuned = tuned_pivot(pivot, weights)
    before, after = (its.look(latent, space=space, classes=classes)[0] for its in (pivot, tuned))
    numbers = range(FIRST, FIRST + OTHERS)
    labels = class_labels(pivot, class_label, count=OTHERS)
    others = [
        its.look(
            starting_latents(pivot, numbers, seed=0, space=space, classes=labels),
            space=space,
            classes=labels,
        )[0]
        for its in (pivot, tuned)
    ]
    measured = {
        when: recovery(its, target, judge, device=pivot.device)
        for when, its, target in (
            ("before", before, image[None]),
            ("after", after, image[None]),
            ("of other images, before and after", others[1], others[0]),
        )
    }
    means = {
        f"{name} {when}": float(values.mean())
        for when, its in measured.items()
        for name, values in its.items()
    }
    return Tuned(
        weights,
        Outcome(
            about=f"the generator, tuned around the result of {job.source_job}",
            before=before,
            after=after,
            target=image[None],
            latents=latent.cpu().numpy(),
            best=[0],
            measures=[Measure(name, value) for name, value in means.items()],
            summary=[(name, f"{value:.3g}") for name, value in means.items()],
            descended=replace(found, latents=latent.cpu()),
        ),
    )


def tuned_pivot(pivot: Pivot, weights: Mapping[str, Tensor]) -> Pivot:
    """Return the pivot with other weights; the one given stays as it is.

    The functions of its further latent spaces have to be methods of the network, or of what
    holds it: only then does a copy of the generator draw with a copy of the network.

    Args:
        pivot: the generator, and what the run knows of its units.
        weights: the network's whole state, as `Tuned` has it.
    """
    generator = deepcopy(pivot.generator)
    generator.network.load_state_dict(weights)
    return replace(pivot, generator=generator)


class _Drawn(nn.Module):
    """Draws a latent: a module, so that other weights can be given for one call."""

    def __init__(self, generator: Generator, space: str) -> None:
        super().__init__()
        self.network = generator.network
        self.draw = generator.latent_space(space).generate

    def forward(self, latent: Tensor, classes: Tensor | None) -> Tensor:
        return self.draw(latent, classes)


def _drawn_by_weights(
    pivot: Pivot, parameters: Mapping[str, Tensor], latent: Tensor, *, space: str
) -> Pivot:
    """The generator with a latent space "weights": its own, end to end (1, weights)."""
    drawn = _Drawn(pivot.generator, space)

    def draw(weights: Tensor, classes: Tensor | None) -> Tensor:
        its = {f"network.{name}": part for name, part in _parted(weights[0], parameters).items()}
        return functional_call(drawn, its, (latent, classes))

    weights_space = LatentSpace(from_z=lambda z, _: z, generate=draw)
    return replace(
        pivot, generator=replace(pivot.generator, latent_spaces={"weights": weights_space})
    )


def _parted(vector: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A vector of all weights as parameters, by their names."""
    parts = vector.split([parameter.numel() for parameter in parameters.values()])
    return {
        name: part.view(parameter.shape)
        for (name, parameter), part in zip(parameters.items(), parts, strict=True)
    }
