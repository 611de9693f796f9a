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
from affine import LAYERS, SIZE, affine_pivot
from steered import Interrupted
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.steering.generator import Drawing, Pivot
from rosetta_core.steering.optimise.descent import Checkpoint, OptimisationResult, descend, rate_at
from rosetta_core.steering.optimise.latents import (
    class_labels,
    drawn_image,
    given_latents,
    starting_latents,
)
from rosetta_core.steering.optimise.loss import Loss, Term
from rosetta_core.steering.optimise.objective import MapTarget, Objective
from rosetta_core.steering.optimise.result import best_starts
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
    pivot: Pivot,
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
        Objective(matches, grids=pivot.grids, moments=pivot.moments, similarity="distance"),
        regulariser=regulariser,
        target=torch.stack([image(row) for row in rows]),
        pixels="l2",
    )


def roots(pivot: Pivot, latent: Tensor, *, space: str, row: int) -> Tensor:
    """What that loss is the sum of the squares of, in float64."""
    drawing = pivot.draw(latent[None].float(), space=space, classes=None, layers=list(LAYERS))
    off = drawing.images[0].double() - image(row).double()
    found = [
        math.sqrt(WEIGHTS["regulariser"] / latent.numel()) * latent.flatten(),
        math.sqrt(WEIGHTS["pixels"] / off.numel()) * off.flatten(),
    ]
    for layer in LAYERS:
        mean, std = (torch.from_numpy(m)[:, None, None] for m in pivot.moments[layer])
        off = (drawing.maps[layer][0].double() - mean) / std - targets(layer, row)
        found.append(off.flatten() / math.sqrt(off[0].numel() * sum(LAYERS.values())))
    return torch.cat(found)


