"""Transforms of maps follow their definitions, and their metrics register the images."""

from collections.abc import Mapping
from typing import get_args

import numpy as np
import pytest
import torch
from affine import LAYERS, affine_generator
from PIL import Image
from torch import Tensor
from torch.nn import functional

from rosetta_core.config.edits import EDIT_PARAMETERS, EditKind
from rosetta_core.errors import RosettaError
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.images import sample_image
from rosetta_core.steering.jobs.editing import EDITS
from rosetta_core.steering.jobs.transform_edits import (
    CopyPaste,
    Custom,
    Shift,
    TransformEdit,
    Zoom,
    copy_paste,
    shift,
    zoom,
)

SIDES = {"first": 4, "second": 8}


def random_maps(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).double()


@pytest.fixture(scope="module")
def generator() -> SteeredGenerator:
    return affine_generator(enlarged=2)


@pytest.fixture(scope="module")
def maps(generator: SteeredGenerator) -> Mapping[str, Tensor]:
    return generator.render(generator.generator.sample_latents([0]), space="z", classes=None)[1]


def test_the_configuration_and_the_library_know_the_same_kinds() -> None:
    assert set(EDITS) == set(get_args(EditKind)) == set(EDIT_PARAMETERS)


@pytest.mark.parametrize("size", [(4, 4), (8, 6), (5, 7), (1, 1)])
def test_zoom_doubles_bilinearly_and_keeps_the_centre(size: tuple[int, int]) -> None:
    maps = random_maps(2, 3, *size)
    twice = functional.interpolate(maps, scale_factor=2, mode="bilinear", align_corners=False)
    top, left = (side // 2 for side in size)
    expected = twice[..., top : top + size[0], left : left + size[1]]
    torch.testing.assert_close(zoom(maps), expected)


def test_zoom_keeps_a_central_square_in_the_centre() -> None:
    maps = torch.zeros(8, 8)
    maps[3:5, 3:5] = 1
    expected = torch.zeros(8, 8)
    expected[2:6, 2:6] = torch.tensor([0.75, 1, 1, 0.75]).outer(torch.tensor([0.75, 1, 1, 0.75]))
    assert torch.equal(zoom(maps)[2:6, 2:6], expected[2:6, 2:6])
    assert torch.equal(zoom(maps), zoom(maps).flip(0))


@pytest.mark.parametrize(("dy", "dx"), [(2, 0), (-3, 0), (0, 1), (0, -2), (5, -6), (-1, 3)])
def test_shifts_by_whole_positions_are_exact(dy: int, dx: int) -> None:
    maps, expected = random_maps(2, 8, 8), torch.zeros(2, 8, 8).double()
    for y in range(8):
        for x in range(8):
            if 0 <= y - dy < 8 and 0 <= x - dx < 8:
                expected[:, y, x] = maps[:, y - dy, x - dx]
    assert torch.equal(shift(maps, dy=dy / 8, dx=dx / 8), expected)


@pytest.mark.parametrize("share", [0.25, -0.25, 0.1, -0.9, 1.0])
def test_shifts_by_fractions_of_positions_are_interpolated(share: float) -> None:
    maps = random_maps(5, 7)
    places, values = np.arange(-1, 6), np.pad(maps.numpy(), ((1, 1), (0, 0)))
    for x in range(7):
        expected = np.interp(np.arange(5) - 5 * share, places, values[:, x], left=0, right=0)
        np.testing.assert_allclose(shift(maps, dy=share)[:, x], expected, atol=1e-12)
    transposed = shift(maps.T.contiguous(), dx=share)
    torch.testing.assert_close(transposed, shift(maps, dy=share).T)


def test_a_shift_by_zero_is_the_identity() -> None:
    maps = random_maps(3, 5, 4)
    assert torch.equal(shift(maps), maps)


@pytest.mark.parametrize("dx", [0.25, 0.3])
def test_copy_paste_joins_two_shifts(dx: float) -> None:
    maps = random_maps(2, 4, 8)
    pasted = copy_paste(maps, dx=dx)
    assert torch.equal(pasted[..., :4], shift(maps, dx=-dx)[..., :4])
    assert torch.equal(pasted[..., 4:], shift(maps, dx=dx)[..., 4:])


def test_copy_paste_repeats_the_centre() -> None:
    maps = torch.arange(8.0).repeat(8, 1)
    expected = torch.tensor([2.0, 3, 4, 5, 2, 3, 4, 5])
    assert torch.equal(copy_paste(maps, dx=0.25), expected.repeat(8, 1))


@pytest.mark.parametrize(
    ("edit", "transform"),
    [
        (Zoom(), zoom),
        (Shift(dx=0.25, dy=-0.5), lambda m: shift(m, dx=0.25, dy=-0.5)),
        (CopyPaste(dx=0.5), lambda m: copy_paste(m, dx=0.5)),
    ],
)
def test_maps_of_rosetta_neurons_are_transformed_then_standardised(
    maps: Mapping[str, Tensor], edit: TransformEdit, transform
) -> None:
    some = affine_generator(neurons=7)  # units of the first layer, and two of the second
    targets = {target.layer: target for target in edit.targets(some, maps)}
    assert {layer: target.channels.tolist() for layer, target in targets.items()} == {
        "first": [0, 1, 2, 3, 4], "second": [0, 1],
    }  # fmt: skip
    for layer, target in targets.items():
        mean, std = (m[target.channels, None, None] for m in some.moments[layer])
        expected = (transform(maps[layer][:, target.channels].double()).numpy() - mean) / std
        np.testing.assert_allclose(target.targets, expected, atol=1e-12)
        assert torch.equal(target.weights, torch.ones(1, len(target.channels)))


def test_a_function_receives_one_layer_at_a_time(
    generator: SteeredGenerator, maps: Mapping[str, Tensor]
) -> None:
    calls = []

    def mirror(maps, layer, channels):
        calls.append((maps.shape, maps.dtype, layer, channels.tolist()))
        maps[:] = maps[:, :, ::-1]
        return maps

    before = {layer: layer_maps.clone() for layer, layer_maps in maps.items()}
    targets = Custom(mirror).targets(generator, maps)
    assert calls == [
        ((channels, SIDES[layer], SIDES[layer]), np.float32, layer, list(range(channels)))
        for layer, channels in LAYERS.items()
    ]
    for target in targets:
        assert torch.equal(maps[target.layer], before[target.layer])
        own = generator.standardise(maps, target.layer, np.arange(LAYERS[target.layer]))
        torch.testing.assert_close(target.targets, own.flip(3), atol=1e-6, rtol=0)


def raises(maps, layer, channels):
    raise ValueError("two\nlines")


def leaves(maps, layer, channels):
    raise SystemExit("left")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (raises, "at layer 'first': ValueError: two lines"),
        (leaves, "at layer 'first': SystemExit: left"),
        (
            lambda maps, *_: maps[:1],
            "returned shape (1, 4, 4); return finite maps of shape (5, 4, 4)",
        ),
        (lambda *_: None, "returned shape (); return finite maps of shape (5, 4, 4)"),
        (lambda *_: "maps", "at layer 'first': ValueError: could not convert"),
        (
            lambda maps, *_: np.where(maps > 0, maps, np.nan),
            "returned maps that are not finite; return finite maps of shape (5, 4, 4)",
        ),
    ],
)
def test_an_error_of_a_function_is_one_line(
    generator: SteeredGenerator, maps: Mapping[str, Tensor], function, message: str
) -> None:
    with pytest.raises(RosettaError) as error:
        Custom(function).targets(generator, maps)
    assert str(error.value).startswith("custom function, at layer 'first': ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("edit", "caption"),
    [
        (Zoom(), "zoomed in twice"),
        (Shift(), "shifted right by 25% of the side"),
        (
            Shift(dx=-0.5, dy=0.1),
            "shifted left by 50% of the side and down by 10% of the side",
        ),
        (Shift(dx=0.0, dy=-1.0), "shifted up by 100% of the side"),
        (Shift(dx=0.0), "shifted by 0% of the side"),
        (CopyPaste(), "halves pasted 25% of the side apart"),
        (Custom(lambda maps, *_: maps, "own.py:f"), "changed by own.py:f"),
    ],
)
def test_captions(edit: TransformEdit, caption: str) -> None:
    assert edit.caption == caption


