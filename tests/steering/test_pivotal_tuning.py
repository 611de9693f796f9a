"""A tuned generator produces the image; the original generator does not change."""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from steered import CPU, CallLimit, Interrupted, load_distances, load_steered_generator, photograph
from torch import Tensor

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.jobs.pivotal_tuning import TuningResult, tune, tuned_generator
from rosetta_core.steering.metrics.image_similarity import psnr
from rosetta_core.steering.metrics.perceptual import FeatureDistance
from rosetta_core.steering.optimise.gradient_descent import Checkpoint, learning_rate_factor
from rosetta_core.steering.optimise.latents import initial_latents
from rosetta_core.zoo.encoders.preprocessing import to_pixels

OPTIONS = {"steps": 30, "learning_rate": 1e-3}


@dataclass(frozen=True)
class Made:
    """A generator, distances and a latent that all tunings here begin with."""

    generator: SteeredGenerator
    loss_distance: FeatureDistance
    evaluation_distance: FeatureDistance
    latent: Tensor

    def tune(self, **options: object) -> TuningResult:
        given = {**OPTIONS, "loss_distance": self.loss_distance, **options}
        return tune(
            self.generator,
            self.latent,
            photograph(),
            evaluation_distance=self.evaluation_distance,
            **given,
        )


@pytest.fixture(scope="module")
def made(weights: Config) -> Made:
    generator = load_steered_generator(weights)
    latent = generator.generator.sample_latents([7])
    return Made(generator, *load_distances(weights), latent)


@pytest.fixture(scope="module")
def tuned(made: Made) -> TuningResult:
    before = deepcopy(made.generator.generator.network.state_dict())
    tuned = made.tune()
    for name, tensor in made.generator.generator.network.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert not any(p.requires_grad for p in made.generator.generator.network.parameters())
    return tuned


def test_tuning_reproduces_the_image(tuned: TuningResult) -> None:
    its = tuned.result.table.set_index("metric")["value"]
    distance = "features of efficientnet_lite0"
    assert its[f"{distance} after"] < 0.5 * its[f"{distance} before"]
    assert its["PSNR (dB) after"] > its["PSNR (dB) before"] + 6
    total = tuned.result.optimisation.total
    assert total.shape == (31, 1) and total[-1] < 0.2 * total[0]
    assert np.array_equal(tuned.result.target[0], photograph())
    assert its["PSNR (dB) after"] == psnr(tuned.result.after[0], photograph())


def test_the_latent_stays(made: Made, tuned: TuningResult) -> None:
    assert np.array_equal(tuned.result.latents, made.latent.numpy())
    assert torch.equal(tuned.result.optimisation.latents, made.latent)
    image, _ = made.generator.render(made.latent, space="z", classes=None)
    assert np.array_equal(tuned.result.before, image)


def test_all_weights_change_and_no_statistics(made: Made, tuned: TuningResult) -> None:
    network = made.generator.generator.network
    parameters = dict(network.named_parameters())
    assert list(tuned.weights) == list(network.state_dict())
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, tuned.weights[name]) == (name not in parameters)


def test_weights_are_written_and_steered_with(
    made: Made, tuned: TuningResult, tmp_path: Path
) -> None:
    save_file(tuned.weights, tmp_path / "generator.safetensors")
    generator = tuned_generator(made.generator, load_file(tmp_path / "generator.safetensors"))
    image, maps = generator.render(made.latent, space="z", classes=None)
    assert np.array_equal(image, tuned.result.after)
    _, own = made.generator.render(made.latent, space="z", classes=None)
    assert maps.keys() == own.keys()
    assert not any(torch.equal(maps[layer], own[layer]) for layer in maps)


def test_weights_are_those_of_adam_on_a_copy_of_the_network(made: Made) -> None:
    network = deepcopy(made.generator.generator.network).eval().requires_grad_(True)
    adam = torch.optim.Adam(network.parameters())
    target = to_pixels(photograph()[None], device=CPU)
    features = made.loss_distance.features(target)
    for step in range(6):
        adam.param_groups[0]["lr"] = 1e-3 * learning_rate_factor(step, 6)
        image = network(made.latent)
        loss = 2 * torch.nn.functional.mse_loss(image, target)
        loss = loss + 0.5 * made.loss_distance(image, features)[0]
        adam.zero_grad()
        loss.backward()
        adam.step()
    found = made.tune(steps=6, pixel_weight=2.0, perceptual_weight=0.5).weights
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-4)
    image, _ = tuned_generator(made.generator, found).render(made.latent, space="z", classes=None)
    own = network(made.latent).detach().numpy()
    assert np.abs(to_pixels(image, device=CPU).numpy() - own).max() < 0.02


def test_other_images_change_less_the_slower_it_is_tuned(made: Made, tuned: TuningResult) -> None:
    numbers = range(3_000_000, 3_000_016)
    latents = initial_latents(made.generator, numbers, seed=0, space="z", classes=None)
    pivots = (made.generator, tuned_generator(made.generator, tuned.weights))
    before, after = (generator.render(latents, space="z", classes=None)[0] for generator in pivots)
    name = "PSNR (dB) of other images before and after"
    its = tuned.result.table.set_index("metric")["value"]
    assert its[name] == pytest.approx(
        np.mean([psnr(*pair) for pair in zip(after, before, strict=True)])
    )
    slower = made.tune(learning_rate=1e-4)
    assert slower.result.table.set_index("metric")["value"][name] > its[name] + 3


def test_an_interrupted_tuning_resumes(made: Made, tuned: TuningResult, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "kept", "key", seconds=0)
    with pytest.raises(Interrupted):
        made.tune(loss_distance=CallLimit(made.loss_distance, 12), checkpoint=checkpoint)
    left = CallLimit(made.loss_distance, 100)
    again = made.tune(loss_distance=left, checkpoint=checkpoint)
    assert 100 - left.calls == 31 - 12
    for name, tensor in tuned.weights.items():
        assert torch.equal(again.weights[name], tensor)
    assert np.array_equal(again.result.optimisation.frames, tuned.result.optimisation.frames)


def test_weights_that_run_away_are_one_line(made: Made) -> None:
    with pytest.raises(RosettaError) as error:
        made.tune(learning_rate=1e30, name="tuned")
    assert "tuned: the loss" in str(error.value) and "\n" not in str(error.value)
