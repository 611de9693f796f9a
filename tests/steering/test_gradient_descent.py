"""A descent ends where the loss is least, each latent by itself, and can be taken up again."""

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import LAYERS, SIZE, affine_generator
from steered import Interrupted
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.steering.generator import GeneratedImages, SteeredGenerator
from rosetta_core.steering.optimise.gradient_descent import (
    Checkpoint,
    OptimisationResult,
    learning_rate_factor,
    optimise,
)
from rosetta_core.steering.optimise.latents import (
    class_labels,
    generate_image,
    initial_latents,
    latents_from_seeds,
)
from rosetta_core.steering.optimise.loss import Loss, Term
from rosetta_core.steering.optimise.objective import Objective
from rosetta_core.steering.optimise.prepared_targets import MapTarget
from rosetta_core.steering.optimise.result import best_restarts
from rosetta_core.zoo.encoders.preprocessing import to_bytes

ALONE = 1e-5  # how far a latent may be off because of those beside it
WEIGHTS: dict[Term, float] = {"similarity": 1.0, "regulariser": 0.3, "pixels": 0.7}
SHAPES = {"z": (SIZE,), "w": (SIZE,), "w+": (2, SIZE)}
ROWS, STEPS = 2, 40


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def targets(layer: str, row: int) -> Tensor:
    side = {"first": 4, "second": 8}[layer]
    return drawn(LAYERS[layer], side, side, seed=10 + row).double()


def image(row: int) -> Tensor:
    return drawn(3, 8, 8, seed=20 + row) / 2


def loss_for(
    generator: SteeredGenerator,
    rows: list[int],
    *,
    weights: Mapping[Term, float] = WEIGHTS,
    regulariser: str = "l2",
) -> Loss:
    """Squared distances of maps and pixels from given ones, and a regulariser."""
    matches = [
        MapTarget(
            layer,
            np.arange(channels),
            torch.stack([targets(layer, row) for row in rows]),
            torch.ones(len(rows), channels),
        )
        for layer, channels in LAYERS.items()
    ]
    return Loss(
        weights,
        Objective(matches, grids=generator.grids, moments=generator.moments, similarity="distance"),
        regulariser=regulariser,
        target=torch.stack([image(row) for row in rows]),
        pixels="l2",
    )


def roots(generator: SteeredGenerator, latent: Tensor, *, space: str, row: int) -> Tensor:
    """What that loss is the sum of the squares of, in float64."""
    generated = generator.generate(
        latent[None].float(), space=space, classes=None, layers=list(LAYERS)
    )
    off = generated.images[0].double() - image(row).double()
    found = [
        math.sqrt(WEIGHTS["regulariser"] / latent.numel()) * latent.flatten(),
        math.sqrt(WEIGHTS["pixels"] / off.numel()) * off.flatten(),
    ]
    for layer in LAYERS:
        mean, std = (torch.from_numpy(m)[:, None, None] for m in generator.moments[layer])
        off = (generated.maps[layer][0].double() - mean) / std - targets(layer, row)
        found.append(off.flatten() / math.sqrt(off[0].numel() * sum(LAYERS.values())))
    return torch.cat(found)


class Quadratic:
    """The loss of a latent as |J x + r|², from what it is at the origin and at unit latents."""

    def __init__(self, generator: SteeredGenerator, *, space: str = "z", row: int = 0) -> None:
        size = math.prod(SHAPES[space])
        places = torch.cat([torch.zeros(1, size), torch.eye(size)]).double()
        self.r, *others = (
            roots(generator, one.view(SHAPES[space]), space=space, row=row) for one in places
        )
        self.J = torch.stack(others, dim=1) - self.r[:, None]

    @property
    def least(self) -> Tensor:
        """Where it is least."""
        return torch.linalg.lstsq(self.J, -self.r[:, None]).solution[:, 0]

    def __call__(self, x: Tensor) -> float:
        return float((self.J @ x + self.r).square().sum())

    def slope(self, x: Tensor) -> Tensor:
        return 2 * self.J.T @ (self.J @ x + self.r)


