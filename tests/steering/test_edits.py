"""Edits of maps are those of the definition, and measures of them say what was reached."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from affine import LAYERS, affine_pivot
from PIL import Image
from torch import Tensor
from torch.nn import functional

from rosetta_core.config.steering import Edit
from rosetta_core.errors import RosettaError
from rosetta_core.runtime.user_code import load_function
from rosetta_core.stages.steered_networks import mask_of
from rosetta_core.steering.generator import Pivot
from rosetta_core.steering.images import sample_image
from rosetta_core.steering.jobs.edit_targets import Change, edited_matches
from rosetta_core.steering.jobs.editing import Source, edit
from rosetta_core.steering.jobs.edits import copy_paste, shift, zoom
from rosetta_core.steering.metrics.edits import changed, moved
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.metrics.random_baseline import (
    lowest_activations,
    similarity_of_random_images,
)
from rosetta_core.steering.optimise.latents import starting_latents
from rosetta_core.steering.optimise.loss import loss_of
from rosetta_core.steering.optimise.objective import MapTarget

SIDES = {"first": 4, "second": 8}
UNITS = np.array([1, 6])  # one of each layer


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).double()


def job_for(kind: str, **settings: object) -> Edit:
    extra = {"units": ["first/1"]} if kind in ("remove", "add") else {}
    return Edit(name="made-up", source_seed=0, kind=kind, **{**extra, **settings})


@pytest.fixture(scope="module")
def pivot() -> Pivot:
    return affine_pivot(enlarged=2)


@pytest.fixture(scope="module")
def lowest(pivot: Pivot) -> dict[str, np.ndarray]:
    return lowest_activations(pivot, job_for("zoom"))


@pytest.fixture(scope="module")
def maps(pivot: Pivot) -> Mapping[str, Tensor]:
    return pivot.look(pivot.generator.sample_latents([0]), space="z", classes=None)[1]


def targets_of(
    pivot: Pivot, job: Edit, maps: Mapping[str, Tensor], **given: object
) -> dict[str, MapTarget]:
    found = edited_matches(pivot, job, maps, **{"change": None, "function": None, **given})
    return {match.layer: match for match in found}


@pytest.mark.parametrize("size", [(4, 4), (8, 6), (5, 7), (1, 1)])
def test_zoom_doubles_bilinearly_and_keeps_the_centre(size: tuple[int, int]) -> None:
    maps = drawn(2, 3, *size)
    twice = functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    top, left = (side // 2 for side in size)
    expected = twice[..., top : top + size[0], left : left + size[1]]
    torch.testing.assert_close(zoom(maps), expected)


def test_zoom_keeps_what_is_in_the_centre_there() -> None:
    maps = torch.zeros(8, 8)
    maps[3:5, 3:5] = 1
    expected = torch.zeros(8, 8)
    expected[2:6, 2:6] = torch.tensor([0.75, 1, 1, 0.75]).outer(torch.tensor([0.75, 1, 1, 0.75]))
    assert torch.equal(zoom(maps)[2:6, 2:6], expected[2:6, 2:6])
    assert torch.equal(zoom(maps), zoom(maps).flip(0))


@pytest.mark.parametrize(("down", "right"), [(2, 0), (-3, 0), (0, 1), (0, -2), (5, -6), (-1, 3)])
def test_whole_positions_are_moved_exactly(down: int, right: int) -> None:
    maps, expected = drawn(2, 8, 8), torch.zeros(2, 8, 8).double()
    for y in range(8):
        for x in range(8):
            if 0 <= y - down < 8 and 0 <= x - right < 8:
                expected[:, y, x] = maps[:, y - down, x - right]
    assert torch.equal(shift(maps, down=down / 8, right=right / 8), expected)


@pytest.mark.parametrize("share", [0.25, -0.25, 0.1, -0.9, 1.0])
def test_fractions_of_positions_are_interpolated(share: float) -> None:
    maps = drawn(5, 7)
    places, known = np.arange(-1, 6), np.pad(maps.numpy(), ((1, 1), (0, 0)))
    for x in range(7):
        expected = np.interp(np.arange(5) - 5 * share, places, known[:, x], left=0, right=0)
        np.testing.assert_allclose(shift(maps, down=share)[:, x], expected, atol=1e-12)
    turned = shift(maps.T.contiguous(), right=share)
    torch.testing.assert_close(turned, shift(maps, down=share).T)


def test_no_shift_changes_nothing() -> None:
    maps = drawn(3, 5, 4)
    assert torch.equal(shift(maps), maps)


@pytest.mark.parametrize("right", [0.25, 0.3])
def test_copy_and_paste_is_two_shifts(right: float) -> None:
    maps = drawn(2, 4, 8)
    found = copy_paste(maps, right=right)
    assert torch.equal(found[..., :4], shift(maps, right=-right)[..., :4])
    assert torch.equal(found[..., 4:], shift(maps, right=right)[..., 4:])


def test_copy_and_paste_shows_the_centre_twice() -> None:
    maps = torch.arange(8.0).repeat(8, 1)
    expected = torch.tensor([2.0, 3, 4, 5, 2, 3, 4, 5])
    assert torch.equal(copy_paste(maps, right=0.25), expected.repeat(8, 1))


@pytest.mark.parametrize(
    ("settings", "move"),
    [
        ({"kind": "zoom"}, zoom),
        ({"kind": "shift", "dx": 0.25, "dy": -0.5}, lambda m: shift(m, right=0.25, down=-0.5)),
        ({"kind": "copy_paste", "dx": 0.5}, lambda m: copy_paste(m, right=0.5)),
    ],
)
def test_activations_of_rosetta_neurons_are_moved_then_standardised(
    maps: Mapping[str, Tensor], settings: dict, move
) -> None:
    some = affine_pivot(neurons=7)  # the first layer's, and two of the second
    found = targets_of(some, job_for(**settings), maps)
    assert {layer: match.channels.tolist() for layer, match in found.items()} == {
        "first": [0, 1, 2, 3, 4], "second": [0, 1],
    }  # fmt: skip
    for layer, match in found.items():
        mean, std = (m[match.channels, None, None] for m in some.moments[layer])
        expected = (move(maps[layer][:, match.channels].double()).numpy() - mean) / std
        np.testing.assert_allclose(match.targets, expected, atol=1e-12)
        assert torch.equal(match.weights, torch.ones(1, len(match.channels)))


FUNCTION = """
import numpy as np
calls = []
def flipped(maps, layer, channels):
    calls.append((maps.shape, maps.dtype, layer, channels.tolist()))
    maps[:] = maps[:, :, ::-1]
    return maps
