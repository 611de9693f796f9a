"""Networks that fail, change shape or exceed float16 while their maps are recorded."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rosetta_core.errors import RosettaError
from rosetta_core.mining.sources.live import LiveActivations
from rosetta_core.mining.sources.recording import record_shard
from rosetta_core.mining.sources.stored import StoredActivations
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.layers import Layer
from rosetta_core.zoo.model_spec import Input
from rosetta_core.zoo.network import Encoder

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), dtype=np.uint8)
IMAGES[3] = 255


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function, self.act = function, nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.function(x))


def source(function: Callable[[Tensor], Tensor], **given: object) -> LiveActivations:
    seen = Input(size=4, mean=[0] * 3, std=[1] * 3)
    return LiveActivations(
        Encoder(network=Applied(function).eval(), input=seen),
        name="mine",
        layers=[Layer("act", 3, 4, 4)],
        inputs=lambda images: (IMAGES[images.start : images.stop],),
        images=6,
        batch_size=2,
        device=torch.device("cpu"),
        first_image=10,
        **given,
    )


def record(maps: LiveActivations, store: Path) -> None:
    record_shard(
        maps, store, images=range(10, 16), memory_budget=2**26, threads=1, about={"model": "mine"}
    )


def refuse_white(x: Tensor) -> Tensor:
    if (x == 1).all((1, 2, 3)).any():
        raise ValueError("too\nwhite")
    return x


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (
            refuse_white,
            r"mine: the network fails on images 12 to 13 \(ValueError: too white\); correct its",
        ),
        (
            lambda x: x[:, :, :3] if x.mean() > 0.6 else x,
            r"mine: layer 'act', image 12: the maps have shape \(2, 3, 3, 4\), not \(2, 3, 4, 4\)",
        ),
        (
            lambda x: x.mean(0, keepdim=True) if len(x) == 2 and x.mean() > 0.6 else x,
            r"image 12: the maps have shape \(1, 3, 4, 4\)",
        ),
    ],
)
def test_what_a_network_does_wrong_names_the_model_and_the_images(
    tmp_path: Path, function: Callable[[Tensor], Tensor], problem: str
) -> None:
    with pytest.raises(RosettaError, match=problem) as caught:
        record(source(function), tmp_path / "a.zarr")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_activations_beyond_float16_are_stored_as_float32_on_request(tmp_path: Path) -> None:
    def scale(x: Tensor) -> Tensor:
        return x * 1e6

    with pytest.raises(
        RosettaError, match=r"±65504 .*; set float32_layers: \[act\] in the model's"
    ):
        record(source(scale), tmp_path / "a.zarr")
    record(source(scale, float32=["act"]), tmp_path / "b.zarr")
    stored = StoredActivations([tmp_path / "b.zarr"])
    live = source(scale, float32=["act"])
    with TorchThreadPool(1) as workers:
        live.load(range(6), workers)
    expected = torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255 * 1e6
    for maps in (stored, live):
        assert maps.read(0, range(6)).dtype == torch.float32
        torch.testing.assert_close(maps.read(0, range(6)), expected, rtol=1e-6, atol=0)
        mean = maps.moments()[0].mean
        np.testing.assert_allclose(mean, expected.double().mean((0, 2, 3)), rtol=1e-6)
    assert live.bytes_per_image() == 4 * 3 * 16


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_activations_that_are_no_numbers_are_refused_in_any_type(value: float) -> None:
    for types in ([], ["act"]):
        maps = source(lambda x: torch.where(x == 1, value, x), float32=types)
        with pytest.raises(RosettaError, match="image 1") as caught, TorchThreadPool(1) as workers:
            maps.load(range(6), workers)
        offered = "float32_layers" in str(caught.value)
        assert offered == (not types and value == float("inf"))


@pytest.mark.parametrize("count", [1, 3, 5, 6])
def test_shards_of_any_number_of_images_are_read_as_they_were_written(
    tmp_path: Path, count: int
) -> None:
    """Blocks are powers of two, so the last one may reach beyond the images."""
    maps = source(lambda x: x)
    maps.images = count
    store = tmp_path / "a.zarr"
    record_shard(
        maps, store, images=range(count), memory_budget=2**26, threads=1, about={"model": "mine"}
    )
    expected = torch.from_numpy(IMAGES[:count]).permute(0, 3, 1, 2).half() / 255
    read = StoredActivations([store]).read(0, range(count))
    torch.testing.assert_close(read, expected, rtol=1e-3, atol=1e-3)
