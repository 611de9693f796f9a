"""Images of generators: any channels and range become RGB in -1..1; what is not images is refused.

The generators are functions of a user's own file, as in docs/how-to/own-models.md.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tiny
from small_zoo import GENERATORS

from rosetta_core.config import Config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.io.stores.store import open_store, read_array
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages import sample
from rosetta_core.stages.tools.check import check_config
from rosetta_core.zoo.encoders.preprocessing import to_bytes
from rosetta_core.zoo.generators.output import ImageChecks, to_rgb
from rosetta_core.zoo.loading import build, load, load_generator
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.network import Generator, LatentSpace

CPU = torch.device("cpu")
CODE = """
import torch
from torch import nn
from rosetta_core.zoo.network import Generator

class Net(nn.Module):
    def __init__(self, channels, change):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.up = nn.ConvTranspose2d(4, 8, 4)
            self.image = nn.ConvTranspose2d(8, channels, 4, 4)
        self.change = change

    def forward(self, z):
        x = torch.tanh(self.up(z[:, :, None, None]))
        x = self.image(x)
        return self.change(torch.tanh(40 * (x - x.mean((2, 3), keepdim=True))), z)

CHANGES = {
    "-1..1": lambda x, z: x,
    "a little more": lambda x, z: 1.2 * x,
    "0..1": lambda x, z: (x + 1) / 2,
    "0..255": lambda x, z: (x + 1) * 127.5,
    "uint8": lambda x, z: ((x + 1) * 127.5).to(torch.uint8),
    "of ImageNet": lambda x, z: 2.3 * x,
    "twice": lambda x, z: 2 * x,
    "half": lambda x, z: x.half(),
    "double": lambda x, z: x.double(),
    "nan": lambda x, z: x * float("nan"),
    "inf": lambda x, z: x / 0,
    "one nan": lambda x, z: torch.where(z[:, :1, None, None] > 1, torch.nan, x),
    "constant": lambda x, z: torch.full_like(x, 0.25),
    "grey by latent": lambda x, z: z[:, :1, None, None].tanh().expand_as(x),
    "the same": lambda x, z: torch.linspace(-1, 1, 16).expand_as(x),
    "complex": lambda x, z: x.to(torch.complex64),
    "a list": lambda x, z: [x],
    "no channels": lambda x, z: x[:, 0],
}

def generator(kind, channels=3, **given):
    return Generator(
        network=Net(channels, CHANGES[kind]), latent_size=4, preset=["up"], **given
    )
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    before = list(sys.path)
    (tmp_path / "gan.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = before


def config_of(kind: str, *, channels: int = 3, **settings: Any) -> Config:
    pivot = {
        "name": "own",
        "family": "python",
        "target": "gan.py:generator",
        "arguments": {"kind": kind, "channels": channels},
        **settings,
    }
    net = {"name": "net", "family": "torchvision", "architecture": "squeezenet1_1"}
    encoders = [{**net, "weights": "random", "layers": ["features.3"]}]
    return parse_config(
        tiny(
            pivot=pivot,
            encoders=encoders,
            resources="resources",
            sampling={"images": 8, "shard_size": 8},
            neighbours={"k": 2},
        )
        | {"pivot": pivot}
    )


RIGHT = [
    ("-1..1", {}),
    ("a little more", {}),
    ("half", {}),
    ("double", {}),
    ("0..1", {"output_range": [0, 1]}),
    ("0..255", {"output_range": [0, 255]}),
    ("uint8", {"output_range": [0, 255]}),
    ("of ImageNet", {"output_range": [-2.3, 2.3]}),
]


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("kind", "settings"), RIGHT)
def test_every_range_and_number_of_channels_gives_the_same_images(
    folder: Path, kind: str, settings: dict[str, Any], channels: int
) -> None:
    images = []
    for config in (config_of("-1..1", channels=channels), config_of(kind, channels=channels)):
        pivot = config.pivot.model_copy(update=settings if images else {})
        generator = load_generator(pivot, None, device=CPU)
        with torch.no_grad():
            images.append(generator.generate(generator.sample_latents(range(3)), None))
    assert images[1].shape == (3, 3, 16, 16)
    assert images[1].dtype == (torch.float64 if kind == "double" else torch.float32)
    limit = 2 / 255 if kind in ("uint8", "half") else 1e-5
    if kind != "a little more":
        assert (images[1] - images[0]).abs().max() <= limit
    if channels == 1:
        assert torch.equal(images[1][:, 0], images[1][:, 2])


