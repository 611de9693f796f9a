"""Edits begin where they should, move units as asked, and report what changed."""

import numpy as np
import pytest
import torch
from affine import affine_generator
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.jobs.editing import EDIT_SETTINGS, EditSource, edit
from rosetta_core.steering.jobs.map_edit import MapEdit
from rosetta_core.steering.jobs.transform_edits import CopyPaste, Custom, Shift
from rosetta_core.steering.jobs.unit_edits import Add, Remove, UnitEdit
from rosetta_core.steering.metrics.image_similarity import psnr
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.metrics.random_baseline import minimum_activations
from rosetta_core.steering.optimise.latents import initial_latents
from rosetta_core.steering.optimise.loss import activation_loss
from rosetta_core.steering.optimise.result import JobResult
from rosetta_core.steering.optimise.settings import OptimisationSettings


class PixelDistance(PerceptualDistance):
    """The distance of normalised pixels."""

    name, weights = "pixels", (torch.ones(1, 1, 1),)

    def maps(self, images: Tensor) -> list[Tensor]:
        return [images]


@pytest.fixture(scope="module")
def generator() -> SteeredGenerator:
    return affine_generator(enlarged=2)


@pytest.fixture(scope="module")
def minimum(generator: SteeredGenerator) -> dict[str, np.ndarray]:
    return minimum_activations(generator)


def edited(
    generator: SteeredGenerator, change: MapEdit, *, similarity=None, name="edit", **settings
) -> JobResult:
    source = EditSource(generator.generator.sample_latents([0]), "seed 0")
    given = {"steps": 20, "restarts": 1, "regulariser": "start", "regulariser_weight": 0.01}
    return edit(
        generator,
        source,
        change,
        evaluation_distance=PixelDistance(),
        settings=OptimisationSettings(**{**given, **settings}),
        similarity=similarity,
        name=name,
    )


def value_of(result: JobResult, metric: str) -> float:
    return result.table.set_index("metric")["value"][metric]


def assert_same_images(images: np.ndarray, expected: np.ndarray) -> None:
    """Equal up to one level: another batch size rounds differently on some processors."""
    assert np.abs(images.astype(int) - expected).max() <= 1


def test_the_first_restart_begins_at_the_source_and_others_at_random(
    generator: SteeredGenerator,
) -> None:
    random = initial_latents(generator, range(3), seed=4, space="z", classes=None)
    latents = torch.cat([generator.generator.sample_latents([0]), random])
    images, _ = generator.render(latents, space="z", classes=None)
    shifted = edited(generator, Shift(), restarts=3, steps=5, seed=4)
    assert np.array_equal(shifted.before, images[:1])
    assert_same_images(shifted.optimisation.frames[0], images[[0, 2, 3]])
    pasted = edited(generator, CopyPaste(), restarts=3, steps=5, seed=4)
    assert np.array_equal(pasted.before, images[:1])
    assert_same_images(pasted.optimisation.frames[0], images[1:])
    assert shifted.latents.shape == (3, 6) and len(shifted.best) == 1


def test_the_best_restart_is_reported(generator: SteeredGenerator) -> None:
    result = edited(generator, CopyPaste(), restarts=4, steps=15, seed=4)
    (best,) = result.best
    assert best == result.optimisation.total[-1].argmin()
    assert set(result.table["restart"]) == {best}
    images, maps = generator.render(torch.from_numpy(result.latents), space="z", classes=None)
    assert np.array_equal(result.after, images[[best]])
    after = value_of(result, "similarity to the edited maps after")
    assert after == pytest.approx(result.optimisation.terms["similarity"][-1, best])
    source = generator.render(generator.generator.sample_latents([0]), space="z", classes=None)[1]
    targets = CopyPaste().targets(generator, source)
    objective = activation_loss(generator, targets, EDIT_SETTINGS, similarity="image").objective
    best_maps = {layer: layer_maps[[best]] for layer, layer_maps in maps.items()}
    assert after == pytest.approx(float(objective(best_maps)), abs=1e-5)
    before = value_of(result, "similarity to the edited maps before")
    assert before == pytest.approx(float(objective(source)), abs=1e-5)
    between = value_of(result, "PSNR (dB) between before and after")
    assert between == psnr(result.after[0], result.before[0])


