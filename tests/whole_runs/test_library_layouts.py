"""Layouts of library models: the smallest of each module family of timm, torchvision, open_clip.

Positions are verified by another definition than that of the geometry check: of two images that
differ from a third in opposite halves, each changes the maps more in its own half.
"""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from timm.models import _registry as registry
from torchvision import models

from rosetta_core.mining.sources.live import LiveActivations
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.layers import select_layers
from rosetta_core.zoo.layouts.geometry import check_geometry
from rosetta_core.zoo.network import Encoder
from rosetta_core.zoo.probing import probe_layers
from rosetta_core.zoo.registry import FAMILIES

MOST_PARAMETERS = 60e6
NEAR_LIMIT = 2  # layers whose verdict another processor's rounding may change
# module families without a model of at most 60 million parameters
LARGE = {
    *("beit", "deepseek_vit", "gemma4_vit", "mobilenetv5", "naflexvit", "nasnet", "pnasnet"),
    *("qwen3_vit", "vgg", "vision_transformer_sam"),
}
TIMM: dict[str, tuple[str, str, str]] = {  # model, kinds and verdicts of its preset's layers
    "byoanet": ("halonet_h1", "5 nchw", "5 follows"),
    "byobnet": ("test_byobnet", "5 nchw", "5 follows"),
    "cait": ("cait_xxs24_224", "24 tokens", "24 follows"),
    "coat": ("coat_tiny", "8 tokens", "8 follows"),
    "convit": ("convit_tiny", "12 tokens", "12 follows"),
    "convmixer": ("convmixer_768_32", "32 nchw", "27 follows, 5 even"),
    "convnext": ("test_convnext", "9 nhwc", "7 follows, 2 even"),
    "cpubone": ("cpubone_nano", "4 nchw", "4 follows"),
    "crossvit": ("crossvit_tiny_240", "15 tokens", "15 follows"),
    "csatv2": ("csatv2", "4 nchw", "4 follows"),
    "cspnet": ("cs3darknet_focus_s", "5 nchw", "5 follows"),
    "cspnext": ("cspnext_tiny", "5 nchw", "5 follows"),
    "davit": ("davit_tiny", "12 tokens", "12 follows"),
    "deit": ("deit_tiny_patch16_224", "12 tokens", "12 follows"),
    "densenet": ("densenet121", "5 nchw", "5 follows"),
    "dla": ("dla46x_c", "6 nchw", "6 follows"),
    "dpn": ("dpn48b", "5 nchw", "5 follows"),
    "edgenext": ("edgenext_xx_small", "12 nhwc", "12 follows"),
    "efficientformer": ("efficientformer_l1", "14 nchw, 1 tokens", "15 follows"),
    "efficientformer_v2": ("efficientformerv2_s0", "4 nchw", "4 follows"),
    "efficientnet": ("test_efficientnet", "5 nchw", "5 follows"),
    "efficientvim": ("efficientvim_m1", "6 nchw", "5 follows, 1 even"),
    "efficientvit_mit": ("efficientvit_b0", "4 nchw", "4 follows"),
    "efficientvit_msra": ("efficientvit_m0", "3 nchw", "3 follows"),
    "eva": ("vit_tiny_patch16_dinov3_qkvb", "12 tokens", "12 follows"),
    "fasternet": ("fasternet_t0", "4 nchw", "4 follows"),
    "fastvit": ("fastvit_t8", "10 nchw", "10 follows"),
    "focalnet": ("focalnet_tiny_srf", "12 nchw", "12 follows"),
    "gcvit": ("gcvit_xxtiny", "12 nhwc", "12 follows"),
    "ghostnet": ("ghostnet_050", "5 nchw", "5 follows"),
    "hardcorenas": ("hardcorenas_b", "5 nchw", "5 follows"),
    "hgnet": ("hgnetv2_b0", "4 nchw", "4 follows"),
    "hiera": ("hiera_tiny_224", "12 tokens", "12 follows"),
    "hieradet_sam2": ("sam2_hiera_tiny", "12 nhwc", "12 follows"),
    "hrnet": ("hrnet_w18_small", "5 nchw", "5 follows"),
    "iformer": ("iformer_t", "4 nchw", "4 follows"),
    "inception_next": ("inception_next_atto", "12 nchw", "12 follows"),
    "inception_resnet_v2": ("inception_resnet_v2", "5 nchw", "5 follows"),
    "inception_v3": ("inception_v3", "5 nchw", "5 follows"),
    "inception_v4": ("inception_v4", "5 nchw", "5 follows"),
    "lcnetv2": ("lcnetv2_small", "4 nchw", "4 follows"),
    "levit": ("levit_128s", "11 tokens", "9 even, 2 follows"),
    "lowformer": ("lowformer_b0", "4 nchw", "4 follows"),
    "mambaout": ("test_mambaout", "4 nhwc", "4 follows"),
    "maxxvit": ("test_coatnet", "3 nchw", "3 follows"),
    "metaformer": ("poolformerv2_s12", "12 nchw", "12 follows"),
    "mlp_mixer": ("gmlp_ti16_224", "30 tokens", "30 follows"),
    "mobilenetv3": ("mobilenetv3_small_050", "5 nchw", "5 follows"),
    "mobilevit": ("mobilevit_xxs", "9 dilated_windows", "9 follows"),
    "mvitv2": ("mvitv2_tiny", "10 tokens", "10 follows"),
    "nest": ("nest_tiny", "12 windows", "12 follows"),
    "nextvit": ("nextvit_small", "20 nchw", "20 follows"),
    "nfnet": ("test_nfnet", "5 nchw", "5 follows"),
    "pit": ("pit_ti_224", "12 tokens", "12 follows"),
    "pvt_v2": ("pvt_v2_b0", "8 tokens", "8 follows"),
    "rdnet": ("rdnet_tiny", "4 nchw", "4 follows"),
    "regnet": ("regnetx_002", "5 nchw", "5 follows"),
    "repghost": ("repghostnet_050", "5 nchw", "5 follows"),
    "repvit": ("repvit_m1", "4 nchw", "4 follows"),
    "res2net": ("res2next50", "4 nchw", "4 follows"),
    "resnest": ("resnest14d", "4 nchw", "4 follows"),
    "resnet": ("test_resnet", "4 nchw", "4 follows"),
    "resnetv2": ("resnetv2_18", "5 nchw", "5 follows"),
    "rexnet": ("rexnet_100", "5 nchw", "4 follows, 1 even"),
    "selecsls": ("selecsls42", "4 nchw", "4 follows"),
    "senet": ("legacy_seresnet18", "5 nchw", "5 follows"),
    "sequencer": ("sequencer2d_s", "4 nhwc", "4 follows"),
    "shvit": ("shvit_s1", "3 nchw", "3 follows"),
    "sknet": ("skresnet18", "4 nchw", "4 follows"),
    "starnet": ("starnet_s050", "4 nchw", "4 follows"),
    "swiftformer": ("swiftformer_xs", "4 nchw", "4 follows"),
    "swin_transformer": ("swin_tiny_patch4_window7_224", "12 tokens", "12 follows"),
    "swin_transformer_v2": ("swinv2_tiny_window8_256", "12 tokens", "12 follows"),
    "swin_transformer_v2_cr": ("swinv2_cr_tiny_224", "12 tokens", "12 follows"),
    "tiny_vit": ("tiny_vit_5m_224", "10 tokens", "10 follows"),
    "tnt": ("tnt_s_legacy_patch16_224", "12 tokens", "12 follows"),
    "tresnet": ("tresnet_m", "4 nchw", "4 follows"),
    "twins": ("twins_svt_small", "18 tokens", "18 follows"),
    "visformer": ("visformer_tiny", "3 nchw", "3 follows"),
    "vision_transformer": ("test_vit", "6 tokens", "6 follows"),
    "vision_transformer_hybrid": ("vit_tiny_r_s16_p8_224", "12 tokens", "12 follows"),
    "vision_transformer_relpos": ("test_vit_relpos", "9 tokens", "9 follows"),
    "vitamin": ("vitamin_small_224", "14 tokens", "14 follows"),
    "volo": ("volo_d1_224", "18 nhwc", "18 follows"),
    "vovnet": ("ese_vovnet19b_slim_dw", "5 nchw", "5 follows"),
    "xception": ("legacy_xception", "5 nchw", "5 follows"),
    "xception_aligned": ("xception41p", "5 nchw", "5 follows"),
    "xcit": ("xcit_nano_12_p8_224", "12 tokens", "12 follows"),
}
OPEN_CLIP = [
    ("RN50", {"image_size": 64}),
    ("RN101", {"image_size": 64}),
    ("ViT-B-32", {"image_size": 96, "layers": 4}),
    ("ViT-B-16-quickgelu", {"image_size": 64, "layers": 4}),
    ("ViT-S-16", {"image_size": 64}),
    ("ViT-B-16-SigLIP", {"image_size": 64}),
    ("convnext_base", {"image_size": 128}),
    ("vit_relpos_medium_patch16_cls_224", {}),
    ("vit_medium_patch16_gap_256", {"image_size": 128}),
    ("swin_base_patch4_window7_224", {}),
    ("coca_ViT-B-32", {"image_size": 96, "layers": 4}),
    ("EVA02-B-16", {"image_size": 64}),
]


