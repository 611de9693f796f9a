"""Activation maximisation raises units to a target and reports their true activity."""

import numpy as np
import pytest
import torch
from affine import affine_generator

from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.jobs.activation_maximisation import maximise_activation
from rosetta_core.steering.optimise.latents import initial_latents
from rosetta_core.steering.optimise.result import JobResult
from rosetta_core.steering.optimise.settings import OptimisationSettings
from rosetta_core.steering.result_reader import ACTIVITY_AFTER, ACTIVITY_BEFORE

UNITS = np.array([0, 6])  # one of each layer


@pytest.fixture(scope="module")
def generator() -> SteeredGenerator:
    return affine_generator()


def mean_activity(generator: SteeredGenerator, latents: torch.Tensor) -> np.ndarray:
    """Mean standardised map of the units (n,), by definition."""
    _, maps = generator.render(latents, space="z", classes=None)
    table = generator.units.set_index("unit").loc[UNITS]
    values = [
        (maps[unit.layer][:, unit.channel].double().mean(dim=(1, 2)) - unit.mean) / unit.std
        for unit in table.itertuples()
    ]
    return torch.stack(values).mean(dim=0).numpy()


def activity(generator: SteeredGenerator, latents: torch.Tensor) -> np.ndarray:
    """Activity (n,) in standard deviations over 64 random images."""
    numbers = range(1_000_000, 1_000_064)
    random = initial_latents(generator, numbers, seed=4, space="z", classes=None)
    baseline = mean_activity(generator, random)
    return (mean_activity(generator, latents) - baseline.mean()) / baseline.std()


def maximise(generator: SteeredGenerator, *, target_std: float, **settings: object) -> JobResult:
    given = {"restarts": 6, "seed": 4, "regulariser": "start", **settings}
    return maximise_activation(
        generator,
        UNITS,
        target_std=target_std,
        settings=OptimisationSettings(**given),
        label="two units",
    )


def by_restart(result: JobResult, metric: str) -> np.ndarray:
    table = result.table[result.table["metric"] == metric]
    return table.set_index("restart")["value"].sort_index().to_numpy()


def test_activity_is_reported_without_the_cap_of_the_loss(generator: SteeredGenerator) -> None:
    result = maximise(generator, target_std=0.1, steps=2)
    start = initial_latents(generator, range(6), seed=4, space="z", classes=None)
    before = activity(generator, start)
    np.testing.assert_allclose(by_restart(result, ACTIVITY_BEFORE), before, atol=1e-4)
    after = activity(generator, torch.from_numpy(result.latents))
    np.testing.assert_allclose(by_restart(result, ACTIVITY_AFTER), after, atol=1e-4)
    assert before.max() > 0.2  # above the cap, or the test would be empty
    moved = ((result.latents - start.numpy()) ** 2).mean(axis=1)
    distances = by_restart(result, "mean squared distance to the starting latent")
    np.testing.assert_allclose(distances, moved, rtol=1e-4, atol=1e-9)


def test_units_reach_the_target_and_go_no_further(generator: SteeredGenerator) -> None:
    result = maximise(generator, target_std=2.0, steps=300, regulariser_weight=1.0)
    assert by_restart(result, ACTIVITY_BEFORE).max() < 1
    np.testing.assert_allclose(by_restart(result, ACTIVITY_AFTER), 2, atol=0.02)


def test_results_are_ordered_by_activity_then_by_increase(generator: SteeredGenerator) -> None:
    result = maximise(generator, target_std=3.0, steps=5)
    after = by_restart(result, ACTIVITY_AFTER)
    assert list(result.best) == np.argsort(-after).tolist() != list(range(6))
    images, _ = generator.render(torch.from_numpy(result.latents), space="z", classes=None)
    assert np.array_equal(result.after, images[list(result.best)])
    start = initial_latents(generator, range(6), seed=4, space="z", classes=None)
    images, _ = generator.render(start, space="z", classes=None)
    assert np.array_equal(result.before, images[list(result.best)])
    best = result.table[result.table["best"]]
    assert best["restart"].unique().tolist() == [result.best[0]]
    assert list(result.panels) == [f"start {row}" for row in result.best]


def test_equally_active_results_are_ordered_by_increase(generator: SteeredGenerator) -> None:
    result = maximise(generator, target_std=2.0, steps=300, regulariser_weight=1.0)
    before, after = by_restart(result, ACTIVITY_BEFORE), by_restart(result, ACTIVITY_AFTER)
    at_target = [row for row in result.best if round(after[row], 3) == 2.0]
    assert len(at_target) > 1
    increases = [after[row] - before[row] for row in at_target]
    assert increases == sorted(increases, reverse=True)


def test_maps_of_the_first_unit_are_drawn_with_its_images(generator: SteeredGenerator) -> None:
    result = maximise(generator, target_std=3.0, steps=5)
    row = result.best[0]
    _, maps = generator.render(torch.from_numpy(result.latents[[row]]), space="z", classes=None)
    expected = generator.standardise(maps, "first", np.array([0]))[0, 0]
    before, after = result.panels[f"start {row}"]
    np.testing.assert_allclose(after.map, expected, atol=1e-4)
    assert np.array_equal(after.image, result.after[0])
    assert np.array_equal(before.image, result.before[0])
    assert result.columns == ["first/0, before", "after"]
    assert result.about == "random images, optimised to raise two units by 3 std"
