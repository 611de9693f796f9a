"""Known shifts and scales come back from the images alone."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from torch import Tensor, nn

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths
from rosetta_core.steering.metrics.registration import displacement, magnification
from rosetta_core.zoo.encoders.preprocessing import to_bytes
from rosetta_core.zoo.loading import load

Pixels = NDArray[np.uint8]
SIDE = 64
PICTURES = [
    np.asarray(Image.fromarray(picture).reduce(3))  # 170×170, 133×200 and 100×150
    for picture in (data.astronaut(), data.coffee(), data.chelsea())
]
FAR = 16
pictures = st.sampled_from(PICTURES)
shifts = st.integers(-FAR, FAR)
shares = st.floats(0, 1)
TURNS: list[Callable[[Pixels], Pixels]] = [
    lambda image: image,
    lambda image: np.clip(image * [0.6, 0.8, 1.1] + [30, -20, 10], 0, 255).astype(np.uint8),
    lambda image: np.clip(
        image + np.random.default_rng(0).normal(0, 12, image.shape), 0, 255
    ).astype(np.uint8),
]
turns = st.sampled_from(TURNS)


def views(picture: Pixels, down: int, right: int, where: tuple[float, float]) -> list[Pixels]:
    """Two crops of a picture; its content is that far down and right of itself in the second."""
    y, x = (
        FAR + round(share * (side - SIDE - 2 * FAR))
        for share, side in zip(where, picture.shape, strict=False)
    )
    return [
        picture[top : top + SIDE, left : left + SIDE]
        for top, left in ((y, x), (y - down, x - right))
    ]


def zoomed(picture: Pixels, scale: float, side: int = SIDE) -> list[Pixels]:
    """A view of a picture's middle, and the view in which it is enlarged."""
    height, width = picture.shape[:2]
    seen = []
    for size in (min(height, width) / max(1, 1 / scale), min(height, width) / max(scale, 1)):
        left, top = (width - size) / 2, (height - size) / 2
        box = (left, top, left + size, top + size)
        seen.append(np.asarray(Image.fromarray(picture).resize((side, side), box=box)))
    return seen


@given(pictures, shifts, shifts, st.tuples(shares, shares), turns)
def test_known_shifts_come_back(picture, down, right, where, turn) -> None:
    before, after = views(picture, down, right, where)
    found = displacement(before, turn(after))
    assert (found.dy, found.dx) == (pytest.approx(down, abs=1), pytest.approx(right, abs=1))
    assert 0.5 < found.agreement <= 1


@pytest.mark.parametrize(("down", "right"), [(32, 0), (-32, 0), (0, 32), (0, -32)])
def test_a_shift_by_half_the_side_is_finite(down: int, right: int) -> None:
    """Its neighbour has an overlap below the limit, so no parabola can be fitted."""
    picture = data.astronaut()[:256, 100:356]
    y, x = 96, 96
    before, after = (
        picture[top : top + 64, left : left + 64] for top, left in ((y, x), (y - down, x - right))
    )
    found = displacement(before, after)
    assert (found.dy, found.dx) == (down, right)
    assert found.agreement == pytest.approx(1, abs=0.05)


@given(pictures, shifts, shifts)
def test_the_way_back_is_the_opposite(picture, down, right) -> None:
    before, after = views(picture, down, right, (0.5, 0.5))
    there, back = displacement(before, after), displacement(after, before)
    assert (back.dy, back.dx) == pytest.approx((-there.dy, -there.dx), abs=1e-6)
    assert back.agreement == pytest.approx(there.agreement)


def test_parts_of_a_pixel() -> None:
    picture = data.astronaut()[:400, :400]
    for part in (0, 1, 2, 3):  # of four
        before = Image.fromarray(picture[40:296, 40:296]).reduce(4)
        after = Image.fromarray(picture[40 - part : 296 - part, 40 + part : 296 + part]).reduce(4)
        found = displacement(np.asarray(before), np.asarray(after))
        assert (found.dy, found.dx) == pytest.approx((part / 4, -part / 4), abs=0.1)


def test_content_that_is_partly_replaced() -> None:
    for number, picture in enumerate(PICTURES):
        before, after = views(picture, 7, -9, (0.5, 0.5))
        after = after.copy()
        other = PICTURES[number - 1]
        after[10:40, 25:60] = other[10:40, 25:60]  # a quarter
        found = displacement(before, after)
        assert (found.dy, found.dx) == (pytest.approx(7, abs=1), pytest.approx(-9, abs=1))
        assert found.agreement < displacement(*views(picture, 7, -9, (0.5, 0.5))).agreement


def test_only_what_both_images_show_counts() -> None:
    """Faint content moves up; strong content above it is lost."""
    random = np.random.default_rng(0)
    levels = np.full((SIDE + 16, SIDE, 1), 120.0)
    levels[:16] += random.choice([-100, 100], (16, SIDE, 1))
    levels[16:] += random.normal(0, 4, (SIDE, SIDE, 1))
    picture = np.repeat(levels.round().astype(np.uint8), 3, axis=2)
    for before, after, down in (
        (picture[:-16], picture[16:], -16),
        (picture[16:], picture[:-16], 16),
    ):
        found = displacement(before, after)
        assert (found.dy, found.dx) == (
            pytest.approx(down, abs=0.5),
            pytest.approx(0, abs=0.5),
        )
        assert found.agreement > 0.7