def raises(maps, layer, channels):
    raise ValueError("two\\nlines")
def leaves(maps, layer, channels):
    raise SystemExit("left")
def wrong(maps, layer, channels):
    return maps[:1]
def nothing(maps, layer, channels):
    pass
def words(maps, layer, channels):
    return "maps"
def holes(maps, layer, channels):
    return np.where(maps > 0, maps, np.nan)
no_function = 7
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "own.py"
    path.write_text(FUNCTION)
    return path


def test_a_function_of_ones_own_sees_a_layer_at_a_time(
    pivot: Pivot, maps: Mapping[str, Tensor], file: Path
) -> None:
    function = load_function(f"{file}:flipped", key="function")
    before = {layer: its.clone() for layer, its in maps.items()}
    found = targets_of(pivot, job_for("custom", function="own.py:f"), maps, function=function)
    assert function.__globals__["calls"] == [
        ((channels, SIDES[layer], SIDES[layer]), np.float32, layer, list(range(channels)))
        for layer, channels in LAYERS.items()
    ]
    for layer, match in found.items():
        assert torch.equal(maps[layer], before[layer])
        own = pivot.standardised(maps, layer, np.arange(LAYERS[layer]))
        torch.testing.assert_close(match.targets, own.flip(3), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("raises", "custom function, at layer 'first': ValueError: two lines"),
        ("leaves", "custom function, at layer 'first': SystemExit: left"),
        ("wrong", "returned (1, 4, 4); it has to return maps of shape (5, 4, 4)"),
        ("nothing", "returned (); it has to return maps of shape (5, 4, 4)"),
        ("words", "custom function, at layer 'first': ValueError: could not convert"),
        ("holes", "returned numbers that are none; it has to return maps of shape (5, 4, 4)"),
    ],
)
def test_what_a_function_does_wrong_is_one_line(
    pivot: Pivot, maps: Mapping[str, Tensor], file: Path, function: str, said: str
) -> None:
    job = job_for("custom", function="own.py:f")
    with pytest.raises(RosettaError) as error:
        own = load_function(f"{file}:{function}", key="function")
        targets_of(pivot, job, maps, function=own)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "place", "said"),
    [
        (None, "none.py:f", "function 'none.py:f': no file 'none.py'; write FILE.py:NAME"),
        (None, "f", "function 'f': write FILE.py:NAME or MODULE:NAME"),
        ("", "own.txt:f", "function 'own.txt:f': own.txt is no Python file"),
        (FUNCTION, "own.py:other", "function 'own.py:other': own.py has no function 'other'"),
        (FUNCTION, "own.py:no_function", "function 'own.py:no_function': own.py has no function"),
        (
            "def f(:",
            "own.py:f",
            "function 'own.py:f': SyntaxError: invalid syntax (own.py, line 1)",
        ),
        (
            "\nraise ValueError('two\\nlines')",
            "own.py:f",
            "function 'own.py:f': ValueError: two lines (own.py, line 2)",
        ),
        ("import sys; sys.exit(3)", "own.py:f", "function 'own.py:f': SystemExit: 3"),
        ("import no_such", "own.py:f", "function 'own.py:f': ModuleNotFoundError: No module named"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_one_line(
    content: str | None, place: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(place.partition(":")[0]).write_text(content)
    with pytest.raises(RosettaError) as error:
        load_function(place, key="function")
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)


def test_lowest_activations_and_random_similarities_are_those_of_64_random_images(
    pivot: Pivot, maps: Mapping[str, Tensor], lowest: dict[str, np.ndarray]
) -> None:
    job = job_for("zoom")
    numbers = range(1_000_000, 1_000_064)
    latents = starting_latents(pivot, numbers, seed=0, space="z", classes=None)
    _, every = pivot.look(latents, space="z", classes=None)
    for layer, its in every.items():
        np.testing.assert_allclose(lowest[layer], its.amin(dim=(0, 2, 3)), atol=1e-6)
    objective = loss_of(job, pivot, pivot.match(maps, UNITS), similarity="distance").objective
    own = [pivot.standardised(every, *place) for place in pivot.by_layer(UNITS).items()]
    given = [match.targets for match in pivot.match(maps, UNITS)]
    off = [(a - b).square().mean(dim=(1, 2, 3)) for a, b in zip(own, given, strict=True)]
    random = similarity_of_random_images(pivot, job, objective)
    np.testing.assert_allclose(random, -torch.stack(off).mean(0), rtol=1e-4)


def distance_to(
    pivot: Pivot, matches: Sequence[MapTarget], maps: Mapping[str, Tensor], units: np.ndarray
) -> float:
    """Of some units, the weighted sum of squared distances."""
    total = 0.0
    for match in matches:
        own = pivot.standardised(maps, match.layer, match.channels)
        chosen = np.isin(match.channels, pivot.by_layer(units).get(match.layer, []))
        off = (own - match.targets).square().mean(dim=(2, 3)) * match.weights
        total += float(off[0, torch.from_numpy(chosen)].sum())
    return total


def test_removed_units_are_to_be_as_low_as_ever(
    pivot: Pivot, maps: Mapping[str, Tensor], lowest: dict[str, np.ndarray]
) -> None:
    job = job_for("remove", map_penalty=5.0)
    matches = edited_matches(pivot, job, maps, change=Change(UNITS, "two", lowest), function=None)
    for match in matches[:2]:
        (channel,) = match.channels
        mean, std = (m[channel] for m in pivot.moments[match.layer])
        expected = np.full(match.targets.shape, (lowest[match.layer][channel] - mean) / std)
        np.testing.assert_allclose(match.targets, expected, rtol=1e-6)
    assert [(m.layer, m.channels.tolist()) for m in matches] == [
        ("first", [1]), ("second", [1]), ("first", [0, 2, 3, 4]), ("second", [0, 2]),
    ]  # fmt: skip
    others = np.setdiff1d(pivot.neurons, UNITS)
    assert distance_to(pivot, matches[:2], maps, UNITS) == pytest.approx(1)
    assert distance_to(pivot, matches[2:], maps, others) == 0
    one_off = {
        layer: its + torch.from_numpy(pivot.moments[layer][1])[:, None, None]
        for layer, its in maps.items()
    }
    assert distance_to(pivot, matches[2:], one_off, others) == pytest.approx(5)


def test_added_units_are_to_be_so_many_stds_higher_inside_the_mask(
    pivot: Pivot, maps: Mapping[str, Tensor], lowest: dict[str, np.ndarray]
) -> None:
    mask = np.zeros((8, 8), np.float32)
    mask[:, :4] = 1
    job = job_for("add", amount=3.0)
    change = Change(UNITS, "two", lowest, mask)
    found = edited_matches(pivot, job, maps, change=change, function=None)
    for match in found[:2]:
        own = pivot.standardised(maps, match.layer, match.channels)
        higher = (match.targets - own)[0, 0].numpy()
        np.testing.assert_allclose(higher, np.broadcast_to(higher[:1], higher.shape), atol=1e-12)
        np.testing.assert_allclose(higher[:, [0, -1]], [[3, 0]] * len(higher), atol=1e-12)
        assert (np.diff(higher) <= 1e-12).all()  # on a coarser grid, its edge is soft
        assert higher.mean() == pytest.approx(1.5)
    exact = (found[1].targets - pivot.standardised(maps, "second", found[1].channels))[0, 0]
    np.testing.assert_allclose(exact, 3 * mask, atol=1e-12)


@pytest.mark.parametrize("do", ["add", "remove"])
def test_an_empty_mask_is_one_line(
    pivot: Pivot, maps: Mapping[str, Tensor], lowest: dict[str, np.ndarray], do: str
) -> None:
    change = Change(UNITS, "concept 3", lowest, np.zeros((8, 8), np.float32))
    with pytest.raises(RosettaError) as error:
        edited_matches(pivot, job_for(do), maps, change=change, function=None)
    assert str(error.value) == (
        "made-up: concept 3 has nothing to change there; name other units or a larger mask"
    )


def test_a_mask_is_white_where_units_change(tmp_path: Path) -> None:
    grey = np.array([[0, 51], [255, 102], [0, 0]], np.uint8)
    Image.fromarray(grey).save(tmp_path / "mask.png")
    found = mask_of(tmp_path / "mask.png", size=(3, 2))
    np.testing.assert_allclose(found, [[0, 0.2], [1, 0.4], [0, 0]], atol=1e-6)
    with pytest.raises(RosettaError) as error:
        mask_of(tmp_path / "mask.png", size=(64, 48))
    assert str(error.value) == (
        f"mask {tmp_path}/mask.png: has 2×3 pixels, but the generator draws 48×64; give a mask "
        "of that size"
    )


def stds_higher(pivot: Pivot, maps: Mapping[str, Tensor], by: Mapping[int, float]) -> dict:
    """Maps with some units that many standard deviations higher."""
    found = {layer: its.clone() for layer, its in maps.items()}
    for unit, stds in by.items():
        layer, channel = pivot.units.loc[unit, ["layer", "channel"]]
        found[layer][:, channel] += float(stds * pivot.moments[layer][1][channel])
    return found


def test_changes_are_shares_of_the_activity_above_the_lowest(
    pivot: Pivot, maps: Mapping[str, Tensor], lowest: dict[str, np.ndarray]
) -> None:
    change = Change(UNITS, "two", lowest)

    def activity(unit: int) -> float:
        layer, channel = pivot.units.loc[unit, ["layer", "channel"]]
        above = maps[layer][0, channel].double().mean() - lowest[layer][channel]
        return float(above) / pivot.moments[layer][1][channel]

    chosen = sum(activity(unit) for unit in UNITS)
    others = sum(activity(unit) for unit in pivot.neurons if unit not in UNITS)
    by = {1: -0.5, 6: -0.25, 0: 0.4, 2: -0.3, 7: 0.1}
    found = changed(pivot, change, maps, stds_higher(pivot, maps, by))
    assert found == pytest.approx(
        {
            "activity of the chosen units before (std)": chosen / 2,
            "activity of the chosen units after (std)": (chosen - 0.75) / 2,
            "change of the chosen units (share)": -0.75 / chosen,
            "change of the others (share)": 0.8 / others,  # ups and downs don't cancel
        },
        rel=1e-4,
    )


def test_where_all_rosetta_neurons_are_chosen_no_others_are_measured(
    pivot: Pivot, maps: Mapping[str, Tensor], lowest: dict[str, np.ndarray]
) -> None:
    change = Change(pivot.neurons, "all", lowest)
    found = changed(pivot, change, maps, maps)
    assert found["change of the chosen units (share)"] == 0
    assert not [name for name in found if "others" in name]


def test_moves_are_found_in_the_images_alone() -> None:
    photograph = sample_image("chelsea")[40:232, 98:290]
    before, right = photograph[32:160, 32:160], photograph[32:160, 0:128]
    found = moved(job_for("shift", dx=0.25, dy=-0.5), before, right)
    assert found["moved right (pixels)"] == pytest.approx(32, abs=0.3)
    assert found["moved down (pixels)"] == pytest.approx(0, abs=0.3)
    assert found["asked for, right (pixels)"] == 32
    assert found["asked for, down (pixels)"] == -64
    assert found["agreement of the moved images"] > 0.9
    nearer = np.array(Image.fromarray(before[32:96, 32:96]).resize((128, 128)))
    found = moved(job_for("zoom"), before, nearer)
    assert found["magnified by"] == pytest.approx(2, abs=0.1)
    assert found["asked for"] == 2.0
    assert moved(job_for("copy_paste"), before, right) == {}


class Pixels(PerceptualDistance):
    """Images as they are, as a distance."""

    name, weights = "pixels", (torch.ones(1, 1, 1),)

    def maps(self, images: Tensor) -> list[Tensor]:
        return [images]


def edited(pivot: Pivot, job: Edit, **given: object):
    source = Source(pivot.generator.sample_latents([0]), "seed 0")
    return edit(pivot, job, source, judge=Pixels(), **given)


def value_of(outcome, metric: str) -> float:
    return outcome.metrics.set_index("metric")["value"][metric]


def assert_alike(found: np.ndarray, expected: np.ndarray) -> None:
    """The same images: a batch of another size rounds another way on some processors."""
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_an_edit_begins_at_its_source_and_others_at_random(pivot: Pivot) -> None:
    job = job_for("shift", restarts=3, steps=5, seed=4)
    random = starting_latents(pivot, range(3), seed=4, space="z", classes=None)
    images, _ = pivot.look(
        torch.cat([pivot.generator.sample_latents([0]), random]), space="z", classes=None
    )
    outcome = edited(pivot, job)
    assert np.array_equal(outcome.before, images[:1])
    assert_alike(outcome.descended.frames[0], images[[0, 2, 3]])
    pasted = edited(pivot, job.model_copy(update={"kind": "copy_paste"}))
    assert np.array_equal(pasted.before, images[:1])
    assert_alike(pasted.descended.frames[0], images[1:])
    assert outcome.latents.shape == (3, 6) and len(outcome.best) == 1


@pytest.mark.parametrize("do", ["remove", "add"])
@pytest.mark.parametrize("held_by", ["map_penalty", "activity_penalty"])
def test_chosen_units_change_and_others_are_held(
    pivot: Pivot, lowest: dict[str, np.ndarray], do: str, held_by: str
) -> None:
    change = Change(UNITS[:1], "first/1", lowest)
    settings = {"steps": 60, "regulariser_weight": 0.0, "map_penalty": 0.0, "activity_penalty": 0.0}
    free, held = (
        edited(pivot, job_for(do, **{**settings, held_by: hold}), change=change)
        for hold in (0.0, 30.0)
    )
    name = "change of the {} (share)"
    up = 1 if do == "add" else -1
    assert up * value_of(free, name.format("chosen units")) > 0.1
    assert up * value_of(held, name.format("chosen units")) > 0
    assert value_of(held, name.format("others")) < 0.5 * value_of(free, name.format("others"))
    before, after = (
        value_of(free, f"similarity to the edited maps {when}") for when in ("before", "after")
    )
    assert after > before + 0.1


def test_all_rosetta_neurons_can_be_removed(pivot: Pivot, lowest: dict[str, np.ndarray]) -> None:
    change = Change(pivot.neurons, "all", lowest)
    outcome = edited(pivot, job_for("remove", steps=20), change=change)
    assert value_of(outcome, "change of the chosen units (share)") < -0.01
    assert np.isfinite(outcome.metrics["value"]).all()


@pytest.mark.parametrize(
    ("settings", "about"),
    [
        ({"kind": "zoom"}, "zoomed in twice"),
        ({"kind": "shift"}, "shifted right by 25% of the side"),
        (
            {"kind": "shift", "dx": -0.5, "dy": 0.1},
            "shifted left by 50% of the side and down by 10% of the side",
        ),
        ({"kind": "shift", "dx": 0.0}, "shifted by nothing"),
        ({"kind": "copy_paste"}, "halves pasted 25% of the side apart"),
        ({"kind": "custom", "function": "own.py:f"}, "changed by own.py:f"),
    ],
)
def test_an_edit_says_what_was_done(pivot: Pivot, settings: dict, about: str) -> None:
    function = (lambda maps, *_: maps) if settings["kind"] == "custom" else None
    outcome = edited(pivot, job_for(steps=1, **settings), function=function)
    assert outcome.about == f"{about}, of seed 0"