@dataclass
class Interruptible:
    """A loss that can be called so many times, each time after a pause."""

    loss: Loss
    left: int
    pause: float = 0.0

    @property
    def layers(self) -> list[str]:
        return self.loss.layers

    def terms(
        self, latents: Tensor, generated: GeneratedImages, *, start: Tensor
    ) -> dict[Term, Tensor]:
        if not self.left:
            raise Interrupted
        self.left -= 1
        time.sleep(self.pause)
        return self.loss.terms(latents, generated, start=start)

    def total(self, terms: Mapping[Term, Tensor]) -> Tensor:
        return self.loss.total(terms)


def start_of(generator: SteeredGenerator, *, space: str = "z") -> Tensor:
    return initial_latents(generator, range(ROWS), seed=0, space=space, classes=None)


def optimised(
    generator: SteeredGenerator, loss: Loss | Interruptible, **changes: object
) -> OptimisationResult:
    given = {"steps": STEPS, "learning_rate": 0.1, "name": "made up", **changes}
    start = given.pop("start", None)
    return optimise(
        generator,
        loss,
        start_of(generator, space=str(given.get("space", "z"))) if start is None else start,
        **given,
    )


def same(one: OptimisationResult, other: OptimisationResult) -> bool:
    """To the last bit."""
    return (
        torch.equal(one.latents, other.latents)
        and list(one.terms) == list(other.terms)
        and all(np.array_equal(values, other.terms[name]) for name, values in one.terms.items())
        and np.array_equal(one.total, other.total)
        and np.array_equal(one.frames, other.frames)
    )


@pytest.fixture(scope="module")
def generator() -> SteeredGenerator:
    return affine_generator()


@pytest.fixture(scope="module")
def loss(generator: SteeredGenerator) -> Loss:
    return loss_for(generator, [0, 1])


@pytest.fixture(scope="module")
def uninterrupted(generator: SteeredGenerator, loss: Loss) -> OptimisationResult:
    return optimised(generator, loss)


def test_the_rate_rises_stays_and_falls() -> None:
    rates = [learning_rate_factor(step, 200) for step in range(200)]
    np.testing.assert_allclose(rates[:10], (np.arange(10) + 0.5) / 10)
    assert set(rates[10:150]) == {1.0}
    left = (200 - np.arange(150, 200) - 0.5) / 50
    np.testing.assert_allclose(rates[150:], 0.5 - 0.5 * np.cos(np.pi * left))
    assert learning_rate_factor(0, 1) == 1.0


