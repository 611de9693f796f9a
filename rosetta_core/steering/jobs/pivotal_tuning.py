"""Pivotal tuning: fine-tuning of the generator around a latent (Roich et al., 2022).

The latent is fixed; all parameters of the network change until it produces an image that no latent
of the original network produces exactly. Running statistics of BatchNorm do not change.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from rosetta_core.steering.generator import GeneratedImages, SteeredGenerator
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.metrics.reconstruction import reconstruction_metrics
from rosetta_core.steering.optimise.gradient_descent import Checkpoint, optimise
from rosetta_core.steering.optimise.latents import class_labels, initial_latents
from rosetta_core.steering.optimise.loss import Term, check_distance
from rosetta_core.steering.optimise.result import JobResult, MetricValue
from rosetta_core.steering.optimise.stopping import Stopping
from rosetta_core.zoo.encoders.preprocessing import to_pixels
from rosetta_core.zoo.network import Generator, LatentSpace

__all__ = ["TuningResult", "tune", "tuned_generator"]

OTHER_IMAGES = 16  # random images that measure how much the generator changed elsewhere
FIRST_NUMBER = 3_000_000  # number of the first of their latents


@dataclass(frozen=True)
class TuningResult:
    """Result of a tuning.

    Attributes:
        weights: state of the network, for `load_state_dict`, on the CPU.
        result: the image before and after, and the change of other images.
    """

    weights: dict[str, Tensor]
    result: JobResult


@dataclass(frozen=True)
class _ReconstructionLoss:
    """Weighted sum of the mean squared pixel difference and a perceptual distance."""

    weights: Mapping[Term, float]
    target: Tensor  # (1, 3, h, w) in -1..1
    distance: PerceptualDistance | None
    target_features: Sequence[Tensor]

    @property
    def layers(self) -> list[str]:
        return []

    def terms(
        self, latents: Tensor, generated: GeneratedImages, *, start: Tensor
    ) -> dict[Term, Tensor]:
        terms: dict[Term, Tensor] = {
            "pixels": (generated.images - self.target).square().mean((1, 2, 3))
        }
        if self.distance is not None:
            terms["perceptual"] = self.distance(generated.images, self.target_features)
        return terms

    def total(self, terms: Mapping[Term, Tensor]) -> Tensor:
        return torch.stack([self.weights[name] * value for name, value in terms.items()]).sum(dim=0)


def tune(
    generator: SteeredGenerator,
    latent: Tensor,
    image: NDArray[np.uint8],
    *,
    loss_distance: PerceptualDistance | None = None,
    evaluation_distance: PerceptualDistance | None = None,
    steps: int = 200,
    learning_rate: float = 0.0003,
    pixel_weight: float = 1.0,
    perceptual_weight: float = 1.0,
    space: str = "z",
    class_label: int | None = None,
    checkpoint: Checkpoint | None = None,
    stopping: Stopping | None = None,
    name: str = "tuning",
    title: str = "an inversion",
) -> TuningResult:
    """Change the generator's weights until a latent produces an image.

    Args:
        generator: the generator, which does not change.
        latent: latent of the image (1, …), in its space.
        image: image (h, w, 3), of the size of the generator's images.
        loss_distance: perceptual distance in the loss; None if its weight is 0.
        evaluation_distance: perceptual distance that measures the results, if any.
        steps: number of Adam steps.
        learning_rate: peak learning rate of the weights.
        pixel_weight: weight of the mean squared pixel difference.
        perceptual_weight: weight of the perceptual distance.
        space: latent space of the latent.
        class_label: class of the image; None for the generator's default class.
        checkpoint: file to resume from and to save to.
        stopping: callback, which receives the latent, and early stopping; None for neither.
        name: name of the job, for progress and errors.
        title: the origin of the latent in a few words.

    Raises:
        RosettaError: the loss is not finite, or a perceptual distance is missing.
    """
    check_distance(loss_distance, weight=perceptual_weight)
    classes = class_labels(generator, class_label, count=1)
    target = to_pixels(image[None], device=generator.device)
    loss = _ReconstructionLoss(
        {"pixels": pixel_weight, "perceptual": perceptual_weight},
        target,
        loss_distance,
        () if loss_distance is None else loss_distance.features(target),
    )
    parameters = dict(generator.generator.network.named_parameters())
    optimised = optimise(
        _generator_of_weights(generator, parameters, latent.to(generator.device), space=space),
        loss,
        nn.utils.parameters_to_vector(parameters.values()).detach()[None],
        steps=steps,
        learning_rate=learning_rate,
        space="weights",
        classes=classes,
        checkpoint=checkpoint,
        stopping=stopping and stopping.with_latents(latent),
        name=name,
    )
    state = {
        **generator.generator.network.state_dict(),
        **_split(optimised.latents[0], parameters),
    }
    weights = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
    tuned = tuned_generator(generator, weights)
    before, after = (g.render(latent, space=space, classes=classes)[0] for g in (generator, tuned))
    other_classes = class_labels(generator, class_label, count=OTHER_IMAGES)
    numbers = range(FIRST_NUMBER, FIRST_NUMBER + OTHER_IMAGES)
    others_before, others_after = (
        g.render(
            initial_latents(g, numbers, seed=0, space=space, classes=other_classes),
            space=space,
            classes=other_classes,
        )[0]
        for g in (generator, tuned)
    )
    metrics = {
        f"{metric} {suffix}": float(values.mean())
        for suffix, images, targets in (
            ("before", before, image[None]),
            ("after", after, image[None]),
            ("of other images before and after", others_after, others_before),
        )
        for metric, values in reconstruction_metrics(
            images, targets, evaluation_distance, device=generator.device
        ).items()
    }
    return TuningResult(
        weights,
        JobResult(
            about=f"the generator, tuned around {title}",
            before=before,
            after=after,
            target=image[None],
            latents=latent.cpu().numpy(),
            best=[0],
            metrics=[MetricValue(metric, value) for metric, value in metrics.items()],
            summary=[(metric, f"{value:.3g}") for metric, value in metrics.items()],
            optimisation=replace(optimised, latents=latent.cpu()),
        ),
    )


def tuned_generator(generator: SteeredGenerator, weights: Mapping[str, Tensor]) -> SteeredGenerator:
    """Return a copy of the generator with other weights.

    Functions of further latent spaces have to be methods of the network or of an object that holds
    it: only then does the copy of the generator use the copy of the network.

    Args:
        generator: the generator, which does not change.
        weights: state of the network, as in `TuningResult`.
    """
    copy = deepcopy(generator.generator)
    copy.network.load_state_dict(weights)
    return replace(generator, generator=copy)


class _LatentToImage(nn.Module):
    """The generator's path from a latent to an image, as a module for `functional_call`."""

    def __init__(self, generator: Generator, space: str) -> None:
        super().__init__()
        self.network = generator.network
        self.generate = generator.latent_space(space).generate

    def forward(self, latent: Tensor, classes: Tensor | None) -> Tensor:
        return self.generate(latent, classes)


def _generator_of_weights(
    generator: SteeredGenerator, parameters: Mapping[str, Tensor], latent: Tensor, *, space: str
) -> SteeredGenerator:
    """Return the generator with a latent space "weights": all parameters as one vector (1, …)."""
    path = _LatentToImage(generator.generator, space)

    def generate(weights: Tensor, classes: Tensor | None) -> Tensor:
        state = {f"network.{name}": part for name, part in _split(weights[0], parameters).items()}
        return functional_call(path, state, (latent, classes))

    weights_space = LatentSpace(from_z=lambda z, _: z, generate=generate)
    return replace(
        generator,
        generator=replace(
            generator.generator,
            latent_spaces={"weights": weights_space},
            output_range=None,  # its images are converted already
        ),
    )


def _split(vector: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the parts of a vector of all weights, in the shapes of the parameters, by name."""
    parts = vector.split([parameter.numel() for parameter in parameters.values()])
    return {
        name: part.view(parameter.shape)
        for (name, parameter), part in zip(parameters.items(), parts, strict=True)
    }