@pytest.mark.parametrize("kind", [Remove, Add])
@pytest.mark.parametrize("penalty", ["map_penalty", "activity_penalty"])
def test_selected_units_change_and_penalties_keep_the_others(
    generator: SteeredGenerator, minimum: dict[str, np.ndarray], kind: type[UnitEdit], penalty: str
) -> None:
    settings = {"map_penalty": 0.0, "activity_penalty": 0.0}
    free, kept = (
        edited(
            generator,
            kind(np.array([1]), "first/1", minimum, **{**settings, penalty: weight}),
            steps=60,
            regulariser_weight=0.0,
        )
        for weight in (0.0, 30.0)
    )
    selected = "relative change of the selected units"
    others = "relative change of the other Rosetta neurons"
    sign = 1 if kind is Add else -1
    assert sign * value_of(free, selected) > 0.1
    assert sign * value_of(kept, selected) > 0
    assert value_of(kept, others) < 0.5 * value_of(free, others)
    before, after = (
        value_of(free, f"similarity to the edited maps {when}") for when in ("before", "after")
    )
    assert after > before + 0.1


def test_all_rosetta_neurons_can_be_removed(
    generator: SteeredGenerator, minimum: dict[str, np.ndarray]
) -> None:
    result = edited(generator, Remove(generator.neurons, "all", minimum))
    assert value_of(result, "relative change of the selected units") < -0.01
    assert np.isfinite(result.table["value"]).all()


def test_a_job_sets_the_similarity_or_the_edit_does(
    generator: SteeredGenerator, minimum: dict[str, np.ndarray]
) -> None:
    before = "similarity to the edited maps before"
    default, image, distance = (
        edited(generator, Shift(), similarity=similarity, steps=1)
        for similarity in (None, "image", "distance")
    )
    assert value_of(default, before) == value_of(image, before) != value_of(distance, before)
    remove = Remove(np.array([1]), "first/1", minimum)
    default, distance = (
        edited(generator, remove, similarity=similarity, steps=1)
        for similarity in (None, "distance")
    )
    assert value_of(default, before) == value_of(distance, before)


def test_maps_of_selected_units_are_drawn_first(
    generator: SteeredGenerator, minimum: dict[str, np.ndarray]
) -> None:
    result = edited(generator, Remove(np.array([2, 6]), "two", minimum), steps=3)
    assert list(result.panels)[:2] == ["first/2", "second/1"]
    assert len(result.panels) == 6
    source = generator.render(generator.generator.sample_latents([0]), space="z", classes=None)[1]
    _, maps = generator.render(torch.from_numpy(result.latents), space="z", classes=None)
    before, goal, after = result.panels["first/2"]
    channel = np.array([2])
    expected = [generator.standardise(m, "first", channel)[0, 0] for m in (source, maps)]
    np.testing.assert_allclose(before.map, expected[0], atol=1e-5)
    np.testing.assert_allclose(after.map, expected[1], atol=1e-5)
    mean, std = (moment[2] for moment in generator.moments["first"])
    np.testing.assert_allclose(goal.map, (minimum["first"][2] - mean) / std, rtol=1e-5)
    assert np.array_equal(before.image, result.before[0])
    assert np.array_equal(goal.image, result.before[0])
    assert np.array_equal(after.image, result.after[0])
    assert result.columns == ["before", "edited map", "after"]


def test_without_selected_units_the_most_varied_maps_are_drawn(
    generator: SteeredGenerator,
) -> None:
    result = edited(generator, Shift(dx=0.0), steps=1)
    source = generator.render(generator.generator.sample_latents([0]), space="z", classes=None)[1]
    spread = generator.standardise(source, "first", np.arange(5))[0].std(dim=(1, 2))
    first = [label for label in result.panels if label.startswith("first/")]
    assert first == [f"first/{channel}" for channel in spread.argsort(descending=True)[:4]]


def test_a_job_says_what_was_done(generator: SteeredGenerator) -> None:
    result = edited(generator, Custom(lambda maps, *_: maps, "own.py:f"), steps=1)
    assert result.about == "changed by own.py:f, of seed 0"
    rows = result.table[["metric", "value"]].itertuples(index=False)
    assert list(result.summary) == [(metric, f"{value:.3g}") for metric, value in rows][:6]


def test_an_error_names_the_job(generator: SteeredGenerator) -> None:
    with pytest.raises(RosettaError, match=r"^moved: the loss of latent 0 is not finite after 1 "):
        edited(generator, Shift(), name="moved", steps=3, learning_rate=1e30)
