"""The geometry check: right layouts pass, wrong ones are refused with the keys that mend them."""

import random
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from test_layouts import Patches, encoder, tokens_of
from torch import Tensor, nn

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.layers import Hint, select_layers
from rosetta_core.zoo.layouts.geometry import check_geometry
from rosetta_core.zoo.layouts.layout import window_order
from rosetta_core.zoo.network import Encoder
from rosetta_core.zoo.registry import FAMILIES


class Blocks(nn.Module):
    """Convolutions with residual connections, on the patches of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, 4)
        self.blocks = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(3))
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        for block in self.blocks:
            x = x + block(x).relu()
        return self.head(x.mean((2, 3)))


class Attention(nn.Module):
    """Self-attention whose only output is that of the attention."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(width, 2, batch_first=True)
        self.out = nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.attend(tokens, tokens, tokens)[0])


def square(network: nn.Module, **given: Any) -> Encoder:
    return encoder(network, 64, **given)


def test_layers_that_follow_the_image_pass_whatever_its_proportions() -> None:
    for size in (64, (64, 96), (96, 32)):
        built = encoder(Blocks(), size)
        verdicts = check_geometry(built, ["patches", "blocks.0", "blocks.2", "head"])
        assert verdicts == {
            "patches": "follows",
            "blocks.0": "follows",
            "blocks.2": "follows",
            "head": "single",
        }


def test_factors_of_zero_hide_nothing() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.BatchNorm2d(8))
    nn.init.zeros_(network[1].weight)
    assert check_geometry(square(network), ["1"]) == {"1": "follows"}


def test_attention_with_random_weights_is_read_by_what_a_token_asks() -> None:
    network = Patches(tokens_of, Attention(6))
    assert check_geometry(square(network), ["last.out"])["last.out"] in ("follows", "even")


def transposed(maps: Tensor) -> Tensor:
    return tokens_of(maps.transpose(2, 3))


def in_windows(maps: Tensor) -> Tensor:
    order = torch.tensor(window_order((16, 16), (4, 4)))
    return tokens_of(maps)[:, order.argsort()]


@pytest.mark.parametrize(
    ("network", "size", "hint", "cure"),
    [
        (Patches(tokens_of), (128, 32), Hint(grid=(16, 16)), "set grid: [32, 8]"),
        (Patches(tokens_of), 64, Hint(grid=(4, 64)), "set grid: [16, 16]"),
        (Patches(lambda m: m.permute(0, 2, 3, 1)), 64, Hint(layout="nchw"), "set layout: nhwc"),
        (Patches(lambda m: m), 64, Hint(layout="nhwc"), "set layout: nchw"),
        (Patches(in_windows), 64, Hint(), "positions are in another order"),
    ],
)
def test_a_wrong_layout_is_refused_with_the_keys_that_mend_it(
    network: nn.Module, size: Any, hint: Hint, cure: str
) -> None:
    built = encoder(network, size, hints={"*": hint})
    with pytest.raises(RosettaError) as caught:
        check_geometry(built, ["last"])
    shape = tuple(built.trace()["last"].single)
    assert f"layer 'last': output {shape}, read as " in str(caught.value)
    assert cure in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_cure_that_a_refusal_names_passes() -> None:
    built = encoder(Patches(tokens_of), (128, 32), hints={"*": Hint(grid=(32, 8))})
    assert check_geometry(built, ["last"]) == {"last": "follows"}


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_positions_never_pass(seed: int) -> None:
    order = torch.randperm(256, generator=torch.Generator().manual_seed(seed))
    built = square(Patches(lambda maps: tokens_of(maps)[:, order]))
    with pytest.raises(RosettaError, match="does not follow the image"):
        check_geometry(built, ["last"])


def test_positions_that_hear_the_whole_image_are_reported() -> None:
    def pooled(maps: Tensor) -> Tensor:
        return maps.mean((2, 3), keepdim=True) + 0 * maps

    verdicts = check_geometry(square(Patches(pooled)), ["patches", "last"])
    assert verdicts["patches"] == "follows"
    assert verdicts["last"] in ("even", "silent")


class Unsteady(nn.Module):
    def __init__(self, forward: Any) -> None:
        super().__init__()
        self.patches, self.last, self.act = nn.Conv2d(3, 6, 4, 4), nn.Identity(), forward

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.act(self.patches(x)))


