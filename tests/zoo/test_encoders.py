"""Encoders of the libraries: which layers are units, and where on the image their maps lie."""

from typing import Any

import pytest
import torch

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.encoders import mtcnn_onet
from rosetta_core.zoo.generators import dcgan
from rosetta_core.zoo.layers import Layer, select_layers
from rosetta_core.zoo.network import Encoder
from rosetta_core.zoo.probing import probe_layers
from rosetta_core.zoo.registry import FAMILIES

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
IMAGENET_MEAN = [0.485, 0.456, 0.406]


def build(family: str, architecture: str, **arguments: Any) -> Encoder:
    module = FAMILIES[family].module()
    built: Encoder = module.build(architecture, arguments=arguments or None)
    built.network.eval().requires_grad_(False)
    return built


def units(built: Encoder) -> list[Layer]:
    names = [name for name, _ in built.network.named_modules()]
    return probe_layers(built, select_layers(names, built.preset))


STAGES = [(256, 56), (512, 28), (1024, 14), (2048, 7)]


@pytest.mark.parametrize(
    ("family", "architecture", "first", "shapes", "mean"),
    [
        ("timm", "vit_base_patch16_224.dino", "blocks.0.mlp.act", [(3072, 14)] * 12, IMAGENET_MEAN),
        ("timm", "vit_base_patch8_224.dino", "blocks.0.mlp.act", [(3072, 28)] * 12, IMAGENET_MEAN),
        ("timm", "vit_base_patch16_224.mae", "blocks.0.mlp.act", [(3072, 14)] * 12, IMAGENET_MEAN),
        ("timm", "resnet50", "layer1", STAGES, IMAGENET_MEAN),
        ("torchvision", "resnet50", "layer1", STAGES, IMAGENET_MEAN),
        ("open_clip", "RN50", "layer1", STAGES, CLIP_MEAN),
        (
            "open_clip",
            "ViT-B-16",
            "transformer.resblocks.0.mlp.gelu",
            [(3072, 14)] * 12,
            CLIP_MEAN,
        ),
    ],
)
def test_the_papers_encoders_have_the_papers_layers(
    family: str, architecture: str, first: str, shapes: list[tuple[int, int]], mean: list[float]
) -> None:
    with torch.device("meta"):
        built = build(family, architecture)
        found = units(built)
    assert found[0].name == first
    assert [(layer.channels, layer.grid) for layer in found] == [
        (channels, (side, side)) for channels, side in shapes
    ]
    assert built.input.size == 224
    assert built.input.crop == 1
    assert built.input.mean == pytest.approx(mean)


@pytest.mark.parametrize(
    ("family", "architecture", "first", "count", "shape"),
    [
        ("timm", "vit_small_patch14_reg4_dinov2", "blocks.0.mlp.act", 12, (1536, 37)),
        ("timm", "vit_base_patch16_siglip_224", "blocks.0.mlp.act", 12, (3072, 14)),
        ("timm", "convnext_tiny", "stages.0.blocks.0.mlp.act", 18, (384, 56)),
        ("timm", "swin_tiny_patch4_window7_224", "layers.0.blocks.0.mlp.act", 12, (384, 56)),
        ("torchvision", "vit_b_32", "encoder.layers.encoder_layer_0.mlp.1", 12, (3072, 7)),
        ("open_clip", "ViT-B-16-SigLIP", "trunk.blocks.0.mlp.act", 12, (3072, 14)),
        ("open_clip", "convnext_base", "trunk.stages.0.blocks.0.mlp.act", 36, (512, 56)),
        ("open_clip", "roberta-ViT-B-32", "transformer.resblocks.0.mlp.gelu", 12, (3072, 7)),
    ],
)
def test_registers_pooling_and_axes_of_other_encoders_are_no_units(
    family: str, architecture: str, first: str, count: int, shape: tuple[int, int]
) -> None:
    with torch.device("meta"):
        found = units(build(family, architecture))
    assert len(found) == count
    assert (found[0].name, found[0].channels, found[0].grid) == (first, shape[0], (shape[1],) * 2)


SMALL = [
    ("timm", "vit_tiny_patch16_224", {"img_size": 64, "depth": 2}),
    ("timm", "vit_tiny_patch16_224.augreg_in21k", {"img_size": 64, "depth": 2}),
    ("timm", "vit_small_patch14_reg4_dinov2", {"img_size": 56, "depth": 2}),
    ("timm", "convnext_atto", {"depths": (1, 1, 1, 1)}),
    ("timm", "resnet18", {}),
    ("torchvision", "vit_b_32", {"image_size": 128, "num_classes": 3}),
    ("torchvision", "swin_t", {}),
    ("open_clip", "ViT-S-32", {"image_size": 64, "patch_size": 16, "width": 64, "layers": 2}),
    ("open_clip", "vit_medium_patch16_gap_256", {"image_size": 64}),
    ("open_clip", "RN50", {"image_size": 64, "width": 8, "layers": [1, 1, 1, 1]}),
]