def test_steps_are_those_of_adam_at_that_rate(
    generator: SteeredGenerator, uninterrupted: OptimisationResult
) -> None:
    """Kingma and Ba (2015), Algorithm 1, in float64."""
    loss, x = Quadratic(generator, row=1), start_of(generator)[1].double()
    m = v = torch.zeros_like(x)
    for step in range(STEPS):
        slope = loss.slope(x)
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        down = (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
        x = x - 0.1 * learning_rate_factor(step, STEPS) * down
    torch.testing.assert_close(uninterrupted.latents[1].double(), x, rtol=0, atol=1e-4)


@pytest.mark.parametrize("space", ["z", "w", "w+"])
def test_it_ends_where_the_loss_is_least(
    generator: SteeredGenerator, loss: Loss, space: str
) -> None:
    found = optimised(generator, loss, steps=400, space=space)
    assert found.latents.shape == (ROWS, *SHAPES[space])
    for row in range(ROWS):
        expected = Quadratic(generator, space=space, row=row)
        np.testing.assert_allclose(found.latents[row].flatten(), expected.least, atol=1e-3)
        assert found.total[-1, row] == pytest.approx(expected(expected.least), rel=1e-4)
        assert found.total[0, row] > 1.2 * found.total[-1, row]


def test_every_latent_goes_its_own_way(
    generator: SteeredGenerator, uninterrupted: OptimisationResult
) -> None:
    for row in range(ROWS):
        alone = optimise(
            generator,
            loss_for(generator, [row]),
            start_of(generator)[[row]],
            steps=STEPS,
            learning_rate=0.1,
        )
        np.testing.assert_allclose(uninterrupted.latents[row], alone.latents[0], atol=ALONE)
        np.testing.assert_allclose(uninterrupted.total[:, row], alone.total[:, 0], rtol=ALONE)


def test_the_way_is_recorded_from_the_start_to_the_result(
    generator: SteeredGenerator, loss: Loss, uninterrupted: OptimisationResult
) -> None:
    found, start = uninterrupted, start_of(generator)
    assert list(found.terms) == ["similarity", "regulariser", "pixels"]
    assert {values.shape for values in found.terms.values()} == {(STEPS + 1, ROWS)}
    assert found.total.shape == (STEPS + 1, ROWS)
    weighted = (
        found.terms["pixels"] * 0.7 + found.terms["regulariser"] * 0.3 - found.terms["similarity"]
    )
    np.testing.assert_allclose(found.total, weighted, rtol=1e-6)
    for row in range(ROWS):
        expected = Quadratic(generator, row=row)
        assert found.total[0, row] == pytest.approx(expected(start[row].double()), rel=1e-5)
        assert found.total[-1, row] == pytest.approx(
            expected(found.latents[row].double()), rel=1e-5
        )
    np.testing.assert_allclose(found.terms["regulariser"][0], start.square().mean(1), rtol=1e-6)
    assert (found.total[-1] < found.total[0]).all()


@pytest.mark.parametrize(("steps", "frames"), [(3, 4), (71, 72), (200, 72)])
def test_frames_are_spread_over_the_way(
    generator: SteeredGenerator, loss: Loss, steps: int, frames: int
) -> None:
    found = optimised(generator, loss, steps=steps)
    assert found.frames.shape == (frames, ROWS, 8, 8, 3)
    ends = [
        generator.render(at, space="z", classes=None)[0]
        for at in (start_of(generator), found.latents)
    ]
    assert np.array_equal(found.frames[[0, -1]], ends)
    assert not np.array_equal(*ends)


def test_large_frames_are_reduced() -> None:
    large = affine_generator(enlarged=64)
    no_pixels = loss_for(large, [0, 1], weights={"regulariser": 1.0})
    found = optimised(large, no_pixels, steps=1)
    assert found.frames.shape == (2, ROWS, 256, 256, 3)
    images = large.generate(start_of(large), space="z", classes=None, layers=[]).images
    assert np.array_equal(found.frames[0], to_bytes(images[:, :, ::2, ::2]))


def test_the_generator_stays_as_it_is(generator: SteeredGenerator, loss: Loss) -> None:
    network = generator.generator.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    start = start_of(generator)
    given = start.clone()
    optimise(generator, loss, start, steps=3, learning_rate=0.1)
    assert torch.equal(start, given)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def terms_of(
    generator: SteeredGenerator, loss: Loss, latents: Tensor, start: Tensor
) -> dict[Term, Tensor]:
    generated = generator.generate(latents, space="z", classes=None, layers=loss.layers)
    return loss.terms(latents, generated, start=start)


def test_priors_are_those_of_the_definition(generator: SteeredGenerator) -> None:
    latents, start = drawn(ROWS, SIZE, seed=1), drawn(ROWS, SIZE, seed=2)
    expected = {
        "l1": np.abs(latents.numpy()).mean(1),
        "l2": (latents.numpy() ** 2).mean(1),
        "start": ((latents - start).numpy() ** 2).mean(1),
    }
    for regulariser, values in expected.items():
        loss = loss_for(generator, [0, 1], regulariser=regulariser)
        np.testing.assert_allclose(
            terms_of(generator, loss, latents, start)["regulariser"], values, rtol=1e-6
        )


@pytest.mark.parametrize("regulariser", ["l1", "l2"])
def test_a_prior_alone_leads_to_the_origin(generator: SteeredGenerator, regulariser: str) -> None:
    loss = loss_for(generator, [0, 1], weights={"regulariser": 1.0}, regulariser=regulariser)
    assert optimised(generator, loss, steps=200).latents.abs().max() < 0.01


def test_a_prior_on_the_start_alone_stays_there(generator: SteeredGenerator) -> None:
    loss = loss_for(generator, [0, 1], weights={"regulariser": 1.0}, regulariser="start")
    assert torch.equal(optimised(generator, loss).latents, start_of(generator))


def test_pixels_are_compared_by_the_definition(generator: SteeredGenerator, loss: Loss) -> None:
    latents = drawn(ROWS, SIZE)
    generated = generator.generate(latents, space="z", classes=None, layers=[])
    off = np.stack([(generated.images[row] - image(row)).numpy() for row in range(ROWS)])
    for pixels, values in (("l1", np.abs(off)), ("l2", off**2)):
        found = terms_of(generator, replace(loss, pixels=pixels), latents, latents)["pixels"]
        np.testing.assert_allclose(found, values.mean((1, 2, 3)), rtol=1e-5)


def test_terms_without_a_weight_are_left_out(generator: SteeredGenerator, loss: Loss) -> None:
    alone = replace(loss, weights={"similarity": 0.0, "regulariser": 0.0, "pixels": 2.0})
    assert alone.layers == []
    assert list(terms_of(generator, alone, drawn(ROWS, SIZE), drawn(ROWS, SIZE))) == ["pixels"]


def test_a_similarity_at_its_cap_has_no_gradient(generator: SteeredGenerator, loss: Loss) -> None:
    free = optimised(generator, replace(loss, weights={"similarity": 1.0}), steps=100)
    similar = free.terms["similarity"]
    cap = float(similar[0].max() + similar[-1].min()) / 2
    bounded = replace(loss, weights={"similarity": 1.0, "regulariser": 1e-6}, similarity_cap=cap)
    found = optimised(generator, bounded, steps=100)
    np.testing.assert_allclose(found.terms["similarity"][-1], cap, rtol=0.01)
    assert (found.terms["similarity"] <= np.float32(cap)).all()
    assert (found.total[-1] < found.total[0]).all()


def test_the_best_start_of_each_item_has_the_least_loss_at_the_end() -> None:
    total = np.array([[0, 0, 0, 9, 9, 9], [3, 1, 2, 6, 5, 4]], np.float32)
    assert best_restarts(total, restarts=3) == [1, 5]
    assert best_restarts(total, restarts=1) == [0, 1, 2, 3, 4, 5]
    assert best_restarts(total, restarts=6) == [1]


@pytest.mark.parametrize("rate", [1e30, math.inf])
def test_a_loss_that_is_no_number_is_one_line(
    generator: SteeredGenerator, loss: Loss, rate: float, tmp_path: Path
) -> None:
    checkpoint = Checkpoint(tmp_path / "kept", "key")
    with pytest.raises(RosettaError) as error:
        optimised(generator, loss, learning_rate=rate, checkpoint=checkpoint)
    said = str(error.value)
    assert said.startswith("made up: the loss of latent 0 is not finite after 1 steps; lower the")
    assert "\n" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("calls", [2, 12, STEPS])
def test_it_goes_on_where_it_was_interrupted(
    generator: SteeredGenerator,
    loss: Loss,
    uninterrupted: OptimisationResult,
    calls: int,
    tmp_path: Path,
) -> None:
    checkpoint = Checkpoint(tmp_path / "kept", "key", seconds=0)
    with pytest.raises(Interrupted):
        optimised(generator, Interruptible(loss, calls), checkpoint=checkpoint)
    again = Interruptible(loss, 1000)
    assert same(optimised(generator, again, checkpoint=checkpoint), uninterrupted)
    assert 1000 - again.left == STEPS + 1 - calls
    checkpoint.remove()
    assert not list(tmp_path.iterdir())


def descend_slowly(file: Path) -> None:
    """What another process does until it is killed."""
    generator = affine_generator()
    slow = Interruptible(loss_for(generator, [0, 1]), 1000, pause=0.05)
    optimised(generator, slow, checkpoint=Checkpoint(file, "key", seconds=0))


def test_it_goes_on_after_it_was_killed(
    generator: SteeredGenerator, loss: Loss, uninterrupted: OptimisationResult, tmp_path: Path
) -> None:
    checkpoint = Checkpoint(tmp_path / "kept", "key", seconds=0)
    process = multiprocessing.get_context("spawn").Process(
        target=descend_slowly, args=(checkpoint.path,)
    )
    process.start()
    while process.is_alive() and not checkpoint.path.exists():
        time.sleep(0.01)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    again = Interruptible(loss, 1000)
    assert same(optimised(generator, again, checkpoint=checkpoint), uninterrupted)
    assert 0 < 1000 - again.left < STEPS + 1
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


STATES = ["other settings", "cut off", "garbage", "empty", "a list", "a flipped bit"]


@pytest.mark.parametrize("state", STATES)
def test_a_checkpoint_that_does_not_fit_is_passed_over(
    generator: SteeredGenerator,
    loss: Loss,
    uninterrupted: OptimisationResult,
    state: str,
    tmp_path: Path,
) -> None:
    checkpoint = Checkpoint(tmp_path / "kept", "key", seconds=0)
    with pytest.raises(Interrupted):
        optimised(generator, Interruptible(loss, 10), checkpoint=checkpoint)
    content = checkpoint.path.read_bytes()
    if state == "other settings":
        checkpoint = replace(checkpoint, key="another")
    elif state == "a list":
        torch.save([1], checkpoint.path)
    else:
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        broken = {"cut off": content[:middle], "garbage": b"none", "empty": b""}
        broken["a flipped bit"] = flipped
        checkpoint.path.write_bytes(broken[state])
    again = Interruptible(loss, 1000)
    assert same(optimised(generator, again, checkpoint=checkpoint), uninterrupted)
    assert 1000 - again.left == STEPS + 1


def test_spaces_are_entered_from_the_same_latents(generator: SteeredGenerator) -> None:
    latents = {
        space: latents_from_seeds(generator, [3, 4], space=space, classes=None) for space in SHAPES
    }
    assert {space: tuple(its.shape[1:]) for space, its in latents.items()} == SHAPES
    assert torch.equal(latents["z"], generator.generator.sample_latents([3, 4]))
    images = [generator.render(its, space=space, classes=None)[0] for space, its in latents.items()]
    assert np.array_equal(images[0], images[1]) and np.array_equal(images[0], images[2])
    assert np.array_equal(images[0][0], generate_image(generator, 3))


def test_starts_depend_on_their_number_and_the_seed_alone(generator: SteeredGenerator) -> None:
    def starts(numbers: list[int], seed: int) -> Tensor:
        return initial_latents(generator, numbers, seed=seed, space="z", classes=None)

    assert torch.equal(starts([0, 1, 2], 0)[2:], starts([2], 0))
    both = torch.cat(
        [starts([0, 1, 2], 0), starts([0, 1, 2], 1), generator.generator.sample_latents([0, 1])]
    )
    assert len(both.unique(dim=0)) == 8


def test_an_unknown_space_is_one_line(generator: SteeredGenerator, loss: Loss) -> None:
    with pytest.raises(RosettaError, match=r"no latent space 's'; it has z, w, w\+$"):
        latents_from_seeds(generator, [0], space="s", classes=None)


@pytest.mark.parametrize(
    ("classes", "label", "said"),
    [
        (4, None, "affine has classes 0 to 3, but class_label is missing"),
        (4, 4, "affine has classes 0 to 3, but class_label is 4"),
        (0, 0, "affine has no classes, but class_label is 0"),
    ],
)
def test_a_class_label_that_does_not_fit_is_one_line(
    classes: int, label: int | None, said: str
) -> None:
    with pytest.raises(RosettaError) as error:
        class_labels(affine_generator(classes=classes), label, count=2)
    assert str(error.value) == said


def test_the_class_that_is_asked_for_is_drawn() -> None:
    generator = affine_generator(classes=4)
    assert class_labels(affine_generator(), None, count=2) is None
    network, images = generator.generator.network, {}
    for label in range(4):
        labels = class_labels(generator, label, count=2)
        assert labels.tolist() == [label] * 2
        for space in SHAPES:
            latents = latents_from_seeds(generator, [0, 1], space=space, classes=labels)
            images[label, space], _ = generator.render(latents, space=space, classes=labels)
            own = to_bytes(network(generator.generator.sample_latents([0, 1]), labels)).numpy()
            assert np.array_equal(images[label, space], own)
    assert len({its.tobytes() for its in images.values()}) == 4
    assert np.array_equal(generate_image(generator, 0, class_label=0), images[0, "z"][0])
    start = latents_from_seeds(generator, [0, 1], space="w", classes=labels)
    found = optimised(
        generator, loss_for(generator, [0, 1]), start=start, space="w", classes=labels, steps=1
    )
    assert np.array_equal(found.frames[0], images[3, "w"])


def test_without_a_class_of_its_own_a_job_draws_that_of_the_run() -> None:
    generator = replace(affine_generator(classes=4), default_class=2)
    assert class_labels(generator, None, count=3).tolist() == [2] * 3
    assert class_labels(generator, 0, count=1).tolist() == [0]
    assert np.array_equal(generate_image(generator, 5), generate_image(generator, 5, class_label=2))
    assert not np.array_equal(
        generate_image(generator, 5), generate_image(generator, 5, class_label=1)
    )