def build(family: str, architecture: str, **arguments: Any) -> Encoder:
    torch.manual_seed(0)
    built: Encoder = FAMILIES[family].module().build(architecture, arguments=arguments or None)
    built.network.eval().requires_grad_(False)
    return built


def preset_of(built: Encoder) -> list[str]:
    return select_layers([name for name, _ in built.network.named_modules()], built.preset)


def torchvision_models() -> list[str]:
    """Names of torchvision's classifiers of at most 60 million parameters."""
    known = models.list_models(module=models)
    return [
        name
        for name in known
        if models.get_model_weights(name).DEFAULT.meta["num_params"] <= MOST_PARAMETERS
    ]


def changes(built: Encoder, layers: list[str], images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Mean change of each position (images - 1, h, w) from the maps of the first image."""
    changed: dict[str, torch.Tensor] = {}

    def receive(layer: str, maps: torch.Tensor) -> None:
        change = maps[1:].float() - maps[:1].float()
        change = change - change.mean((2, 3), keepdim=True)
        changed[layer] = change.abs().mean(1)

    with torch.no_grad(), built.capture(layers, receive=receive):
        built.forward(images)
    return changed


def verify_halves(built: Encoder, layers: list[str]) -> None:
    """Noise in the top (left) half changes the top (left) half of maps more than noise below does.

    The patches lie at other places than those of the geometry check.
    """
    height, width = built.input.sides
    generator = torch.Generator().manual_seed(7)
    first = torch.randn(1, 3, height, width, generator=generator)
    centres = [(0.2, 0.55), (0.8, 0.4), (0.45, 0.2), (0.6, 0.8)]  # top, bottom, left, right
    images = [first]
    for row, column in centres:
        image = first.clone()
        rows = slice(round((row - 0.1) * height), round((row + 0.1) * height))
        columns = slice(round((column - 0.1) * width), round((column + 0.1) * width))
        part = image[..., rows, columns]
        part.copy_(torch.randn(part.shape, generator=generator) * 2)
        images.append(image)
    agreeing, opposite = [], []  # of half the axes of scrambled maps, chance has it right
    for layer, change in changes(built, layers, torch.cat(images)).items():
        for axis, (before, after) in ((1, (0, 1)), (2, (2, 3))):
            side = change.shape[axis]
            if side < 2:
                continue
            low = change.narrow(axis, 0, side // 2).mean((1, 2))
            high = change.narrow(axis, side - side // 2, side // 2).mean((1, 2))
            right = bool(low[before] * high[after] > high[before] * low[after])
            (agreeing if right else opposite).append((layer, axis))
    assert len(opposite) <= 0.1 * len(agreeing), opposite


def verify_recording(built: Encoder, layers: list[str]) -> None:
    """Maps of images are recorded as the activations stage does, alone and in batches alike."""
    height, width = built.input.sides
    images = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), dtype=np.uint8)
    found = probe_layers(built, layers)
    recorded = []
    for batch in (1, 2):
        source = LiveActivations(
            built,
            name="model",
            layers=found,
            inputs=lambda chosen: (images[chosen.start : chosen.stop],),
            images=3,
            batch_size=batch,
            device=torch.device("cpu"),
            float32=layers,
        )
        with torch.no_grad(), TorchThreadPool(1) as workers:
            source.load(range(3), workers)
        recorded.append([source.read(number, range(3)) for number in range(len(found))])
    for layer, alone, together in zip(found, *recorded, strict=True):
        assert alone.shape == (3, layer.channels, *layer.grid)
        rows = torch.stack([alone.flatten(), together.flatten()]).double()
        assert float(rows[0].std()) == 0 or float(torch.corrcoef(rows)[0, 1]) > 0.99, layer.name


def verify(built: Encoder, layers: list[str]) -> tuple[str, Counter[str]]:
    """Check a model in every way; return the counts of its kinds and verdicts."""
    kinds = Counter(built.layout(layer).kind for layer in layers)
    verdicts = check_geometry(built, layers)
    verify_halves(built, [layer for layer in layers if verdicts[layer] == "follows"])
    verify_recording(built, layers)
    return _show(kinds), Counter(verdicts.values())


def _show(counts: Counter[Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def test_the_table_has_every_module_family_of_timm() -> None:
    families = {registry._model_to_module[name] for name in timm.list_models()}
    assert families == set(TIMM) | LARGE


@pytest.mark.parametrize("family", TIMM)
def test_timm(family: str) -> None:
    name, kinds, verdicts = TIMM[family]
    built = build("timm", name)
    assert sum(p.numel() for p in built.network.parameters()) <= MOST_PARAMETERS
    found_kinds, found = verify(built, preset_of(built))
    assert found_kinds == kinds
    listed = Counter({name: int(n) for n, name in (part.split() for part in verdicts.split(", "))})
    assert sum((found - listed).values()) <= NEAR_LIMIT, found


@pytest.mark.parametrize("name", torchvision_models())
def test_torchvision(name: str) -> None:
    built = build("torchvision", name)
    deep = name.startswith("efficientnet")  # with random weights they magnify rounding
    if deep:
        built.network.double()
    if not name.startswith(("vit", "maxvit", "swin")):  # smaller inputs, where networks take them
        smaller = built.input.model_copy(update={"size": 224 if deep else 128})
        built = replace(built, input=smaller)
    _, verdicts = verify(built, preset_of(built))
    assert "follows" in verdicts


@pytest.mark.parametrize(("name", "arguments"), OPEN_CLIP, ids=[row[0] for row in OPEN_CLIP])
def test_open_clip(name: str, arguments: dict[str, Any]) -> None:
    built = build("open_clip", name, **arguments)
    _, verdicts = verify(built, preset_of(built))
    assert "follows" in verdicts
