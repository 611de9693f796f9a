"""Perceptual distances are what their formula says, and an image can be optimised by them."""

import copy
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.image import learned_perceptual_image_patch_similarity
from torchvision import models

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths
from rosetta_core.steering.metrics.lpips import Lpips
from rosetta_core.steering.metrics.perceptual import FeatureDistance
from rosetta_core.zoo.encoders import timm as timm_encoder
from rosetta_core.zoo.encoders.preprocessing import preprocess_pixels
from rosetta_core.zoo.loading import layers_of, load
from rosetta_core.zoo.model_spec import Input, ModelSpec
from rosetta_core.zoo.network import Encoder
from rosetta_core.zoo.weights import download

CPU = torch.device("cpu")
SQUEEZE, ALEX = "squeezenet1_1-b8a52dc0.pth", "alexnet-owt-7be5be79.pth"


def picture(source: np.ndarray, *, top: int, left: int) -> Tensor:
    """64×64 pixels, every second of a part of a photograph, (1, 3, 64, 64) in -1..1."""
    part = source[top : top + 128 : 2, left : left + 128 : 2].astype(np.float32)
    return torch.from_numpy(part).permute(2, 0, 1)[None] / 127.5 - 1


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    """A face, another part of its photograph, and a cat (3, 3, 64, 64)."""
    face, hand = (picture(data.astronaut(), top=top, left=160) for top in (60, 300))
    return torch.cat([face, hand, picture(data.chelsea(), top=60, left=120)])


def loaded(weights: Config, name: str, *, size: int | None = None) -> tuple[ModelSpec, Encoder]:
    model = weights.model(name)
    encoder = load(model, RunPaths(weights).weights(model), device=CPU)
    assert isinstance(encoder, Encoder)
    if size:
        encoder = replace(encoder, input=encoder.input.model_copy(update={"size": size}))
    return model, encoder


@pytest.fixture(scope="module")
def mobilenet(weights: Config) -> FeatureDistance:
    return FeatureDistance(loaded(weights, "mobilenet_v2", size=64)[1], name="mobilenet_v2")


def by_definition(maps: list[Tensor], others: list[Tensor]) -> list[float]:
    """The mean over layers and positions of the squared distance between unit vectors."""
    layers = []
    for own, other in zip(maps, others, strict=True):
        x, y = (m.numpy().transpose(0, 2, 3, 1) for m in (own, other))  # (n, h, w, c)
        x, y = (m / np.maximum(np.linalg.norm(m, axis=3, keepdims=True), 1e-12) for m in (x, y))
        layers.append(((x - y) ** 2).sum(3).mean((1, 2)))
    return np.mean(layers, axis=0).tolist()


def maps_in_float64(encoder: Encoder, layers: list[str], images: Tensor) -> list[Tensor]:
    seen, network = [], copy.deepcopy(encoder.network).double()
    for layer in layers:
        network.get_submodule(layer).register_forward_hook(
            lambda _module, _inputs, output: seen.append(output.clone())
        )
    side = (encoder.input.size,) * 2
    mean, std = (
        torch.tensor(v).double()[:, None, None] for v in (encoder.input.mean, encoder.input.std)
    )
    pixels = functional.interpolate(
        (images.double() + 1) / 2, side, mode=encoder.input.interpolation, antialias=True
    ).clamp(0, 1)
    with torch.no_grad():
        network((pixels - mean) / std)
    return seen


@pytest.mark.parametrize(
    ("name", "size"), [("mobilenet_v2", 48), ("efficientnet_lite0", 40), ("mtcnn_onet", None)]
)
def test_the_distance_over_a_real_network_follows_its_formula(weights, pictures, name, size):
    _, encoder = loaded(weights, name, size=size)
    distance = FeatureDistance(encoder, name=name)
    targets = pictures.roll(1, 0)
    found = distance(pictures, distance.features(targets))
    expected = by_definition(
        *(maps_in_float64(encoder, distance.layers, x) for x in (pictures, targets))
    )
    assert found.tolist() == pytest.approx(expected, rel=1e-4)
    assert distance.name == f"features of {name}"


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_lite0", "mtcnn_onet"])
def test_by_default_the_last_layer_of_each_grid_is_compared(weights, name: str) -> None:
    model, encoder = loaded(weights, name)
    preset = model.model_copy(update={"layers": None})
    groups = groupby(layers_of(preset, encoder), key=lambda layer: layer.grid)
    expected = [list(layers)[-1].name for _, layers in groups]
    assert FeatureDistance(encoder, name=name).layers == expected