class Remembers(nn.Module):
    """Maps that depend on what the network saw before: a counter, or a mean over all images."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.calls = kind, 0
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, maps: Tensor) -> Tensor:
        self.calls += 1
        if self.kind == "counter":
            return maps * (1 + 0.1 * self.calls)
        self.seen = 0.5 * self.seen + maps.mean()
        return maps + self.seen


def fails_on_pixels(maps: Tensor) -> Tensor:
    if maps.std() > 0.2:
        raise ValueError("too\nbright")
    return maps


@pytest.mark.parametrize(
    ("forward", "problem"),
    [
        (lambda m: nn.functional.dropout(m, 0.1), "two passes over one image differ; turn off"),
        (
            lambda m: nn.functional.batch_norm(m, None, None, training=True),
            "change with the other images of its batch; switch batch normalisation",
        ),
        (lambda m: m - m.mean(0, keepdim=True), "change with the other images of its batch"),
        (lambda m: m.flip(0), "change with the other images of its batch"),
        (lambda m: m / m.norm(), "change with the other images of its batch"),
        (lambda m: m + torch.linspace(0, 1, len(m))[:, None, None, None], "with the other images"),
        (lambda m: m * torch.rand(()), "two passes over one image differ"),
        (lambda m: m + torch.randn_like(m), "two passes over one image differ"),
        (lambda m: m + np.random.default_rng().normal(), "two passes over one image differ"),
        (lambda m: m * random.SystemRandom().random(), "two passes over one image differ"),
        (lambda m: m * (time.perf_counter_ns() % 997), "two passes over one image differ"),
        (Remembers("counter"), "two passes over one image differ"),
        (Remembers("mean"), "two passes over one image differ|the other images of its batch"),
        (fails_on_pixels, r"the network fails on an image of random pixels \(ValueError: too br"),
    ],
)
def test_maps_of_an_image_depend_on_nothing_else(forward: Any, problem: str) -> None:
    with pytest.raises(RosettaError, match=problem) as caught:
        check_geometry(square(Unsteady(forward)), ["last"])
    assert "\n" not in str(caught.value)


def test_a_network_in_half_precision_gets_images_of_its_type() -> None:
    for dtype in (torch.float16, torch.bfloat16):
        built = square(Blocks().to(dtype))
        assert built.dtype == dtype
        assert check_geometry(built, ["blocks.1"]) == {"blocks.1": "follows"}


LIBRARIES: list[tuple[str, str, dict[str, Any], list[str] | None, str]] = [
    # family, architecture, arguments that make it small, layers, kind of their layouts
    ("timm", "test_mambaout", {}, None, "nhwc"),
    ("timm", "mobilevit_xxs", {}, None, "dilated_windows"),
    ("timm", "hiera_tiny_224", {"stages": (1, 1, 1, 1), "embed_dim": 32}, None, "tokens"),
    ("timm", "nest_tiny", {"img_size": 112}, ["levels.0.*.0.mlp.act"], "windows"),
    ("timm", "pit_ti_224", {}, ["transformers.*.*.0.mlp.act"], "tokens"),
    ("timm", "crossvit_tiny_240", {"depth": ((1, 1, 0),)}, None, "tokens"),
    (
        "timm",
        "swin_tiny_patch4_window7_224",
        {"embed_dim": 24, "depths": (2, 2), "num_heads": (1, 2)},
        ["layers.*.blocks.*.attn.proj"],
        "windows",
    ),
    (
        "timm",
        "swin_tiny_patch4_window7_224",
        {"embed_dim": 24, "depths": (2, 2), "num_heads": (1, 2)},
        ["layers.*", "layers.*.blocks.*"],
        "nhwc",
    ),
    (
        "timm",
        "vit_tiny_patch16_224",
        {"img_size": (64, 96), "depth": 2, "qk_norm": True},
        ["blocks.*.attn.q_norm"],
        "heads",
    ),
    ("torchvision", "convnext_tiny", {}, ["features.1.*.block.4"], "nhwc"),
    ("open_clip", "ViT-B-32", {"image_size": 96, "width": 64, "layers": 2}, None, "tokens"),
]


@pytest.mark.parametrize(
    ("family", "architecture", "arguments", "patterns", "kind"),
    LIBRARIES,
    ids=[f"{row[1]}-{row[4]}" for row in LIBRARIES],
)
def test_layers_of_libraries_follow_the_image(
    family: str, architecture: str, arguments: Any, patterns: list[str] | None, kind: str
) -> None:
    torch.manual_seed(0)
    built = FAMILIES[family].module().build(architecture, arguments=arguments or None)
    built.network.eval().requires_grad_(False)
    if family == "torchvision":  # takes images of any size
        built = replace(built, input=built.input.model_copy(update={"size": 64}))
    names = [name for name, _ in built.network.named_modules()]
    layers = select_layers(names, patterns or built.preset)
    assert {built.layout(layer).kind for layer in layers} == {kind}
    assert set(check_geometry(built, layers).values()) == {"follows"}


def test_tokens_that_a_library_has_in_another_order_never_pass_as_a_grid() -> None:
    """Without what timm's code shows of them, Hiera's tokens look like those of a ViT."""
    torch.manual_seed(0)
    arguments = {"stages": (1, 1, 1, 1), "embed_dim": 32}
    built = FAMILIES["timm"].module().build("hiera_tiny_224", arguments=arguments)
    built.network.eval().requires_grad_(False)
    blind = replace(built, hint_for=None)
    with pytest.raises(RosettaError, match="positions are in another order"):
        check_geometry(blind, ["blocks.0.mlp.act"])


def heads_after(maps: Tensor) -> Tensor:
    return tokens_of(maps).unflatten(2, (2, 3))


def in_place(maps: Tensor) -> Tensor:
    return maps.mul_(2)


class Doubled(nn.Module):
    """A network that changes its input in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.mul_(2))


