"""Preprocessing of vision models of Hugging Face transformers, from their image processors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny_transformers import PLAIN, TINY

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.encoders.transformers import build
from rosetta_core.zoo.model_spec import Input

NEAREST, LANCZOS, BILINEAR, BICUBIC = 0, 1, 2, 3
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def folder_of(tmp_path: Path, processor: str, **settings: Any) -> str:
    """Write the settings of a tiny network and of its image processor."""
    config = {"model_type": "vit", **PLAIN, "image_size": 64}
    (tmp_path / "config.json").write_text(json.dumps(config))
    content = {"image_processor_type": processor, **settings}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    return str(tmp_path)


SQUARE = {"height": 64, "width": 64}
PROCESSORS: list[tuple[str, dict[str, Any]]] = [
    ("ViTImageProcessor", {"size": SQUARE, "resample": BILINEAR}),
    ("ViTImageProcessor", {"size": SQUARE, "resample": BICUBIC, **IMAGENET}),
    ("ViTFeatureExtractor", {"size": 64}),
    ("ViTImageProcessorFast", {"size": SQUARE}),
    ("BitImageProcessor", {"size": {"shortest_edge": 72}, "crop_size": SQUARE}),
    ("BitImageProcessor", {"size": {"shortest_edge": 64}, "crop_size": SQUARE}),
    ("CLIPImageProcessor", {"size": {"shortest_edge": 64}, "crop_size": SQUARE}),
    ("SiglipImageProcessor", {"size": SQUARE}),
    ("DeiTImageProcessor", {"size": {"height": 72, "width": 72}, "crop_size": SQUARE}),
    ("BeitImageProcessor", {"size": SQUARE}),
    ("ConvNextImageProcessor", {"size": {"shortest_edge": 64}, "crop_pct": 0.875}),
    ("PoolFormerImageProcessor", {"size": {"shortest_edge": 64}, "crop_size": SQUARE}),
    ("EfficientNetImageProcessor", {"size": SQUARE, "resample": BICUBIC, "include_top": True}),
    ("DINOv3ViTImageProcessor", {"size": SQUARE}),
    ("ViTImageProcessor", {"size": SQUARE, "do_normalize": False}),
    ("ViTImageProcessor", {"size": SQUARE, "rescale_factor": 1 / 127.5}),
    ("ViTImageProcessor", {"size": {"height": 32, "width": 64}}),
]


@pytest.mark.parametrize(("processor", "settings"), PROCESSORS)
def test_an_input_is_the_image_processors(
    processor: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    found = build(folder_of(tmp_path, processor, **settings)).input
    name = processor.replace("FeatureExtractor", "ImageProcessor").removesuffix("Fast")
    theirs = getattr(transformers, name)(**settings)
    assert found.crop == 1  # the whole image is the input, whatever the processor crops
    height, width = found.sides
    resized = (height, width)
    if crops := settings.get("crop_size") or settings.get("crop_pct"):
        resized = (72, 72)
        if crops == 0.875:
            resized = (73, 73)
        elif settings["size"].get("shortest_edge") == 64:
            resized = (71, 71) if processor == "PoolFormerImageProcessor" else (64, 64)
    rng = np.random.default_rng(0)
    shape = [2 * side for side in resized]
    coarse = rng.integers(0, 256, (1, 3, shape[0] // 4, shape[1] // 4)).astype(np.float32)
    image = torch.nn.functional.interpolate(torch.from_numpy(coarse), size=shape, mode="bilinear")
    pixels = image[0].permute(1, 2, 0).round().byte().numpy()
    output = theirs(pixels, return_tensors="pt")["pixel_values"][0].float()
    whole = preprocess(torch.from_numpy(pixels)[None], found.model_copy(update={"size": resized}))
    assert output.shape[1:] == found.sides

    def difference(top: int, left: int) -> float:
        ours = whole[0, :, top : top + height, left : left + width]
        pixel = ((output - ours) * torch.tensor(found.std)[:, None, None]).abs()
        return float(pixel[:, 8:-8, 8:-8].max())

    top, left = (resized[0] - height) // 2, (resized[1] - width) // 2
    offsets = [(top, left), (top + (resized[0] - height) % 2, left + (resized[1] - width) % 2)]
    assert min(difference(*offset) for offset in offsets) < 3.1 / 255


@pytest.mark.parametrize(
    ("processor", "settings", "message"),
    [
        ("ViTImageProcessor", {"size": SQUARE, "resample": LANCZOS}, "with lanczos interpolation"),
        ("ViTImageProcessor", {"size": SQUARE, "resample": NEAREST}, "with nearest interpolation"),
        (
            "MobileViTImageProcessor",
            {"size": {"shortest_edge": 72}, "crop_size": SQUARE},
            "exchanges red and blue",
        ),
        ("ViTImageProcessor", {"do_resize": False}, "the image's own size"),
        ("GLPNImageProcessor", {}, "the image's own size"),
        ("LlavaNextImageProcessor", {}, "does not return one image|fails"),
        ("ViTImageProcessor", {"size": {"longest_side": 3}}, "fails"),
        ("NoSuchImageProcessor", {}, "has no image processor 'NoSuchImageProcessor'"),
        ("ViTModel", {}, "has no image processor 'ViTModel'"),
        ("ViTImageProcessor", {"size": SQUARE, "image_mean": [127.0] * 3}, "divide by 255|fails"),
    ],
)
def test_what_has_no_equal_is_refused_unless_an_input_is_given(
    processor: str, settings: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = folder_of(tmp_path, processor, **settings)
    with pytest.raises(RosettaError, match=message) as caught:
        build(folder)
    assert "\n" not in str(caught.value)
    given = Input(size=64, mean=[0.5] * 3, std=[0.5] * 3)
    assert build(folder, input=given).input == given


def test_a_processor_of_several_modalities_is_read(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "ViTImageProcessor", size=SQUARE, **IMAGENET)
    content = json.loads((tmp_path / "preprocessor_config.json").read_text())
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": content}))
    assert build(folder).input.mean == pytest.approx(IMAGENET["image_mean"])


@pytest.mark.parametrize(
    ("kind", "mean", "interpolation"),
    [
        ("vit", [0.5] * 3, "bilinear"),
        ("dinov2", [0.48145466, 0.4578275, 0.40821073], "bicubic"),
        ("dinov2_with_registers", [0.48145466, 0.4578275, 0.40821073], "bicubic"),
        ("dinov3_vit", IMAGENET["image_mean"], "bilinear"),
        ("dinov3_convnext", IMAGENET["image_mean"], "bilinear"),
        ("siglip_vision_model", [0.5] * 3, "bicubic"),
        ("siglip2_vision_model", [0.5] * 3, "bilinear"),
        ("clip_vision_model", [0.48145466, 0.4578275, 0.40821073], "bicubic"),
    ],
)
def test_a_type_has_the_defaults_of_its_processor(
    kind: str, mean: list[float], interpolation: str
) -> None:
    found = build(kind, arguments=TINY[kind]).input
    assert found.size == (64 if kind == "dinov3_convnext" else 32)
    assert found.mean == pytest.approx(mean)
    assert found.interpolation == interpolation


def test_a_type_without_a_processor_needs_an_input() -> None:
    with pytest.raises(RosettaError, match="vitdet: transformers has no image processor"):
        build("vitdet", arguments=TINY["vitdet"])
