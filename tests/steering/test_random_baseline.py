"""The random baseline is computed from 64 images that no restart uses."""

import numpy as np
import pytest
import torch
from affine import affine_generator

from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.metrics.random_baseline import minimum_activations, random_similarities
from rosetta_core.steering.optimise.latents import initial_latents
from rosetta_core.steering.optimise.loss import activation_loss
from rosetta_core.steering.optimise.settings import OptimisationSettings

UNITS = np.array([1, 6])


@pytest.fixture(scope="module")
def generator() -> SteeredGenerator:
    return affine_generator()


@pytest.mark.parametrize(("space", "seed"), [("z", 0), ("w", 3)])
def test_minima_are_those_of_64_random_images(
    generator: SteeredGenerator, space: str, seed: int
) -> None:
    numbers = range(1_000_000, 1_000_064)
    latents = initial_latents(generator, numbers, seed=seed, space=space, classes=None)
    _, maps = generator.render(latents, space=space, classes=None)
    minimum = minimum_activations(generator, space=space, seed=seed)
    assert list(minimum) == ["first", "second"]
    for layer, layer_maps in maps.items():
        np.testing.assert_allclose(minimum[layer], layer_maps.amin(dim=(0, 2, 3)), atol=1e-6)


def test_similarities_are_those_of_64_random_images(generator: SteeredGenerator) -> None:
    numbers = range(1_000_000, 1_000_064)
    latents = initial_latents(generator, numbers, seed=5, space="z", classes=None)
    _, random_maps = generator.render(latents, space="z", classes=None)
    _, maps = generator.render(generator.generator.sample_latents([0]), space="z", classes=None)
    targets = generator.targets_from_maps(maps, UNITS)
    distances = [
        (generator.standardise(random_maps, target.layer, target.channels) - target.targets)
        .square()
        .mean(dim=(1, 2, 3))
        for target in targets
    ]
    objective = activation_loss(
        generator, targets, OptimisationSettings(), similarity="distance"
    ).objective
    similarities = random_similarities(generator, objective, seed=5)
    assert similarities.shape == (64,)
    np.testing.assert_allclose(similarities, -torch.stack(distances).mean(0), rtol=1e-4)


def test_the_class_is_that_of_the_job_or_of_the_run() -> None:
    generator = affine_generator(classes=3)
    first, second = (minimum_activations(generator, class_label=label) for label in (0, 1))
    assert not np.array_equal(first["first"], second["first"])