@pytest.mark.parametrize(("family", "architecture", "arguments"), SMALL)
def test_a_patch_of_the_image_changes_the_first_map_there_most(
    family: str, architecture: str, arguments: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    built = build(family, architecture, **arguments)
    layer = "features.1.0.mlp.1" if architecture == "swin_t" else units(built)[0].name
    side = built.input.size
    image = torch.randn(1, 3, side, side)
    spans = [slice(cell * side // 4, (cell + 1) * side // 4) for cell in range(4)]
    for row, column in [(0, 3), (2, 1)]:  # of a 4×4 grid over the image
        changed = image.clone()
        changed[..., spans[row], spans[column]] += 3
        seen: list[torch.Tensor] = []
        with built.capture([layer], receive=lambda _, maps, seen=seen: seen.append(maps.clone())):
            built.network(torch.cat([image, changed]))
        (maps,) = seen  # (2, c, h, w)
        change = (maps[1] - maps[0]).abs().mean(0)[None]  # (1, h, w)
        cells = torch.nn.functional.adaptive_avg_pool2d(change, 4)[0]
        assert cells.argmax().item() == 4 * row + column


def test_a_vector_of_tokens_is_a_row_of_maps() -> None:
    """Token (row, column) of a real transformer's MLP lands at that place of the map."""
    built = build("timm", "vit_tiny_patch16_224")
    tokens: list[torch.Tensor] = []
    maps: list[torch.Tensor] = []
    built.network.get_submodule("blocks.3.mlp.act").register_forward_hook(
        lambda _m, _i, output: tokens.append(output)
    )
    with built.capture(["blocks.3.mlp.act"], receive=lambda _, found: maps.append(found)):
        built.network(torch.randn(1, 3, 224, 224))
    assert built.prefix_tokens == 1
    torch.testing.assert_close(maps[0][0, :, 2, 5], tokens[-1][0, 1 + 2 * 14 + 5])


def test_only_quickgelu_architectures_have_the_gelu_of_openai() -> None:
    arguments = {"image_size": 32, "width": 64, "layers": 1}
    x = torch.linspace(-3, 3, 50)
    for name, expected in {
        "ViT-B-16": torch.nn.functional.gelu(x),
        "ViT-B-16-quickgelu": x * torch.sigmoid(1.702 * x),
    }.items():
        network = build("open_clip", name, **arguments).network
        torch.testing.assert_close(network.transformer.resblocks[0].mlp.gelu(x), expected)
    other = build("open_clip", "ViT-B-16", quick_gelu=True, **arguments).network
    torch.testing.assert_close(other.transformer.resblocks[0].mlp.gelu(x), expected)


@pytest.mark.parametrize(
    ("family", "architecture", "arguments", "problem"),
    [
        ("timm", "resnet500", {}, r"timm: unknown architecture 'resnet500'.*'resnet50'"),
        ("timm", "vit_tiny_patch16_224.dinos", {}, "dinos"),
        ("timm", "resnet18", {"wide": 3}, r"timm's resnet18: .*\{'wide': 3\} \(.*'wide'"),
        ("timm", "resnet18", {"pretrained": True}, "'pretrained' loads weights"),
        ("timm", "resnet18", {"act_layer": "rely"}, "resnet18: .* built with arguments .*'rely'"),
        ("timm", "vit_tiny_patch16_224", {"num_heads": 0}, "built with arguments .*zero"),
        ("torchvision", "mobilenet_v9", {}, r"unknown architecture 'mobilenet_v9'.*'mobilenet_v2'"),
        ("torchvision", "resnet18", {"wide": 3}, r"resnet18: .*\{'wide': 3\} \(.*'wide'"),
        ("torchvision", "vit_b_32", {"image_size": 50}, "vit_b_32: .* built with arguments"),
        ("torchvision", "resnet18", {"weights": "DEFAULT"}, "'weights' loads weights"),
        ("open_clip", "RN5", {}, r"open_clip: unknown architecture 'RN5' \(did you mean 'RN50'"),
        ("open_clip", "hf-hub:timm/RN50", {}, "open_clip: unknown architecture 'hf-hub:timm/RN50'"),
        ("open_clip", "RN50", {"image_siz": 3}, r"no argument 'image_siz' \(did you mean 'image_s"),
        ("open_clip", "convnext_base", {"timm_model_pretrained": True}, "no argument 'timm_model_"),
    ],
)
def test_unknown_architectures_and_arguments(
    family: str, architecture: str, arguments: dict[str, Any], problem: str
) -> None:
    with torch.device("meta"), pytest.raises(RosettaError, match=problem) as caught:
        build(family, architecture, **arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("module", [dcgan, mtcnn_onet])
def test_families_of_one_network_take_nothing(module) -> None:
    for given in ({"architecture": "big"}, {"arguments": {"width": 3}}):
        with pytest.raises(RosettaError, match="has a single network; remove") as caught:
            module.build(**given)
        assert "\n" not in str(caught.value)


def test_truncation_shrinks_the_latents_of_a_dcgan() -> None:
    whole, half = (
        dcgan.build(truncation=truncation).sample_latents([1, 2]) for truncation in (1.0, 0.5)
    )
    assert torch.equal(half, whole / 2)