def test_other_shapes() -> None:
    picture = data.coffee()
    before, after = picture[100:300, 100:440], picture[60:260, 190:530]
    found = displacement(before, after)
    assert (found.dy, found.dx) == (pytest.approx(40, abs=1), pytest.approx(-90, abs=1))
    whole = Image.fromarray(picture).resize((150, 100))
    half = Image.fromarray(picture[100:300, 150:450]).resize((150, 100))
    found = magnification(np.asarray(whole), np.asarray(half))
    assert found.scale == pytest.approx(2, rel=0.02)


@given(pictures, st.floats(0.5, 2), turns)
@example(PICTURES[0], 3.0, TURNS[0])
@settings(max_examples=30)
def test_known_scales_come_back(picture, scale, turn) -> None:
    before, after = zoomed(picture, scale)
    found = magnification(before, turn(after))
    assert found.scale == pytest.approx(scale, rel=0.05)
    assert 0.5 < found.agreement <= 1


@given(pictures, st.floats(0.5, 2))
@settings(max_examples=10)
def test_the_way_back_is_the_inverse_scale(picture, scale) -> None:
    before, after = zoomed(picture, scale)
    there, back = magnification(before, after), magnification(after, before)
    assert back.scale == pytest.approx(1 / there.scale)
    assert back.agreement == pytest.approx(there.agreement)


@pytest.mark.parametrize("off", [(2, -3), (-3, 0)])
def test_scales_of_content_whose_centre_moved(off: tuple[int, int]) -> None:
    for scale in (0.7, 1.0, 1.5):
        before, after = zoomed(PICTURES[0], scale)
        after = np.roll(after, off, (0, 1))
        assert magnification(before, after).scale == pytest.approx(scale, rel=0.05)


def stripes(period: int) -> Pixels:
    return np.broadcast_to(
        ((np.arange(SIDE) // period % 2) * 255).astype(np.uint8)[:, None, None], (SIDE, SIDE, 3)
    )


@pytest.mark.parametrize(
    "image",
    [
        *[views(picture, 0, 0, (0.2, 0.7))[0] for picture in PICTURES],
        stripes(2),
        stripes(3).transpose(1, 0, 2),
        np.full((SIDE, SIDE, 3), 77, np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.broadcast_to(2 * np.arange(SIDE, dtype=np.uint8)[:, None], (SIDE, SIDE, 3)),  # a ramp
    ],
)
def test_an_unchanged_image_did_not_move(image: Pixels) -> None:
    moved, larger = displacement(image, image), magnification(image, image)
    assert (moved.dy, moved.dx) == pytest.approx((0, 0), abs=1e-6)
    assert larger.scale == pytest.approx(1)
    agreement = pytest.approx(1 if np.ptp(image) else 0)
    assert moved.agreement == agreement and larger.agreement == agreement


def test_a_flat_image_agrees_with_nothing() -> None:
    flat = np.full((SIDE, SIDE, 3), 200, np.uint8)
    image = PICTURES[0][:SIDE, :SIDE]
    for before, after in ((flat, image), (image, flat)):
        found = displacement(before, after)
        assert (found.dy, found.dx, found.agreement) == (0, 0, 0)
        assert (magnification(before, after).scale, magnification(before, after).agreement) == (
            1,
            0,
        )


def test_different_pictures_agree_little() -> None:
    one, other = (views(picture, 0, 0, (0.5, 0.5))[0] for picture in PICTURES[:2])
    assert displacement(one, other).agreement < 0.4
    assert magnification(one, other).agreement < 0.4


def test_agreement_of_a_negative_at_its_place_is_not_taken() -> None:
    image = PICTURES[0][40:104, 60:124]
    found = displacement(image, 255 - image)
    assert (round(found.dy), round(found.dx)) != (0, 0) and found.agreement < 0.6


@pytest.mark.parametrize(("layer", "stride"), [("main.5", 8), ("main.8", 4), ("main.11", 2)])
def test_moving_a_generators_maps_moves_its_faces(weights: Config, layer: str, stride: int) -> None:
    model = weights.pivot
    generator = load(model, RunPaths(weights).weights(model), device=torch.device("cpu"))
    latents = generator.sample_latents(range(8))

    def drawn() -> NDArray[np.uint8]:
        with torch.no_grad():
            return np.asarray(to_bytes(generator.network(latents)))

    def moved(_module: nn.Module, _inputs: tuple, maps: Tensor) -> Tensor:
        down, right = 16 // stride, -8 // stride
        padded = nn.functional.pad(maps, (0, -right, down, 0), mode="replicate")
        return padded[..., : maps.shape[-2], -right:]

    before = drawn()
    hook = generator.network.get_submodule(layer).register_forward_hook(moved)
    after = drawn()
    hook.remove()
    for one, other in zip(before, after, strict=True):
        found = displacement(one, other)
        assert (found.dy, found.dx) == (pytest.approx(16, abs=1), pytest.approx(-8, abs=1))
        assert found.agreement > 0.6


@pytest.mark.parametrize("measured", [displacement, magnification])
def test_images_that_cannot_be_compared(measured) -> None:
    image = PICTURES[0]
    for other in (image[:-1], image.astype(np.float32), image[..., 0]):
        with pytest.raises(RosettaError, match="comparing images"):
            measured(image, other)
