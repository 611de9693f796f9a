"""A tuned generator draws the image, and the one that it was made from stays as it was."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from steered import CPU, CallsLeft, Interrupted, distances_of, photograph, pivot_of
from torch import Tensor

from rosetta_core.config import Config
from rosetta_core.config.steering import PivotalTuning
from rosetta_core.errors import RosettaError
from rosetta_core.steering.generator import Pivot
from rosetta_core.steering.jobs.pivotal_tuning import Tuned, tune, tuned_pivot
from rosetta_core.steering.metrics.perceptual import FeatureDistance
from rosetta_core.steering.metrics.similarity import psnr
from rosetta_core.steering.optimise.descent import Checkpoint, rate_at
from rosetta_core.steering.optimise.latents import starting_latents
from rosetta_core.zoo.encoders.preprocessing import to_pixels

JOB = PivotalTuning(name="tuned", source_job="face", steps=30, learning_rate=1e-3)


@dataclass(frozen=True)
class Made:
    """What all tunings here begin with."""

    pivot: Pivot
    perceptual: FeatureDistance
    judge: FeatureDistance
    latent: Tensor

    def tune(self, job: PivotalTuning = JOB, **changes: object) -> Tuned:
        return tune(
            self.pivot,
            job,
            self.latent,
            photograph(),
            space="z",
            class_label=None,
            judge=self.judge,
            **{"perceptual": self.perceptual, **changes},
        )


@pytest.fixture(scope="module")
def made(weights: Config) -> Made:
    pivot = pivot_of(weights)
    latent = pivot.generator.sample_latents([7])
    return Made(pivot, *distances_of(weights), latent)


@pytest.fixture(scope="module")
def tuned(made: Made) -> Tuned:
    before = deepcopy(made.pivot.generator.network.state_dict())
    tuned = made.tune()
    for name, tensor in made.pivot.generator.network.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not any(p.requires_grad for p in made.pivot.generator.network.parameters())
    return tuned


def test_tuning_reproduces_the_image(tuned: Tuned) -> None:
    its = tuned.outcome.metrics.set_index("metric")["value"]
    distance = "features of efficientnet_lite0"
    assert its[f"{distance} after"] < 0.5 * its[f"{distance} before"]
    assert its["PSNR (dB) after"] > its["PSNR (dB) before"] + 6
    total = tuned.outcome.descended.total
    assert total.shape == (31, 1) and total[-1] < 0.2 * total[0]
    assert np.array_equal(tuned.outcome.target[0], photograph())
    assert its["PSNR (dB) after"] == psnr(tuned.outcome.after[0], photograph())


def test_the_latent_stays(made: Made, tuned: Tuned) -> None:
    assert np.array_equal(tuned.outcome.latents, made.latent.numpy())
    assert torch.equal(tuned.outcome.descended.latents, made.latent)
    image, _ = made.pivot.look(made.latent, space="z", classes=None)
    assert np.array_equal(tuned.outcome.before, image)


def test_all_weights_change_and_no_statistics(made: Made, tuned: Tuned) -> None:
    network = made.pivot.generator.network
    parameters = dict(network.named_parameters())
    assert list(tuned.weights) == list(network.state_dict())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, tuned.weights[name]) == (name not in parameters)


def test_weights_are_written_and_steered_with(made: Made, tuned: Tuned, tmp_path: Path) -> None:
    save_file(tuned.weights, tmp_path / "generator.safetensors")
    pivot = tuned_pivot(made.pivot, load_file(tmp_path / "generator.safetensors"))
    image, maps = pivot.look(made.latent, space="z", classes=None)
    assert np.array_equal(image, tuned.outcome.after)
    _, own = made.pivot.look(made.latent, space="z", classes=None)
    assert maps.keys() == own.keys()
    assert not any(torch.equal(maps[layer], own[layer]) for layer in maps)


def test_weights_are_those_of_adam_on_a_copy_of_the_network(made: Made) -> None:
    job = PivotalTuning(
        name="t",
        source_job="a",
        steps=6,
        learning_rate=1e-3,
        pixel_weight=2.0,
        perceptual_weight=0.5,
    )
    network = deepcopy(made.pivot.generator.network).eval().requires_grad_(True)
    adam = torch.optim.Adam(network.parameters())
    target = to_pixels(photograph()[None], device=CPU)
    looked_at = made.perceptual.look_at(target)
    for step in range(6):
        adam.param_groups[0]["lr"] = 1e-3 * rate_at(step, 6)
        image = network(made.latent)
        loss = 2 * torch.nn.functional.mse_loss(image, target)
        loss = loss + 0.5 * made.perceptual(image, looked_at)[0]
        adam.zero_grad()
        loss.backward()
        adam.step()
    found = made.tune(job).weights
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-4)
    image, _ = tuned_pivot(made.pivot, found).look(made.latent, space="z", classes=None)
    own = network(made.latent).detach().numpy()
    assert np.abs(to_pixels(image, device=CPU).numpy() - own).max() < 0.02


def test_other_images_change_less_the_slower_it_is_tuned(made: Made, tuned: Tuned) -> None:
    numbers = range(3_000_000, 3_000_016)
    latents = starting_latents(made.pivot, numbers, seed=0, space="z", classes=None)
    pivots = (made.pivot, tuned_pivot(made.pivot, tuned.weights))
    before, after = (pivot.look(latents, space="z", classes=None)[0] for pivot in pivots)
    name = "PSNR (dB) of other images, before and after"
    its = tuned.outcome.metrics.set_index("metric")["value"]
    assert its[name] == pytest.approx(
        np.mean([psnr(*pair) for pair in zip(after, before, strict=True)])
    )
    slower = made.tune(JOB.model_copy(update={"learning_rate": 1e-4}))
    assert slower.outcome.metrics.set_index("metric")["value"][name] > its[name] + 3


def test_it_goes_on_where_it_was_interrupted(made: Made, tuned: Tuned, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "kept", "key", seconds=0)
    with pytest.raises(Interrupted):
        made.tune(perceptual=CallsLeft(made.perceptual, 12), checkpoint=checkpoint)
    left = CallsLeft(made.perceptual, 100)
    again = made.tune(perceptual=left, checkpoint=checkpoint)
    assert 100 - left.calls == 31 - 12
    for name, tensor in tuned.weights.items():
        assert torch.equal(again.weights[name], tensor)
    assert np.array_equal(again.outcome.descended.frames, tuned.outcome.descended.frames)


def test_weights_that_run_away_are_one_line(made: Made) -> None:
    with pytest.raises(RosettaError) as error:
        made.tune(JOB.model_copy(update={"learning_rate": 1e30}))
    assert "tuned: the loss" in str(error.value) and "\n" not in str(error.value)