@pytest.mark.parametrize(("kind", "settings"), RIGHT)
def test_right_images_pass_the_check_and_the_stage(
    folder: Path, kind: str, settings: dict[str, Any]
) -> None:
    config = config_of(kind, **settings)
    assert set(check_config(config)) == {"own", "net"}
    group, _ = open_store(sample.run(config, shard="00000"))
    stored = read_array(group, "images")
    assert stored.min() < 20
    assert stored.max() > 235


WRONG = [
    ("0..1", {}, r"values reach from \S+ to 1, so black seems to be 0.*set output_range: \[0, 1\]"),
    ("0..255", {}, r"output_range is \[-1, 1\]; set output_range: \[0, 255\]"),
    ("uint8", {}, r"output_range is \[-1, 1\]; set output_range: \[0, 255\]"),
    ("of ImageNet", {}, r"output_range is \[-1, 1\]; set output_range: \[-2.3, 2.3\]"),
    ("twice", {}, r"output_range is \[-1, 1\]; set output_range: \[-2, 2\]"),
    ("-1..1", {"output_range": [0, 1]}, r"output_range is \[0, 1\]; set output_range: \[-1, 1\]"),
    ("-1..1", {"output_range": [0, 255]}, r"all images are black.*set output_range: \[-1, 1\]"),
    ("0..1", {"output_range": [0, 255]}, r"all images are black.*set output_range: \[0, 1\]"),
    ("0..255", {"output_range": [0, 1]}, r"output_range is \[0, 1\]; set output_range: \[0, 255\]"),
    ("nan", {}, "image 0 has values that are NaN or infinite"),
    ("inf", {}, "image 0 has values that are NaN or infinite"),
    ("constant", {}, "every image has a single colour"),
    ("grey by latent", {}, "every image has a single colour"),
    ("the same", {}, "all images are the same, whatever the latent"),
    ("complex", {}, "complex64 images; return real numbers"),
    ("a list", {}, "returns a list; return a tensor"),
    ("no channels", {}, r"returns shape \(1, 16, 16\)"),
]


@pytest.mark.parametrize(("kind", "settings", "problem"), WRONG)
def test_wrong_images_are_refused_before_a_run_and_by_the_stage(
    folder: Path, kind: str, settings: dict[str, Any], problem: str
) -> None:
    config = config_of(kind, **settings)
    for step in (lambda: check_config(config), lambda: sample.run(config, shard="00000")):
        with pytest.raises(RosettaError, match=problem) as caught:
            step()
        assert "\n" not in str(caught.value)
    assert not RunPaths(config).samples("00000").exists()


@pytest.mark.parametrize("channels", [2, 5])
def test_other_numbers_of_channels_are_refused(folder: Path, channels: int) -> None:
    with pytest.raises(RosettaError, match=rf"\(1, {channels}, 16, 16\); return 1 channel"):
        check_config(config_of("-1..1", channels=channels))


def test_images_without_gradients_cannot_be_steered(folder: Path) -> None:
    config = config_of("uint8", output_range=[0, 255])
    job = {"name": "shown", "unit": "up/0"}
    content = {**config.model_dump(mode="json"), "steering": {"show": [job]}}
    with pytest.raises(RosettaError, match=r"steering: own returns torch.uint8 images"):
        check_config(parse_config(content))


def test_a_later_image_that_is_not_finite_is_named(folder: Path) -> None:
    content = config_of("one nan").model_dump(mode="json")
    config = parse_config({**content, "sampling": {"images": 40}})
    with pytest.raises(RosettaError, match=r"own: images of shard 00000: image \d+ has values"):
        sample.run(config, shard="00000")


def test_transparent_pixels_are_white_and_alpha_has_the_range_of_the_colours() -> None:
    image = torch.zeros(1, 4, 1, 3)  # black, in 0..1
    image[0, 3] = torch.tensor([0.0, 0.5, 1.0])
    assert to_rgb(image, (0, 1))[0, 0, 0].tolist() == [1, 0, -1]
    assert to_rgb(255 * image, (0, 255))[0, 1, 0].tolist() == [1, 0, -1]


def test_images_of_latent_spaces_are_converted_once() -> None:
    class Net(torch.nn.Module):
        def forward(self, z):
            return torch.sigmoid(z).reshape(-1, 1, 2, 2)

    net = Net()
    spaces = {"w": LatentSpace(from_z=lambda z, _: z, generate=lambda w, _: net(w))}
    given = Generator(network=net, latent_size=4, latent_spaces=spaces, output_range=(0, 1))
    z = torch.randn(2, 4)
    expected = (2 * torch.sigmoid(z) - 1).reshape(-1, 1, 2, 2).expand(-1, 3, -1, -1)
    for name in ("z", "w"):
        images = given.latent_space(name).generate(z, None)
        torch.testing.assert_close(images, expected)
    with pytest.raises(RosettaError, match=r"no latent space 'w\+'; it has z, w"):
        given.latent_space("w+")


