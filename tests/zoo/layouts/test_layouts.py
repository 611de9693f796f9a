"""Layouts of outputs: conversions are inverses of the libraries', and derived ones are right."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.models.hiera import Unroll
from timm.models.maxxvit import grid_partition
from timm.models.swin_transformer import window_partition
from torch import Tensor, nn

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.layers import Hint, LayoutKind
from rosetta_core.zoo.layouts.layout import Layout, dilated_order, fit_grid, window_order
from rosetta_core.zoo.model_spec import Input
from rosetta_core.zoo.network import Encoder, Generator
from rosetta_core.zoo.probing import probe_layers

MAPS = torch.randn(2, 6, 8, 12)  # (n, c, h, w)
LAST = MAPS.permute(0, 2, 3, 1)  # (n, h, w, c)
TOKENS = LAST.flatten(1, 2)  # (n, t, c)
CLASS = torch.randn(2, 3, 6)  # three tokens before the grid
GRID = (8, 12)


def split_by(strides: list[tuple[int, int]]) -> Tensor:
    unroll = Unroll(GRID, (1, 1), strides)
    return unroll(TOKENS)


@pytest.mark.parametrize(
    ("layout", "output"),
    [
        (Layout("nchw", GRID), MAPS),
        (Layout("nhwc", GRID), LAST),
        (Layout("tokens", GRID), TOKENS),
        (Layout("tokens", GRID, prefix_tokens=3), torch.cat([CLASS, TOKENS], 1)),
        (Layout("tokens_first", GRID), TOKENS.transpose(0, 1)),
        (Layout("tokens_last", GRID), TOKENS.transpose(1, 2)),
        (Layout("heads", GRID), TOKENS.unflatten(2, (3, 2)).transpose(1, 2)),
        (
            Layout("windows", GRID, folded=6, order=window_order(GRID, (4, 4))),
            window_partition(LAST, (4, 4)).flatten(1, 2),
        ),
        (
            Layout("windows", GRID, folded=6, order=window_order(GRID, (4, 4), shift=(1, 2))),
            window_partition(LAST.roll((-1, -2), (1, 2)), (4, 4)),
        ),
        (
            Layout("windows", GRID, order=window_order(GRID, (4, 4))),
            window_partition(LAST, (4, 4)).flatten(1, 2).unflatten(0, (2, 6)),
        ),
        (
            Layout("dilated_windows", GRID, folded=6, order=dilated_order(GRID, [(2, 3)])),
            grid_partition(LAST, [4, 4]),
        ),
        (Layout("tokens", GRID, order=dilated_order(GRID, [(2, 2)])), split_by([(2, 2)])),
        (
            Layout("tokens", GRID, order=dilated_order(GRID, [(2, 2), (2, 2), (2, 1)])),
            split_by([(2, 2), (2, 2), (2, 1)]),
        ),
    ],
)
def test_each_layout_gives_the_maps_back(layout: Layout, output: Tensor) -> None:
    assert torch.equal(layout.to_maps(output), MAPS)


def test_vectors_are_maps_of_one_position() -> None:
    vectors = torch.randn(2, 7)
    assert torch.equal(Layout("none", (1, 1)).to_maps(vectors)[:, :, 0, 0], vectors)


@pytest.mark.parametrize(
    ("positions", "image", "grid"),
    [
        (196, (224, 224), (14, 14)),
        (28, (64, 112), (4, 7)),
        (28, (112, 64), (7, 4)),
        (49, (100, 104), (7, 7)),
        (197, (224, 224), None),
        (64, (64, 16), (16, 4)),
        (1, (5, 5), (1, 1)),
    ],
)
def test_tokens_form_a_grid_of_the_images_proportions(
    positions: int, image: tuple[int, int], grid: tuple[int, int] | None
) -> None:
    assert fit_grid(positions, image) == grid


class Patches(nn.Module):
    """Patches of 4×4 pixels, projected: maps (n, 6, h, w) that other modules rearrange."""

    def __init__(self, rearrange: Callable[[Tensor], Any], after: nn.Module | None = None) -> None:
        super().__init__()
        self.patches, self.last = nn.Conv2d(3, 6, 4, 4), after or nn.Identity()
        self.rearrange = rearrange

    def forward(self, x: Tensor) -> Any:
        return self.last(self.rearrange(self.patches(x)))


def encoder(network: nn.Module, size: Any = (16, 32), **given: Any) -> Encoder:
    torch.manual_seed(0)
    network = network.eval().requires_grad_(False)
    return Encoder(network=network, input=Input(size=size, mean=[0] * 3, std=[1] * 3), **given)


def tokens_of(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)


def class_and_tokens(maps: Tensor) -> Tensor:
    return nn.functional.pad(tokens_of(maps), (0, 0, 1, 0))


REARRANGED = [
    # name, rearrangement of (n, 6, 4, 8), module after it, what is said, kind
    ("conv", lambda m: m, nn.Conv2d(6, 6, 1), {}, "nchw"),
    ("linear", lambda m: m.permute(0, 2, 3, 1), nn.Linear(6, 6), {}, "nhwc"),
    ("tokens", tokens_of, nn.LayerNorm(6), {}, "tokens"),
    ("class token", class_and_tokens, nn.LayerNorm(6), {"prefix_tokens": 1}, "tokens"),
    ("tokens first", lambda m: m.flatten(2).permute(2, 0, 1), nn.Linear(6, 6), {}, "tokens_first"),
    ("tokens last", lambda m: m.flatten(2), nn.Conv1d(6, 6, 1), {}, "tokens_last"),
    (
        "heads",
        lambda m: class_and_tokens(m).unflatten(2, (2, 3)).transpose(1, 2),
        nn.LayerNorm(3),
        {"prefix_tokens": 1},
        "heads",
    ),
    (
        "windows in the batch",
        lambda m: window_partition(m.permute(0, 2, 3, 1), (2, 4)).flatten(1, 2),
        nn.Linear(6, 6),
        {},
        "windows",
    ),
    (
        "windows in an axis",
        lambda m: (
            window_partition(m.permute(0, 2, 3, 1), (2, 4)).flatten(1, 2).unflatten(0, (-1, 4))
        ),
        nn.Linear(6, 6),
        {"hints": {"last": Hint(layout="windows")}},
        "windows",
    ),
    (
        "dilated windows",
        lambda m: grid_partition(m.permute(0, 2, 3, 1), [2, 4]).flatten(1, 2),
        nn.Linear(6, 6),
        {"hints": {"*": Hint(layout="dilated_windows")}},
        "dilated_windows",
    ),
]


@pytest.mark.parametrize(
    ("rearrange", "after", "given", "kind"),
    [row[1:] for row in REARRANGED],
    ids=[row[0] for row in REARRANGED],
)
def test_positions_stay_where_they_are_in_the_image(
    rearrange: Callable[[Tensor], Tensor], after: nn.Module, given: dict[str, Any], kind: LayoutKind
) -> None:
    """A change of one patch of the image changes the maps at its row and column only."""
    given = {"hints": {"patches": Hint()}, **given}
    if "*" in given["hints"]:
        given["hints"] = {"last": given["hints"]["*"]}
    built = encoder(Patches(rearrange, after), **given)
    assert [
        (layer.name, layer.channels, layer.grid) for layer in probe_layers(built, ["last"])
    ] == [("last", 6, (4, 8))]
    assert built.layout("last").kind == kind
    images = torch.randn(1, 3, 16, 32).repeat(33, 1, 1, 1)
    for place in range(32):
        row, column = divmod(place, 8)
        images[1 + place, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 1
    maps: dict[str, Tensor] = {}
    with built.capture(["last"], receive=maps.__setitem__):
        built.forward(images)
    changed = (maps["last"][1:] - maps["last"][:1]).abs().sum(1).flatten(1) > 1e-6  # (32, 32)
    assert torch.equal(changed, torch.eye(32, dtype=torch.bool))


@pytest.mark.parametrize(
    ("rearrange", "given", "problem"),
    [
        (lambda m: (m,), {}, "output is a tuple, not a tensor"),
        (lambda m: torch.complex(m, m), {}, r"output is complex \(complex64\)"),
        (lambda m: m > 0, {}, r"output has no real numbers \(bool\)"),
        (lambda m: m.mean((1, 2, 3)), {}, r"output \(1\) has no channels"),
        (lambda m: m[:, :0], {}, r"output \(1, 0, 4, 8\) has no values"),
        (lambda m: m.mean(0), {}, r"output \(6, 4, 8\) .* for two has no batch dimension"),
        (lambda m: m.flatten(1) @ m.flatten(1).T, {}, "no batch dimension"),
        (class_and_tokens, {}, r"output \(1, 33, 6\) has 33 tokens, not a grid of the image's"),
        (
            tokens_of,
            {"prefix_tokens": 3, "hints": {"*": Hint(grid=(5, 5))}},
            "has 32 tokens, not 5×5 and 3 prefix tokens",
        ),
        (
            lambda m: m,
            {"hints": {"*": Hint(layout="tokens_last")}},
            r"\(1, 6, 4, 8\) is not tokens",
        ),
        (lambda m: m, {"hints": {"*": Hint(grid=(8, 4))}}, "does not have the grid 8×4"),
        (lambda m: m[..., None, None], {}, r"\(1, 6, 4, 8, 1, 1\) is not of a known layout"),
        (lambda m: m.permute(2, 3, 0, 1), {}, "has the images in dimension 2"),
    ],
)
def test_outputs_without_a_layout_are_refused_in_one_line(
    rearrange: Callable[[Tensor], Any], given: dict[str, Any], problem: str
) -> None:
    built = encoder(Patches(rearrange), **given)
    with pytest.raises(
        RosettaError, match=f"layer 'last': .*{problem}.*; choose other layers, set "
    ):
        probe_layers(built, ["last"])
    assert [
        layer.name for layer in probe_layers(built, ["patches", "last"], skip_invalid=True)
    ] == ["patches"] or given


def test_the_last_pattern_that_matches_says_how_a_layer_is_read() -> None:
    hints = {"**": Hint(layout="nhwc", grid=(1, 1)), "last": Hint(layout="tokens", grid=(16, 2))}
    built = encoder(Patches(tokens_of), hints=hints)
    assert built.layout("last").grid == (16, 2)


def test_a_network_that_takes_one_image_only_is_refused() -> None:
    built = encoder(Patches(lambda maps: maps.view(1, 6, 4, 8)))
    with pytest.raises(RosettaError, match="runs on one image but fails on two"):
        probe_layers(built, ["last"])


def test_outputs_of_generators_are_maps_tokens_or_vectors() -> None:
    class Drawer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vector, self.tokens, self.maps = nn.Linear(4, 5), nn.Identity(), nn.Identity()

        def forward(self, z: Tensor) -> Tensor:
            tokens = self.tokens(self.vector(z)[:, None].repeat(1, 10, 1))
            return self.maps(tokens[:, 1:].transpose(1, 2).unflatten(2, (3, 3)))

    built = Generator(network=Drawer(), latent_size=4, prefix_tokens=1)
    layers = probe_layers(built, ["vector", "tokens", "maps"])
    assert [layer.grid for layer in layers] == [(1, 1), (3, 3), (3, 3)]
    assert {layer.channels for layer in layers} == {5}