def test_a_network_may_change_its_input() -> None:
    assert check_geometry(square(Doubled()), ["conv"]) == {"conv": "follows"}


def test_tokens_may_have_an_axis_of_heads_behind_them() -> None:
    with pytest.raises(RosettaError, match="set layout: tokens"):
        check_geometry(square(Patches(heads_after)), ["last"])
    built = square(Patches(heads_after), hints={"last": Hint(layout="tokens")})
    assert built.layout("last").grid == (16, 16)
    assert check_geometry(built, ["last"]) == {"last": "follows"}


def with_tokens_between(maps: Tensor) -> Tensor:
    tokens = tokens_of(maps)
    return torch.cat([tokens[:, :100], tokens[:, :4] * 0, tokens[:, 100:]], 1)


@pytest.mark.parametrize(
    ("rearrange", "prefix"),
    [
        (lambda m: torch.cat([tokens_of(m), tokens_of(m).mean(1, keepdim=True)], 1), 1),
        (with_tokens_between, 4),
        (lambda m: nn.functional.pad(tokens_of(m), (0, 0, 33, 0)), 0),  # 17×17 tokens
        (lambda m: nn.functional.pad(tokens_of(m), (0, 0, 1, 0)), 0),
        (lambda m: m.flip(2), 0),
        (lambda m: m.transpose(2, 3), 0),
        (lambda m: m.transpose(1, 2), 0),
        (lambda m: m[..., :8], 0),
        (lambda m: torch.stack([m, m.flip(3)], 1).flatten(0, 1), 0),
        (lambda m: tokens_of(m).unflatten(2, (3, 2)).transpose(1, 2).flatten(0, 1), 0),
    ],
)
def test_other_arrangements_are_refused(rearrange: Any, prefix: int) -> None:
    """A class token last, registers in between, flips, crops, heads in the batch: never a grid."""
    built = square(Patches(rearrange), prefix_tokens=prefix)
    with pytest.raises(RosettaError, match=r"layer 'last': output \(.*; .*") as caught:
        check_geometry(built, ["last"])
    assert "\n" not in str(caught.value)


def quantised(*, static: bool) -> nn.Module:
    quantization = torch.ao.quantization
    if not static:
        network = nn.Sequential(nn.Conv2d(3, 6, 4, 4), Tokens(), nn.Linear(6, 6)).eval()
        return quantization.quantize_dynamic(network, {nn.Linear})
    network = nn.Sequential(
        quantization.QuantStub(), nn.Conv2d(3, 6, 4, 4), quantization.DeQuantStub()
    ).eval()
    network.qconfig = quantization.get_default_qconfig("x86")
    quantization.prepare(network, inplace=True)
    network(torch.randn(2, 3, 64, 64))
    return quantization.convert(network, inplace=True)


class Tokens(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return tokens_of(x)


@pytest.mark.filterwarnings("ignore")
def test_layers_of_quantised_networks_are_read_where_they_return_floats() -> None:
    static = square(quantised(static=True))
    with pytest.raises(RosettaError, match=r"layer '1': output is quantised \(quint8\); choose "):
        check_geometry(static, ["1"])
    assert check_geometry(static, ["2"]) == {"2": "follows"}
    with pytest.raises(
        RosettaError, match=r"change with .* batch; .*, and dynamic quantisation off"
    ):
        check_geometry(square(quantised(static=False)), ["2"])  # scales follow from the batch


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layer", ["1", "1.0"])
def test_a_scripted_part_of_a_network_is_one_line(layer: str) -> None:
    part = torch.jit.script(nn.Sequential(nn.Conv2d(6, 6, 1), nn.ReLU()))
    built = square(nn.Sequential(nn.Conv2d(3, 6, 4, 4), part))
    with pytest.raises(RosettaError, match=rf"layer '{layer}': is a TorchScript module, whose"):
        check_geometry(built, [layer])
    assert check_geometry(built, ["0"]) == {"0": "follows"}