def test_rgb_in_the_default_range_is_not_touched() -> None:
    images = 3 * torch.randn(2, 3, 4, 4)
    assert torch.equal(to_rgb(images, None), images)
    assert torch.equal(to_bytes(to_rgb(images, (-1, 1))), to_bytes(images))


def test_gradients_pass_through_the_conversion() -> None:
    images = torch.rand(1, 4, 3, 3, requires_grad=True)
    to_rgb(images, (0, 1)).sum().backward()
    assert images.grad is not None
    assert bool((images.grad[:, :3] > 0).all())


@pytest.mark.parametrize("name", GENERATORS)
def test_random_generators_of_the_zoo_are_not_refused_for_their_range(
    name: str, tmp_path: Path
) -> None:
    """Their values have no range yet: random StyleGANs reach beyond -1..1 by multiples."""
    pivot = {"name": "gan", "weights": "random", **GENERATORS[name]}
    content = tiny(encoders=[], sampling={"images": 3, "truncation": 1.0})
    encoder = {"name": "net", "family": "mtcnn_onet", "weights": "random"}
    config = parse_config(
        {**content, "pivot": pivot, "encoders": [encoder], "results": str(tmp_path)}
    )
    store = sample.run(config, shard="00000")
    assert open_store(store)[0]["images"].shape == (3, 32, 32, 3)


def test_images_of_the_shipped_generator_are_well_inside_the_limits(weights) -> None:
    generator = load_generator(weights.pivot, RunPaths(weights).weights(weights.pivot), device=CPU)
    checks = ImageChecks("dcgan", None)
    with torch.no_grad():
        checks.add(generator.generate(generator.sample_latents(range(8)), None), first=0)
    checks.finish()


@pytest.mark.parametrize(
    ("family", "arguments"),
    [
        ("stylegan2", {"img_channels": 1}),
        ("stylegan2", {"img_channels": 4}),
        ("stylegan3_t", {"img_channels": 1}),
    ],
)
def test_generators_of_the_zoo_with_other_channels(family: str, arguments: dict) -> None:
    about = GENERATORS[family]
    spec = {**about, "arguments": {**about["arguments"], **arguments}}
    built = build(ModelSpec(name="gan", weights="random", **spec))
    assert isinstance(built, Generator)
    latents = built.sample_latents([0])
    for space in ("z", "w+"):
        chosen = built.latent_space(space)
        with torch.no_grad():
            assert chosen.generate(chosen.from_z(latents, None), None).shape == (1, 3, 32, 32)


def test_output_range_is_for_generators(folder: Path) -> None:
    encoder = {"name": "net", "family": "torchvision", "architecture": "resnet18"}
    with pytest.raises(RosettaError, match="is an encoder and takes no output_range"):
        parse_config(tiny(encoders=[{**encoder, "weights": "random", "output_range": [0, 1]}]))
    with pytest.raises(RosettaError, match=r"is not a range; give the value of black, then"):
        config_of("-1..1", output_range=[1, 0])
    (folder / "enc.py").write_text(
        "from torch import nn\nfrom rosetta_core.zoo.network import Encoder, Input\n"
        "def f():\n    seen = Input(size=8, mean=[0.5] * 3, std=[0.5] * 3)\n"
        "    return Encoder(network=nn.Conv2d(3, 4, 3), input=seen)\n"
    )
    own = {"name": "own", "family": "python", "target": "enc.py:f", "output_range": [0, 1]}
    with pytest.raises(RosettaError, match="output_range is given, but the model is an encoder"):
        load(ModelSpec(**own), None, device=CPU)


@pytest.mark.parametrize("size", [32, 64, 128, 2048])
def test_a_stylegan2_of_rosinality_at_other_sizes(size: int) -> None:
    named = {"architecture": str(size)} if size < 256 else {"arguments": {"size": size,
             "style_dim": 512, "n_mlp": 8}}  # fmt: skip
    with torch.device("meta"):
        built = build(ModelSpec(name="g", family="stylegan2_rosinality", weights="random", **named))
        latents = torch.zeros(1, built.latent_size)
        with torch.no_grad():
            assert built.generate(latents, None).shape == (1, 3, size, size)