def test_moves_are_measured_in_the_images_alone() -> None:
    photograph = sample_image("chelsea")[40:232, 98:290]
    before, after = photograph[32:160, 32:160], photograph[48:176, 0:128]
    metrics = Shift(dx=0.25, dy=-0.5).image_metrics(before, after)
    assert metrics["displacement to the right (pixels)"] == pytest.approx(32, abs=0.3)
    assert metrics["displacement downwards (pixels)"] == pytest.approx(-16, abs=0.3)
    assert metrics["target displacement to the right (pixels)"] == 32
    assert metrics["target displacement downwards (pixels)"] == -64
    assert metrics["agreement after registration"] > 0.9


def test_target_displacements_are_shares_of_width_and_height() -> None:
    image = sample_image("chelsea")[40:104, 98:226]  # 64 × 128
    metrics = Shift(dx=0.25, dy=0.25).image_metrics(image, image)
    assert metrics["target displacement to the right (pixels)"] == 32
    assert metrics["target displacement downwards (pixels)"] == 16
    assert metrics["displacement to the right (pixels)"] == pytest.approx(0, abs=1e-6)


def test_magnification_is_measured_in_the_images_alone() -> None:
    before = sample_image("chelsea")[72:200, 130:258]
    nearer = np.array(Image.fromarray(before[32:96, 32:96]).resize((128, 128)))
    metrics = Zoom().image_metrics(before, nearer)
    assert metrics["magnification"] == pytest.approx(2, abs=0.1)
    assert metrics["target magnification"] == 2.0
    assert metrics["agreement after registration"] > 0.5
    assert CopyPaste().image_metrics(before, nearer) == {}
