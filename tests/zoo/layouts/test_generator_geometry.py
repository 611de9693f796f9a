"""The geometry check of generators: fine ones pass, wrong layouts and shared latents do not."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from small_zoo import GENERATORS
from test_layouts import tokens_of
from timm.models.swin_transformer import window_partition, window_reverse
from torch import Tensor, nn

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.layers import Hint
from rosetta_core.zoo.layouts.generator_geometry import check_generator_geometry
from rosetta_core.zoo.loading import build, layers_of
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.network import Generator
from rosetta_core.zoo.probing import probe_layers


@pytest.mark.parametrize("name", GENERATORS)
def test_generators_of_the_zoo_follow_their_images(name: str) -> None:
    model = ModelSpec(name=name, **GENERATORS[name], weights="random")
    torch.manual_seed(0)
    built = build(model)
    layers = [layer.name for layer in layers_of(model, built)]
    assert set(check_generator_geometry(built, layers).values()) == {"follows"}


class Painter(nn.Module):
    """A latent as features of 4×4 positions, enlarged, rearranged in between, and painted."""

    def __init__(
        self,
        there: Callable[[Tensor], Any],
        back: Callable[[Any], Tensor],
        after: nn.Module | None = None,
        *,
        grid: tuple[int, int] = (4, 4),
        channels: int = 3,
    ) -> None:
        super().__init__()
        self.grid, self.there, self.back = grid, there, back
        self.first = nn.Linear(8, 6 * grid[0] * grid[1])
        self.up = nn.ConvTranspose2d(6, 6, 4, 2, 1)
        self.layer = after or nn.Identity()
        self.paint = nn.ConvTranspose2d(6, channels, 4, 4)

    def forward(self, z: Tensor) -> Tensor:
        x = self.up(self.first(z).unflatten(1, (6, *self.grid))).relu().mul(2)
        return self.paint(self.back(self.layer(self.there(x))))


def generator(network: nn.Module, **given: Any) -> Generator:
    torch.manual_seed(0)
    for module in network.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    network = network.eval().requires_grad_(False)
    return Generator(network=network, latent_size=8, **given)


def same(maps: Tensor) -> Tensor:
    return maps


def maps_of(tokens: Tensor) -> Tensor:
    return tokens.transpose(1, 2).unflatten(2, (8, 8))


LAST = (lambda m: m.permute(0, 2, 3, 1), lambda m: m.permute(0, 3, 1, 2))
TOKENS = (tokens_of, maps_of)
FIRST = (lambda m: m.flatten(2).permute(2, 0, 1), lambda t: maps_of(t.transpose(0, 1)))
WIDE = (tokens_of, lambda t: t.transpose(1, 2).unflatten(2, (8, 16)))
CLASS_TOKEN = (
    lambda m: nn.functional.pad(tokens_of(m), (0, 0, 1, 0)),
    lambda t: maps_of(t[:, 1:]),
)
WINDOWS = (
    lambda m: window_partition(m.permute(0, 2, 3, 1), (4, 4)).flatten(1, 2),
    lambda w: window_reverse(w.unflatten(1, (4, 4)), (4, 4), 8, 8).permute(0, 3, 1, 2),
)
OWN: list[tuple[str, Generator, str, tuple[int, int]]] = [
    ("maps", generator(Painter(same, same, nn.Conv2d(6, 6, 3, padding=1))), "nchw", (8, 8)),
    ("in place", generator(Painter(same, same, nn.ReLU(inplace=True))), "nchw", (8, 8)),
    ("channels last", generator(Painter(*LAST, nn.Linear(6, 6))), "nhwc", (8, 8)),
    ("tokens", generator(Painter(*TOKENS, nn.LayerNorm(6))), "tokens", (8, 8)),
    ("tokens first", generator(Painter(*FIRST, nn.Linear(6, 6))), "tokens_first", (8, 8)),
    ("wide tokens", generator(Painter(*WIDE, nn.Linear(6, 6), grid=(4, 8))), "tokens", (8, 16)),
    ("class token", generator(Painter(*CLASS_TOKEN), prefix_tokens=1), "tokens", (8, 8)),
    ("windows", generator(Painter(*WINDOWS, nn.Linear(6, 6))), "windows", (8, 8)),
    ("grey", generator(Painter(same, same, channels=1)), "nchw", (8, 8)),
    ("RGBA", generator(Painter(same, same, channels=4)), "nchw", (8, 8)),
    (
        "dictionary",
        generator(
            Painter(lambda m: {"out": m}, lambda d: d["out"]),
            to_maps=lambda layer, output: output["out"] if isinstance(output, dict) else output,
        ),
        "nchw",
        (8, 8),
    ),
    (
        "tuple of others",
        generator(
            Painter(lambda m: (3, None, [tokens_of(m)]), lambda t: maps_of(t[2][0])),
            to_maps=lambda layer, output: output[2][0] if isinstance(output, tuple) else output,
        ),
        "tokens",
        (8, 8),
    ),
]


@pytest.mark.parametrize(
    ("built", "kind", "grid"), [row[1:] for row in OWN], ids=[row[0] for row in OWN]
)
def test_generators_of_ones_own_follow_their_images(
    built: Generator, kind: str, grid: tuple[int, int]
) -> None:
    (layer,) = probe_layers(built, ["layer"])
    assert (layer.channels, layer.grid, built.layout("layer").kind) == (6, grid, kind)
    verdicts = check_generator_geometry(built, ["first", "up", "layer"])
    assert verdicts == {"first": "single", "up": "follows", "layer": "follows"}


@pytest.mark.parametrize(
    ("network", "hint", "cure"),
    [
        (Painter(*LAST), Hint(), "set layout: nhwc"),
        (Painter(same, same), Hint(layout="nhwc"), "set layout: nchw"),
        (Painter(*TOKENS), Hint(grid=(4, 16)), r"set grid: \[8, 8\]"),
        (Painter(*WIDE, grid=(4, 8)), Hint(grid=(16, 8)), r"set grid: \[8, 16\]"),
        (
            Painter(lambda m: tokens_of(m.transpose(2, 3)), lambda t: maps_of(t).transpose(2, 3)),
            Hint(),
            "does not follow the image",
        ),
        (
            Painter(
                lambda m: tokens_of(m)[:, torch.arange(64).view(8, 8).flip(0).flatten()],
                lambda t: maps_of(t).flip(2),
            ),
            Hint(),
            "does not follow the image",
        ),
    ],
)
def test_a_wrong_layout_is_refused_with_the_keys_that_mend_it(
    network: nn.Module, hint: Hint, cure: str
) -> None:
    built = generator(network, hints={"layer": hint})
    with pytest.raises(RosettaError, match=rf"layer 'layer': output \(.*, read as .*{cure}"):
        check_generator_geometry(built, ["layer"])


def noisy(maps: Tensor) -> Tensor:
    return maps + 0.1 * torch.randn_like(maps)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (noisy, "of a latent differ between two passes; turn off dropout and random numbers"),
        (lambda m: nn.functional.dropout(m, 0.1), "of a latent differ between two passes"),
        (
            lambda m: m - m.mean(0, keepdim=True),
            "of a latent change with the other latents of its batch",
        ),
        (
            lambda m: nn.functional.batch_norm(m, None, None, training=True),
            "of a latent change with the other latents of its batch; switch batch normalisation",
        ),
        (lambda m: m.flip(0), "of a latent change with the other latents of its batch"),
    ],
)
def test_maps_and_images_of_a_latent_are_its_own(
    change: Callable[[Tensor], Tensor], problem: str
) -> None:
    for layer, where in (("layer", "layer 'layer': the maps "), ("first", "the images ")):
        built = generator(Painter(change, same))
        with pytest.raises(RosettaError, match=f"{where}{problem}") as caught:
            check_generator_geometry(built, [layer])
        assert "\n" not in str(caught.value)


class Fully(nn.Module):
    """Images from fully connected layers, or from features whose positions are mixed."""

    def __init__(self, positions: int) -> None:
        super().__init__()
        self.positions, self.hidden = positions, nn.Linear(8, 6 * positions)
        self.tokens, self.last = nn.Identity(), nn.Linear(6 * positions, 3 * 256)

    def forward(self, z: Tensor) -> Tensor:
        x = self.hidden(z)
        if self.positions > 1:
            x = self.tokens(x.unflatten(1, (self.positions, 6))).flatten(1)
        return self.last(x).unflatten(1, (3, 16, 16))


def test_layers_without_places_are_said_to_have_none() -> None:
    built = generator(Fully(1))
    assert check_generator_geometry(built, ["hidden"]) == {"hidden": "single"}
    built = generator(Fully(16))
    assert check_generator_geometry(built, ["tokens"]) == {"tokens": "even"}


def test_layers_that_the_image_does_not_depend_on_are_silent() -> None:
    class Apart(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.painter, self.aside = Painter(same, same), nn.Conv2d(3, 5, 1)

        def forward(self, z: Tensor) -> Tensor:
            image = self.painter(z)
            self.aside(image)
            return image

    assert check_generator_geometry(generator(Apart()), ["aside"]) == {"aside": "silent"}


@pytest.mark.parametrize(
    "convert",
    [
        lambda x: (x.sigmoid() * 255).to(torch.uint8),
        lambda x: x.detach(),
    ],
)
def test_generators_without_gradients_are_checked_as_far_as_can_be(
    convert: Callable[[Tensor], Tensor],
) -> None:
    class Bytes(Painter):
        def forward(self, z: Tensor) -> Tensor:
            return convert(super().forward(z))

    verdicts = check_generator_geometry(generator(Bytes(same, same)), ["first", "layer"])
    assert verdicts == {"first": "single", "layer": "opaque"}


def test_a_generator_keeps_one_image_per_latent() -> None:
    class Doubled(Painter):
        def forward(self, z: Tensor) -> Tensor:
            return super().forward(z).repeat(2, 1, 1, 1)

    with pytest.raises(RosettaError, match="returns 2 images for 1 latents; return one image per"):
        check_generator_geometry(generator(Doubled(same, same)), ["layer"])


def test_a_generator_that_takes_one_latent_only_is_refused() -> None:
    built = generator(Painter(lambda m: m.view(1, 6, 8, 8), same))
    with pytest.raises(RosettaError, match="runs on one latent but fails on two"):
        probe_layers(built, ["layer"])


def test_the_network_is_steered_and_mined_as_before_the_check() -> None:
    built = generator(Painter(same, same))
    with torch.no_grad():
        before = built.generate(built.sample_latents([3]), None)
        probe_layers(built, ["layer"])
        assert torch.equal(built.generate(built.sample_latents([3]), None), before)