def test_layers_of_a_network_with_one_grid_are_spread_over_its_depth(pictures) -> None:
    encoder = timm_encoder.build("vit_tiny_patch16_224")
    distance = FeatureDistance(encoder, name="vit")
    assert distance.layers == [f"blocks.{block}.mlp.act" for block in (0, 3, 6, 8, 11)]
    assert distance(pictures[:1], distance.features(pictures[1:2])).item() > 0


def test_equal_images_are_at_distance_0_and_order_does_not_matter(mobilenet, pictures) -> None:
    assert mobilenet(pictures, mobilenet.features(pictures)).tolist() == [0, 0, 0]
    there = mobilenet(pictures, mobilenet.features(pictures.roll(1, 0)))
    back = mobilenet(pictures.roll(1, 0), mobilenet.features(pictures))
    assert there.min() > 0.1
    torch.testing.assert_close(there, back)


def test_an_image_is_nearer_to_its_noisy_and_its_smaller_self_than_to_another(
    mobilenet, pictures
) -> None:
    noisy = pictures + 0.02 * torch.randn(
        pictures.shape, generator=torch.Generator().manual_seed(0)
    )
    blurred = functional.interpolate(
        functional.interpolate(pictures, size=32, mode="bilinear", antialias=True), size=64
    )
    features = mobilenet.features(pictures)
    nearly, roughly = mobilenet(noisy, features), mobilenet(blurred, features)
    other = mobilenet(pictures.roll(1, 0), features)
    assert (nearly < roughly).all()
    assert (roughly < other).all()


def test_the_distance_does_not_depend_on_the_rest_of_the_batch(mobilenet, pictures) -> None:
    targets = pictures.roll(1, 0)
    together = mobilenet(pictures, mobilenet.features(targets))
    alone = [mobilenet(pictures[[i]], mobilenet.features(targets[[i]])).item() for i in range(3)]
    assert together.tolist() == pytest.approx(alone, rel=1e-5)
    one_target = mobilenet(pictures, mobilenet.features(targets[:1]))
    assert one_target[0].item() == pytest.approx(alone[0], rel=1e-5)


def test_the_gradient_reaches_the_image_and_nothing_else(mobilenet, pictures) -> None:
    images = pictures.clone().requires_grad_()
    features = mobilenet.features(images.roll(1, 0))
    mobilenet(images, features).sum().backward()
    assert (images.grad.flatten(1).norm(dim=1) > 0).all()
    assert not any(map.requires_grad for map in features)
    assert all(p.grad is None for p in mobilenet._encoder.network.parameters())


def test_descending_the_gradient_brings_an_image_nearer(mobilenet, pictures) -> None:
    images = pictures[:1].clone().requires_grad_()
    features = mobilenet.features(pictures[2:])
    optimizer = torch.optim.Adam([images], lr=0.02)
    distances = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = mobilenet(images, features).sum()
        loss.backward()
        optimizer.step()
        distances.append(loss.item())
    assert distances[-1] < 0.7 * distances[0]


