"""A show says how active the units were and are, also where they had been active enough."""

import numpy as np
import torch
from affine import affine_pivot

from rosetta_core.config.steering import ActivationMaximisation
from rosetta_core.steering.jobs.activation_maximisation import show
from rosetta_core.steering.metrics.random_baseline import similarity_of_random_images
from rosetta_core.steering.optimise.latents import starting_latents
from rosetta_core.steering.optimise.objective import MapTarget, Objective


def test_activity_is_what_it_is_and_not_what_the_loss_counts_of_it() -> None:
    pivot, job = (
        affine_pivot(),
        ActivationMaximisation(name="show", unit="first/0", target_std=0.1, steps=2, restarts=6),
    )
    found = show(pivot, job, np.array([0]), what="a unit").metrics.set_index("start")
    grid = pivot.grids["first"]

    def activity(latents: torch.Tensor) -> np.ndarray:
        ones = MapTarget("first", np.array([0]), torch.ones(1, 1, *grid), torch.ones(1, 1))
        objective = Objective(
            [ones], grids=pivot.grids, moments=pivot.moments, similarity="dataset"
        )
        random = similarity_of_random_images(pivot, job, objective)
        every = [pivot.look(z, space="z", classes=None)[1] for z in latents.split(1)]
        values = np.array([float(objective(maps)) for maps in every])
        return (values - random.mean()) / random.std()

    expected = activity(starting_latents(pivot, range(6), seed=0, space="z", classes=None))
    before = found[found["metric"].str.startswith("activity before")]["value"].sort_index()
    np.testing.assert_allclose(before, expected, atol=1e-4)
    assert expected.max() > 2 * job.target_std  # or nothing would be tested
