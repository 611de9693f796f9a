"""Crops and resizing; reading has tests of its own with the targets."""

import numpy as np
import pytest

from rosetta_core.errors import RosettaError
from rosetta_core.io.images import crop_square, resize_image


def numbered(height: int, width: int) -> np.ndarray:
    """An image whose channels are row, column and 0."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, np.zeros_like(rows)], axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "corner"),
    [((5, 8), (0, 1)), ((8, 5), (1, 0)), ((4, 7), (0, 1)), ((6, 10), (0, 2)), ((5, 5), (0, 0))],
)
def test_the_central_square(size: tuple[int, int], corner: tuple[int, int]) -> None:
    """With an odd remainder, the further row or column is cut at the end."""
    found = crop_square(numbered(*size))
    side = min(size)
    assert found.shape == (side, side, 3)
    assert found[0, 0, :2].tolist() == list(corner)
    assert found[-1, -1, :2].tolist() == [corner[0] + side - 1, corner[1] + side - 1]


def test_a_box_is_left_top_and_side() -> None:
    found = crop_square(numbered(9, 7), (3, 1, 4))
    assert found[0, 0, :2].tolist() == [1, 3]
    assert found.shape == (4, 4, 3)


@pytest.mark.parametrize("box", [(-1, 0, 3), (0, -1, 3), (5, 0, 3), (0, 7, 3), (0, 0, 0)])
def test_a_box_beyond_the_image(box: tuple[int, int, int]) -> None:
    with pytest.raises(RosettaError, match="exceeds the image, which is 7 pixels wide and 9 high"):
        crop_square(numbered(9, 7), box)


def test_a_crop_is_a_copy() -> None:
    image = numbered(4, 4)
    crop_square(image)[:] = 255
    np.testing.assert_array_equal(image, numbered(4, 4))


def test_resizing_takes_height_and_width() -> None:
    assert resize_image(numbered(20, 30), (10, 6)).shape == (10, 6, 3)
    np.testing.assert_array_equal(resize_image(numbered(6, 6), (6, 6)), numbered(6, 6))