class Quadratic:
    """The loss of a latent as |J x + r|², from what it is at the origin and at unit latents."""

    def __init__(self, pivot: Pivot, *, space: str = "z", row: int = 0) -> None:
        size = math.prod(SHAPES[space])
        places = torch.cat([torch.zeros(1, size), torch.eye(size)]).double()
        self.r, *others = (
            roots(pivot, one.view(SHAPES[space]), space=space, row=row) for one in places
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

    def terms(self, latents: Tensor, drawing: Drawing, *, start: Tensor) -> dict[Term, Tensor]:
        if not self.left:
            raise Interrupted
        self.left -= 1
        time.sleep(self.pause)
        return self.loss.terms(latents, drawing, start=start)

    def total(self, terms: Mapping[Term, Tensor]) -> Tensor:
        return self.loss.total(terms)


def start_of(pivot: Pivot, *, space: str = "z") -> Tensor:
    return starting_latents(pivot, range(ROWS), seed=0, space=space, classes=None)


def descended(pivot: Pivot, loss: Loss | Interruptible, **changes: object) -> OptimisationResult:
    given = {"steps": STEPS, "learning_rate": 0.1, "what": "made up", **changes}
    start = given.pop("start", None)
    return descend(
        pivot,
        loss,
        start_of(pivot, space=str(given.get("space", "z"))) if start is None else start,
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
def pivot() -> Pivot:
    return affine_pivot()


@pytest.fixture(scope="module")
def loss(pivot: Pivot) -> Loss:
    return loss_for(pivot, [0, 1])


@pytest.fixture(scope="module")
def uninterrupted(pivot: Pivot, loss: Loss) -> OptimisationResult:
    return descended(pivot, loss)


def test_the_rate_rises_stays_and_falls() -> None:
    rates = [rate_at(step, 200) for step in range(200)]
    np.testing.assert_allclose(rates[:10], (np.arange(10) + 0.5) / 10)
    assert set(rates[10:150]) == {1.0}
    left = (200 - np.arange(150, 200) - 0.5) / 50
    np.testing.assert_allclose(rates[150:], 0.5 - 0.5 * np.cos(np.pi * left))
    assert rate_at(0, 1) == 1.0


def test_steps_are_those_of_adam_at_that_rate(
    pivot: Pivot, uninterrupted: OptimisationResult
) -> None:
    """Kingma and Ba (2015), Algorithm 1, in float64."""
    loss, x = Quadratic(pivot, row=1), start_of(pivot)[1].double()
    m = v = torch.zeros_like(x)
    for step in range(STEPS):
        slope = loss.slope(x)
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        down = (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
        x = x - 0.1 * rate_at(step, STEPS) * down
    torch.testing.assert_close(uninterrupted.latents[1].double(), x, rtol=0, atol=1e-4)


@pytest.mark.parametrize("space", ["z", "w", "w+"])
def test_it_ends_where_the_loss_is_least(pivot: Pivot, loss: Loss, space: str) -> None:
    found = descended(pivot, loss, steps=400, space=space)
    assert found.latents.shape == (ROWS, *SHAPES[space])
    for row in range(ROWS):
        expected = Quadratic(pivot, space=space, row=row)
        np.testing.assert_allclose(found.latents[row].flatten(), expected.least, atol=1e-3)
        assert found.total[-1, row] == pytest.approx(expected(expected.least), rel=1e-4)
        assert found.total[0, row] > 1.2 * found.total[-1, row]


def test_every_latent_goes_its_own_way(pivot: Pivot, uninterrupted: OptimisationResult) -> None:
    for row in range(ROWS):
        alone = descend(
            pivot,
            loss_for(pivot, [row]),
            start_of(pivot)[[row]],
            steps=STEPS,
            learning_rate=0.1,
        )
        np.testing.assert_allclose(uninterrupted.latents[row], alone.latents[0], atol=ALONE)
        np.testing.assert_allclose(uninterrupted.total[:, row], alone.total[:, 0], rtol=ALONE)


def test_the_way_is_recorded_from_the_start_to_the_result(
    pivot: Pivot, loss: Loss, uninterrupted: OptimisationResult
) -> None:
    found, start = uninterrupted, start_of(pivot)
    assert list(found.terms) == ["similarity", "regulariser", "pixels"]
    assert {values.shape for values in found.terms.values()} == {(STEPS + 1, ROWS)}
    assert found.total.shape == (STEPS + 1, ROWS)
    weighted = (
        found.terms["pixels"] * 0.7 + found.terms["regulariser"] * 0.3 - found.terms["similarity"]
    )
    np.testing.assert_allclose(found.total, weighted, rtol=1e-6)
    for row in range(ROWS):
        expected = Quadratic(pivot, row=row)
        assert found.total[0, row] == pytest.approx(expected(start[row].double()), rel=1e-5)
        assert found.total[-1, row] == pytest.approx(
            expected(found.latents[row].double()), rel=1e-5
        )
    np.testing.assert_allclose(found.terms["regulariser"][0], start.square().mean(1), rtol=1e-6)
    assert (found.total[-1] < found.total[0]).all()


@pytest.mark.parametrize(("steps", "frames"), [(3, 4), (71, 72), (200, 72)])
def test_frames_are_spread_over_the_way(pivot: Pivot, loss: Loss, steps: int, frames: int) -> None:
    found = descended(pivot, loss, steps=steps)
    assert found.frames.shape == (frames, ROWS, 8, 8, 3)
    ends = [pivot.look(at, space="z", classes=None)[0] for at in (start_of(pivot), found.latents)]
    assert np.array_equal(found.frames[[0, -1]], ends)
    assert not np.array_equal(*ends)


def test_large_frames_are_reduced() -> None:
    large = affine_pivot(enlarged=64)
    no_pixels = loss_for(large, [0, 1], weights={"regulariser": 1.0})
    found = descended(large, no_pixels, steps=1)
    assert found.frames.shape == (2, ROWS, 256, 256, 3)
    images = large.draw(start_of(large), space="z", classes=None, layers=[]).images
    assert np.array_equal(found.frames[0], to_bytes(images[:, :, ::2, ::2]))


def test_the_generator_stays_as_it_is(pivot: Pivot, loss: Loss) -> None:
    network = pivot.generator.network
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    start = start_of(pivot)
    given = start.clone()
    descend(pivot, loss, start, steps=3, learning_rate=0.1)
    assert torch.equal(start, given)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def terms_of(pivot: Pivot, loss: Loss, latents: Tensor, start: Tensor) -> dict[Term, Tensor]:
    drawing = pivot.draw(latents, space="z", classes=None, layers=loss.layers)
    return loss.terms(latents, drawing, start=start)


def test_priors_are_those_of_the_definition(pivot: Pivot) -> None:
    latents, start = drawn(ROWS, SIZE, seed=1), drawn(ROWS, SIZE, seed=2)
    expected = {
        "l1": np.abs(latents.numpy()).mean(1),
        "l2": (latents.numpy() ** 2).mean(1),
        "start": ((latents - start).numpy() ** 2).mean(1),
    }
    for regulariser, values in expected.items():
        loss = loss_for(pivot, [0, 1], regulariser=regulariser)
        np.testing.assert_allclose(
            terms_of(pivot, loss, latents, start)["regulariser"], values, rtol=1e-6
        )


@pytest.mark.parametrize("regulariser", ["l1", "l2"])
def test_a_prior_alone_leads_to_the_origin(pivot: Pivot, regulariser: str) -> None:
    loss = loss_for(pivot, [0, 1], weights={"regulariser": 1.0}, regulariser=regulariser)
    assert descended(pivot, loss, steps=200).latents.abs().max() < 0.01


def test_a_prior_on_the_start_alone_stays_there(pivot: Pivot) -> None:
    loss = loss_for(pivot, [0, 1], weights={"regulariser": 1.0}, regulariser="start")
    assert torch.equal(descended(pivot, loss).latents, start_of(pivot))


def test_pixels_are_compared_by_the_definition(pivot: Pivot, loss: Loss) -> None:
    latents = drawn(ROWS, SIZE)
    drawing = pivot.draw(latents, space="z", classes=None, layers=[])
    off = np.stack([(drawing.images[row] - image(row)).numpy() for row in range(ROWS)])
    for pixels, values in (("l1", np.abs(off)), ("l2", off**2)):
        found = terms_of(pivot, replace(loss, pixels=pixels), latents, latents)["pixels"]
        np.testing.assert_allclose(found, values.mean((1, 2, 3)), rtol=1e-5)


def test_terms_without_a_weight_are_left_out(pivot: Pivot, loss: Loss) -> None:
    alone = replace(loss, weights={"similarity": 0.0, "regulariser": 0.0, "pixels": 2.0})
    assert alone.layers == []
    assert list(terms_of(pivot, alone, drawn(ROWS, SIZE), drawn(ROWS, SIZE))) == ["pixels"]


def test_a_similarity_that_is_enough_pulls_no_more(pivot: Pivot, loss: Loss) -> None:
    free = descended(pivot, replace(loss, weights={"similarity": 1.0}), steps=100)
    similar = free.terms["similarity"]
    enough = float(similar[0].max() + similar[-1].min()) / 2
    bounded = replace(loss, weights={"similarity": 1.0, "regulariser": 1e-6}, enough=enough)
    found = descended(pivot, bounded, steps=100)
    np.testing.assert_allclose(found.terms["similarity"][-1], enough, rtol=0.01)
    assert (found.terms["similarity"] <= np.float32(enough)).all()
    assert (found.total[-1] < found.total[0]).all()


def test_the_best_start_of_each_item_has_the_least_loss_at_the_end() -> None:
    total = np.array([[0, 0, 0, 9, 9, 9], [3, 1, 2, 6, 5, 4]], np.float32)
    assert best_starts(total, starts=3) == [1, 5]
    assert best_starts(total, starts=1) == [0, 1, 2, 3, 4, 5]
    assert best_starts(total, starts=6) == [1]


@pytest.mark.parametrize("rate", [1e30, math.inf])
def test_a_loss_that_is_no_number_is_one_line(
    pivot: Pivot, loss: Loss, rate: float, tmp_path: Path
) -> None:
    checkpoint = Checkpoint(tmp_path / "kept", "key")
    with pytest.raises(RosettaError) as error:
        descended(pivot, loss, learning_rate=rate, checkpoint=checkpoint)
    said = str(error.value)
    assert said.startswith("made up: the loss of latent 0 is no number after 1 steps; lower the")
    assert "\n" not in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("calls", [2, 12, STEPS])
def test_it_goes_on_where_it_was_interrupted(
    pivot: Pivot, loss: Loss, uninterrupted: OptimisationResult, calls: int, tmp_path: Path
) -> None:
    checkpoint = Checkpoint(tmp_path / "kept", "key", seconds=0)
    with pytest.raises(Interrupted):
        descended(pivot, Interruptible(loss, calls), checkpoint=checkpoint)
    again = Interruptible(loss, 1000)
    assert same(descended(pivot, again, checkpoint=checkpoint), uninterrupted)
    assert 1000 - again.left == STEPS + 1 - calls
    checkpoint.remove()
    assert not list(tmp_path.iterdir())


def descend_slowly(file: Path) -> None:
    """What another process does until it is killed."""
    pivot = affine_pivot()
    slow = Interruptible(loss_for(pivot, [0, 1]), 1000, pause=0.05)
    descended(pivot, slow, checkpoint=Checkpoint(file, "key", seconds=0))


def test_it_goes_on_after_it_was_killed(
    pivot: Pivot, loss: Loss, uninterrupted: OptimisationResult, tmp_path: Path
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
    assert same(descended(pivot, again, checkpoint=checkpoint), uninterrupted)
    assert 0 < 1000 - again.left < STEPS + 1
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


STATES = ["other settings", "cut off", "garbage", "empty", "a list", "a flipped bit"]


@pytest.mark.parametrize("state", STATES)
def test_a_checkpoint_that_does_not_fit_is_passed_over(
    pivot: Pivot, loss: Loss, uninterrupted: OptimisationResult, state: str, tmp_path: Path
) -> None:
    checkpoint = Checkpoint(tmp_path / "kept", "key", seconds=0)
    with pytest.raises(Interrupted):
        descended(pivot, Interruptible(loss, 10), checkpoint=checkpoint)
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
    assert same(descended(pivot, again, checkpoint=checkpoint), uninterrupted)
    assert 1000 - again.left == STEPS + 1


def test_spaces_are_entered_from_the_same_latents(pivot: Pivot) -> None:
    latents = {space: given_latents(pivot, [3, 4], space=space, classes=None) for space in SHAPES}
    assert {space: tuple(its.shape[1:]) for space, its in latents.items()} == SHAPES
    assert torch.equal(latents["z"], pivot.generator.sample_latents([3, 4]))
    images = [pivot.look(its, space=space, classes=None)[0] for space, its in latents.items()]
    assert np.array_equal(images[0], images[1]) and np.array_equal(images[0], images[2])
    assert np.array_equal(images[0][0], drawn_image(pivot, 3))


def test_starts_depend_on_their_number_and_the_seed_alone(pivot: Pivot) -> None:
    def starts(numbers: list[int], seed: int) -> Tensor:
        return starting_latents(pivot, numbers, seed=seed, space="z", classes=None)

    assert torch.equal(starts([0, 1, 2], 0)[2:], starts([2], 0))
    both = torch.cat(
        [starts([0, 1, 2], 0), starts([0, 1, 2], 1), pivot.generator.sample_latents([0, 1])]
    )
    assert len(both.unique(dim=0)) == 8


def test_an_unknown_space_is_one_line(pivot: Pivot, loss: Loss) -> None:
    with pytest.raises(RosettaError, match=r"no latent space 's'; it has z, w, w\+$"):
        given_latents(pivot, [0], space="s", classes=None)


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
        class_labels(affine_pivot(classes=classes), label, count=2)
    assert str(error.value) == said


def test_the_class_that_is_asked_for_is_drawn() -> None:
    pivot = affine_pivot(classes=4)
    assert class_labels(affine_pivot(), None, count=2) is None
    network, images = pivot.generator.network, {}
    for label in range(4):
        labels = class_labels(pivot, label, count=2)
        assert labels.tolist() == [label] * 2
        for space in SHAPES:
            latents = given_latents(pivot, [0, 1], space=space, classes=labels)
            images[label, space], _ = pivot.look(latents, space=space, classes=labels)
            own = to_bytes(network(pivot.generator.sample_latents([0, 1]), labels)).numpy()
            assert np.array_equal(images[label, space], own)
    assert len({its.tobytes() for its in images.values()}) == 4
    assert np.array_equal(drawn_image(pivot, 0, label=0), images[0, "z"][0])
    start = given_latents(pivot, [0, 1], space="w", classes=labels)
    found = descended(
        pivot, loss_for(pivot, [0, 1]), start=start, space="w", classes=labels, steps=1
    )
    assert np.array_equal(found.frames[0], images[3, "w"])


def test_without_a_class_of_its_own_a_job_draws_that_of_the_run() -> None:
    pivot = replace(affine_pivot(classes=4), label=2)
    assert class_labels(pivot, None, count=3).tolist() == [2] * 3
    assert class_labels(pivot, 0, count=1).tolist() == [0]
    assert np.array_equal(drawn_image(pivot, 5), drawn_image(pivot, 5, label=2))
    assert not np.array_equal(drawn_image(pivot, 5), drawn_image(pivot, 5, label=1))
