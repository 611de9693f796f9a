"""Heat maps over images."""

import numpy as np

from rosetta_core.drawing.heatmap import contrast, overlay


def test_overlay_is_warm_where_the_unit_is_active_and_grey_elsewhere() -> None:
    image = np.full((64, 64, 3), (40, 160, 90), np.uint8)
    activation = np.zeros((4, 4), np.float32)
    activation[0, 3] = 5
    drawn = overlay(image, activation, full=5, size=96).astype(int)
    assert drawn.shape == (96, 96, 3)
    hot, cold = drawn[4, 91], drawn[90, 5]
    assert hot[0] > 1.5 * hot[2]
    assert np.ptp(cold) < np.ptp(image[0, 0]) / 2


def test_noise_is_not_amplified() -> None:
    assert contrast(np.array([-3.0, 0.1], np.float32)) == 1
