"""PSNR and SSIM are as defined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from skimage import data

from rosetta_core.errors import RosettaError
from rosetta_core.steering.metrics.image_similarity import psnr, ssim

IMAGE = data.astronaut()[60:124, 180:244]
FINITE = st.floats(-1e6, 1e6)


def noisy(image: NDArray[np.uint8], deviation: float) -> NDArray[np.uint8]:
    noise = np.random.default_rng(0).normal(0, deviation, image.shape)
    return np.clip(image + noise, 0, 255).round().astype(np.uint8)


bytes_of_two = arrays(np.uint8, (2, 5, 4, 3))


@given(bytes_of_two)
def test_psnr_is_its_definition(two: NDArray[np.uint8]) -> None:
    one, other = two.astype(np.float64)
    error = ((one - other) ** 2).mean()
    if error:
        assert psnr(*two) == pytest.approx(10 * np.log10(255**2 / error), rel=1e-12)
        assert psnr(*two) == psnr(*two[::-1])


def test_identical_images_have_the_psnr_of_the_least_difference() -> None:
    other = IMAGE.copy()
    other[3, 4, 1] ^= 1
    assert psnr(IMAGE, IMAGE) == pytest.approx(psnr(IMAGE, other), rel=1e-12)
    other[5, 6, 0] ^= 1
    assert psnr(IMAGE, other) < psnr(IMAGE, IMAGE) == pytest.approx(89.03, abs=0.01)


def ssim_by_definition(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Equations 13 to 17 of Wang et al. (2004), window by window."""
    offset = np.arange(-5, 6)
    bell = np.exp(-(offset**2) / (2 * 1.5**2))
    weights = np.outer(bell, bell) / bell.sum() ** 2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = []
    for y in range(one.shape[0] - 10):
        for x in range(one.shape[1] - 10):
            for channel in range(3):
                a, b = (
                    image[y : y + 11, x : x + 11, channel].astype(float) for image in (one, other)
                )
                mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
                spread_a, spread_b = (
                    (weights * (part - mean) ** 2).sum()
                    for part, mean in ((a, mean_a), (b, mean_b))
                )
                together = (weights * (a - mean_a) * (b - mean_b)).sum()
                found.append(
                    (2 * mean_a * mean_b + c1)
                    * (2 * together + c2)
                    / ((mean_a**2 + mean_b**2 + c1) * (spread_a + spread_b + c2))
                )
    return float(np.mean(found))


@pytest.mark.parametrize("deviation", [2, 15, 60])
def test_ssim_is_its_definition(deviation: float) -> None:
    image = IMAGE[20:36, 20:41]
    other = noisy(image, deviation)
    assert ssim(image, other) == pytest.approx(ssim_by_definition(image, other), abs=1e-9)


def test_more_noise_agrees_less() -> None:
    for measure in (psnr, ssim):
        found = [measure(noisy(IMAGE, deviation), IMAGE) for deviation in (0, 2, 8, 30)]
        assert found == sorted(found, reverse=True) and len(set(found)) == 4
    assert ssim(IMAGE, IMAGE) == 1


@pytest.mark.parametrize("measure", [psnr, ssim])
@pytest.mark.parametrize(
    ("image", "said"),
    [
        (IMAGE[:-1], "resize one"),
        (IMAGE / 255, "float64"),
        (IMAGE[..., 0], r"\(64, 64\)"),
        (IMAGE[..., :2], "uint8"),
    ],
)
def test_images_that_cannot_be_compared(measure, image: NDArray, said: str) -> None:
    with pytest.raises(RosettaError, match=said) as error:
        measure(IMAGE, image)
    assert "\n" not in str(error.value)


def test_images_smaller_than_the_window_of_ssim() -> None:
    with pytest.raises(RosettaError, match="10×64 pixels"):
        ssim(IMAGE[:10], IMAGE[:10])
    assert ssim(IMAGE[:11], IMAGE[:11]) == 1
