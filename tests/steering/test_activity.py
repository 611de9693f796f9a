"""How active units are, and how far they are from that, is as defined."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from affine import affine_generator
from torch import Tensor

from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.optimise.activity import ActivityPenalty, unit_activity
from rosetta_core.steering.optimise.latents import latents_from_seeds

UNITS = np.array([1, 2, 6])


@pytest.fixture(scope="module")
def generator() -> SteeredGenerator:
    return affine_generator(enlarged=2)


def activation_source(generator: SteeredGenerator, *seeds: int) -> Mapping[str, Tensor]:
    latents = latents_from_seeds(generator, list(seeds), space="z", classes=None)
    with torch.no_grad():
        return generator.generate(
            latents, space="z", classes=None, layers=list(generator.grids)
        ).maps


def means_of(generator: SteeredGenerator, maps: Mapping[str, Tensor]) -> np.ndarray:
    """The means of the units' maps (n, u), in their std, one by one."""
    table = generator.units.set_index("unit").loc[UNITS]
    return np.stack(
        [maps[u.layer][:, u.channel].double().mean(dim=(1, 2)) / u.std for u in table.itertuples()],
        axis=1,
    )


def test_activity_is_the_mean_above_the_least(generator: SteeredGenerator) -> None:
    maps = activation_source(generator, 3)
    lowest = {
        layer: its[0].amin(dim=(1, 2)).numpy() - np.float32(0.5) for layer, its in maps.items()
    }
    table = generator.units.set_index("unit").loc[UNITS]
    least = np.array([lowest[u.layer][u.channel] / u.std for u in table.itertuples()])
    found = unit_activity(generator, maps, units=UNITS, minimum=lowest)
    np.testing.assert_allclose(found, means_of(generator, maps)[0] - least, rtol=1e-5)
    assert (found > 0).all()


def test_held_is_the_mean_change_of_all_units(generator: SteeredGenerator) -> None:
    held = ActivityPenalty(generator, activation_source(generator, 3), units=UNITS)
    assert held.layers == ["first", "second"]
    others = activation_source(generator, 3, 4, 5)
    before, after = (
        means_of(generator, activation_source(generator, 3)),
        means_of(generator, others),
    )
    expected = np.abs(after - before).mean(axis=1)
    np.testing.assert_allclose(held(others), expected, rtol=1e-4, atol=1e-6)
    assert (expected[1:] > 0.01).all()


def test_where_activity_is_makes_no_difference(generator: SteeredGenerator) -> None:
    maps = activation_source(generator, 3)
    held = ActivityPenalty(generator, maps, units=UNITS)
    moved = {layer: its.roll((1, 2), dims=(2, 3)) for layer, its in maps.items()}
    assert float(held(moved)) == pytest.approx(0, abs=1e-6)


def test_its_gradient_leaves_other_units_alone(generator: SteeredGenerator) -> None:
    held = ActivityPenalty(generator, activation_source(generator, 3), units=UNITS)
    maps = {layer: its.requires_grad_() for layer, its in activation_source(generator, 4).items()}
    held(maps).sum().backward()
    table = generator.units.set_index("unit")
    for unit, row in table.iterrows():
        slope = maps[row.layer].grad[0, row.channel]
        expected = 1 / (row["std"] * len(UNITS) * slope.numel()) if unit in UNITS else 0
        np.testing.assert_allclose(slope.abs(), expected, rtol=1e-4)
