"""Steering from Python gives the numbers of the workflow's jobs."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from conftest import LAYERS, ROOT, STEERING, Checkout
from safetensors.torch import load_file

import rosetta_core as rosetta
from rosetta_core.steering.result_reader import (
    TUNED_WEIGHTS,
    read_arrays,
    read_latent,
    read_metrics,
)

FACE = STEERING["invert"][0]["image"]
FEW: dict[str, Any] = {"steps": 4, "restarts": 2}


def assert_same(finished: Checkout, job: str, result: rosetta.SteeringResult) -> None:
    folder = finished.run / job
    arrays, images = read_arrays(folder / "latents.npz"), read_arrays(folder / "images.npz")
    assert np.array_equal(result.latents, arrays["latents"][arrays["best"]])
    assert np.array_equal(result.images, images["after"])
    assert np.array_equal(result.before, images["before"])
    found, expected = result.restart_measures, read_metrics(folder)
    columns = ["restart", "best", "metric", "value"]
    pd.testing.assert_frame_equal(found[columns], expected[columns])


def test_a_run_s_methods_give_its_jobs_bit_for_bit(finished: Checkout) -> None:
    run = rosetta.open_run(finished.run)
    inverted = run.invert(FACE, **FEW)
    assert_same(finished, "inversions/astronaut", inverted)
    assert_same(finished, "shows/strongest", run.show(0, **FEW))
    tuned = run.tune(inverted, steps=2)
    assert_same(finished, "tunings/tuned", tuned)
    weights = load_file(finished.run / "tunings/tuned" / TUNED_WEIGHTS)
    state = tuned.generator.network.network.state_dict()
    assert set(state) == set(weights)
    assert all(torch.equal(state[name], value) for name, value in weights.items())
    shifted = run.edit(tuned, "shift", generator=tuned.generator, steps=4)
    assert_same(finished, "edits/shifted", shifted)


def test_a_result_in_memory_gives_the_run_s_jobs(finished: Checkout) -> None:
    """Means and deviations are sums in another order than over shards: last bits differ."""
    run = rosetta.open_run(finished.run)
    resources = str(ROOT / "resources")
    pivot, *encoders = (
        rosetta.load_model(name, layers=LAYERS[name], device="cpu", resources=resources)
        for name in run.models
    )
    mined = rosetta.mine(pivot, encoders, rosetta.sample(pivot, 16))
    found = mined.invert(FACE, **FEW)
    expected = read_latent(finished.run / "inversions/astronaut")
    print("largest difference", np.abs(found.latents - expected).max())
    assert np.allclose(found.latents, expected, rtol=0, atol=1e-5)