def small(*, inplace: bool) -> Encoder:
    """Convolutions whose outputs the next module overwrites, if in place."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(inplace), nn.Conv2d(6, 8, 3, 2), nn.ReLU(inplace)
    )
    seen = Input(size=12, crop=0.8, mean=[0.5, 0.4, 0.3], std=[0.5, 0.2, 0.3])
    return Encoder(network=network, input=seen, preset=("0", "2"))


def test_the_gradient_is_that_of_finite_differences_where_maps_are_overwritten() -> None:
    encoder = small(inplace=True)
    distance = FeatureDistance(encoder, name="small")
    encoder.network.double()
    image, target = torch.rand(2, 1, 3, 16, 16, dtype=torch.float64) * 1.6 - 0.8
    expected = by_definition(
        *([m.double() for m in _maps(small(inplace=False), x)] for x in (image, target))
    )
    features = distance.features(target)
    assert distance(image, features).item() == pytest.approx(expected[0], rel=1e-5)
    image.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distance(x, features), image, eps=1e-6)


def _maps(encoder: Encoder, image: Tensor) -> list[Tensor]:
    network = encoder.network.double()
    with torch.no_grad():
        x = preprocess_pixels((image + 1) / 2, encoder.input)
        return [network[:1](x), network[:3](x)]


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [5, 12])
def test_pixels_are_prepared_differentiably(interpolation: str, size: int) -> None:
    seen = Input(
        size=size, crop=0.8, interpolation=interpolation, mean=[0.5, 0.4, 0.3], std=[0.5, 0.2, 0.3]
    )
    pixels = torch.rand(1, 3, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: preprocess_pixels(x, seen), pixels, eps=1e-6)


def test_what_comes_after_the_last_layer_is_not_run(weights, pictures) -> None:
    _, encoder = loaded(weights, "mobilenet_v2", size=64)
    layers = ["features.1.conv.0.2", "features.6.conv.1.2"]
    distance = FeatureDistance(encoder, name="early", layers=layers[::-1])
    ran = []
    for number, block in enumerate(encoder.network.features):
        block.register_forward_hook(lambda _m, _i, _o, number=number: ran.append(number))
    distance.features(pictures)
    assert distance.layers == layers
    assert ran == [0, 1, 2, 3, 4, 5]


def test_layers_that_are_not_there(weights) -> None:
    _, encoder = loaded(weights, "mtcnn_onet")
    with pytest.raises(RosettaError, match=r"^onet: layers: 'prelu9' matches no module.*prelu"):
        FeatureDistance(encoder, name="onet", layers=["prelu9"])
    with pytest.raises(RosettaError, match=r"^onet: has no preset of layers; name the layers"):
        FeatureDistance(replace(encoder, preset=()), name="onet")


def put(folder: Path, network: nn.Module, file: str) -> Path:
    (folder / "checkpoints").mkdir()
    torch.save(network.state_dict(), folder / "checkpoints" / file)
    return folder


@pytest.mark.parametrize("net", ["squeeze", "alex"])
def test_lpips_is_what_torchmetrics_says(tmp_path, monkeypatch, pictures, net: str) -> None:
    torch.manual_seed(0)
    backbone = models.alexnet() if net == "alex" else models.squeezenet1_1()
    folder = put(tmp_path, backbone, ALEX if net == "alex" else SQUEEZE)
    before = torch.hub.get_dir()
    distance = Lpips(net, folder=folder, device=CPU)
    assert torch.hub.get_dir() == before
    assert distance.name == f"LPIPS ({net})"
    targets = pictures.roll(1, 0)
    images = pictures.clone().requires_grad_()
    found = distance(images, distance.features(targets))
    monkeypatch.setattr(torch.hub, "_hub_dir", str(folder))
    expected = learned_perceptual_image_patch_similarity(
        pictures, targets, net_type=net, reduction="none"
    )
    assert expected.min() > 1e-6
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)
    found.sum().backward()
    assert (images.grad.flatten(1).norm(dim=1) > 0).all()
    assert distance(pictures, distance.features(pictures)).tolist() == [0, 0, 0]


def test_a_backbone_that_cannot_be_downloaded(tmp_path, monkeypatch) -> None:
    def break_off(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(download, "open_address", break_off)
    with pytest.raises(RosettaError, match=r"LPIPS \(alex\).*no network.*features of") as caught:
        Lpips("alex", folder=tmp_path, device=CPU)
    assert f"put {ALEX} at {tmp_path / 'checkpoints' / ALEX} by hand" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_backbone_of_another_network_is_refused(tmp_path) -> None:
    folder = put(tmp_path, nn.Linear(3, 4), SQUEEZE)
    with pytest.raises(
        RosettaError, match=f"{SQUEEZE}: entry 'features.0.weight' is missing"
    ) as caught:
        Lpips("squeeze", folder=folder, device=CPU)
    assert "\n" not in str(caught.value)
