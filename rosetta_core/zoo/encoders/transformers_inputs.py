"""Preprocessing of networks of Hugging Face transformers, from their image processors.

Size, interpolation, mean and standard deviation become an `Input`, and the result is compared with
the processor's own on an image. As for all families, the input is the whole image: a centre crop of
the processor is reproduced in the comparison and then left out, since it would shift the maps.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import BaseImageProcessor, PreTrainedConfig
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES

from rosetta_core.errors import RosettaError, describe_exception
from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.encoders.transformers_files import Definition
from rosetta_core.zoo.layers import Grid
from rosetta_core.zoo.model_spec import Input, input_size

__all__ = ["input_of"]

CURE = "set `input` of the model"
RESAMPLING: Mapping[int, str] = {
    0: "nearest",
    1: "lanczos",
    2: "bilinear",
    3: "bicubic",
    4: "box",
    5: "hamming",
}
# types whose processor AutoImageProcessor does not list
PROCESSORS = {
    "dinov2_with_registers": "BitImageProcessor",
    "dinov3_convnext": "DINOv3ViTImageProcessor",
    "tipsv2_vision_model": "SiglipImageProcessor",
    "metaclip_2_vision_model": "CLIPImageProcessor",
}
CROPS = (224 / 256, 0.9, 1.0)  # shares that processors have in code
TOLERANCE = 3 / 255  # of pixels; processors round to bytes after each pass of a resize
SIDE = 256  # of the image that is compared
PATCHES = "siglip2_vision_model"  # whose processor returns patches


def input_of(definition: Definition, config: PreTrainedConfig) -> Input:
    """Return the preprocessing of a network, from its image processor.

    Args:
        definition: settings of the network; the processor of its type is used if they have none.
        config: configuration of the network, whose `image_size` counts for a type.

    Raises:
        RosettaError: there is no processor, or it cannot be reproduced.
    """
    name = definition.name
    processor = _processor(definition, config)
    with _one_line(name), torch.device("cpu"):
        mean, std = _statistics(processor)
        found = Input(size=SIDE, interpolation=_interpolation(name, processor), mean=mean, std=std)
        output = _run(processor, _image(SIDE, SIDE), config)
        if output is None:
            raise RosettaError(
                f"{name}: its image processor ({type(processor).__name__}) does not return one "
                f"image (3, h, w); {CURE}"
            )
        found = _sized(found, output)
        _compare(name, processor, found, config)
    if not definition.from_files and (size := _size_of(config)):
        return found.model_copy(update={"size": input_size(size)})
    return found


def _size_of(config: PreTrainedConfig) -> int | tuple[int, int] | None:
    """Return the size of the images of a configuration, if it has one."""
    if config.model_type == PATCHES:
        return int(config.patch_size * math.isqrt(config.num_patches))
    size = getattr(config, "image_size", None)
    if isinstance(size, list | tuple) and len(size) == 2:
        return (size[0], size[1])
    return size if isinstance(size, int) else None


@contextmanager
def _one_line(name: str) -> Iterator[None]:
    try:
        yield
    except RosettaError:
        raise
    except Exception as error:  # of any processor
        reason = " ".join(describe_exception(error).split())[:200]
        raise RosettaError(f"{name}: its image processor fails ({reason}); {CURE}") from None


def _processor(definition: Definition, config: PreTrainedConfig) -> BaseImageProcessor:
    """Return the image processor of a network: of its own settings, or with those of its type."""
    name, content = definition.name, dict(definition.processor or {})
    if definition.from_files and not content:
        raise RosettaError(
            f"{name}: has no preprocessor_config.json, and so no mean and std; add the file, or "
            f"{CURE}"
        )
    chosen = content.get("image_processor_type") or content.get("feature_extractor_type")
    chosen = chosen or _processor_name(str(definition.config.get("model_type")), config.model_type)
    if chosen is None:
        raise RosettaError(f"{name}: transformers has no image processor for it; {CURE}")
    title = str(chosen).replace("FeatureExtractor", "ImageProcessor").removesuffix("Fast")
    cls: Any = getattr(transformers, title, None)
    if not (isinstance(cls, type) and issubclass(cls, BaseImageProcessor)):
        raise RosettaError(f"{name}: transformers has no image processor {chosen!r}; {CURE}")
    own = {key: value for key, value in content.items() if key not in ("auto_map", "device")}
    with _one_line(name):
        return _from_settings(cls, own)


def _from_settings(processor_class: Any, settings: Mapping[str, Any]) -> BaseImageProcessor:
    built: BaseImageProcessor = processor_class.from_dict(dict(settings))
    return built


def _processor_name(*kinds: str) -> str | None:
    """Return the class of the processor of the first type that has one."""
    for kind in kinds:
        for parent in (kind, kind.removesuffix("_vision_model")):
            listed = PROCESSORS.get(parent) or IMAGE_PROCESSOR_MAPPING_NAMES.get(parent)
            if isinstance(listed, Mapping):
                listed = listed.get("torchvision") or listed.get("pil")
            if listed:
                return str(listed)
    return None


def _statistics(processor: Any) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation for pixels in 0..1."""
    mean, std = [0.0] * 3, [1.0] * 3
    if getattr(processor, "do_normalize", False):
        mean = _three(processor.image_mean)
        std = _three(processor.image_std)
        if getattr(processor, "include_top", False):  # EfficientNet divides twice
            std = [value**2 for value in std]
    factor = 255.0
    if getattr(processor, "do_rescale", False):
        factor = 255 * float(processor.rescale_factor)
        if getattr(processor, "rescale_offset", False):
            mean = [value + 1 for value in mean]
    return [value / factor for value in mean], [value / factor for value in std]


def _three(values: Any) -> list[float]:
    return [float(values)] * 3 if isinstance(values, int | float) else [float(x) for x in values]


def _interpolation(name: str, processor: Any) -> Literal["bilinear", "bicubic"]:
    resample = getattr(processor, "resample", None)
    if not getattr(processor, "do_resize", True) or resample is None:
        return "bicubic"
    match RESAMPLING.get(int(resample), str(resample)):
        case "bilinear":
            return "bilinear"
        case "bicubic":
            return "bicubic"
        case other:
            raise RosettaError(
                f"{name}: its image processor resizes with {other} interpolation, not bilinear or "
                f"bicubic; {CURE}"
            )


def _image(height: int, width: int) -> NDArray[np.uint8]:
    """Return an image (h, w, 3) of smooth noise, in which interpolations differ."""
    generator = torch.Generator("cpu").manual_seed(0)
    coarse = torch.rand(1, 3, max(2, height // 4), max(2, width // 4), generator=generator)
    smooth = functional.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
    image: NDArray[np.uint8] = (smooth[0].permute(1, 2, 0) * 255).round().byte().numpy()
    return image


def _run(processor: Any, image: NDArray[np.uint8], config: PreTrainedConfig) -> Tensor | None:
    """Return the processor's input (3, h, w) for an image; None if it returns something else."""
    result = processor(image, return_tensors="pt")
    output = result.get("pixel_values")
    if not isinstance(output, Tensor):
        return None
    if config.model_type == PATCHES and output.ndim == 3:
        return _from_patches(output[0], result["spatial_shapes"][0], processor.patch_size)
    return output[0].float() if output.ndim == 4 and output.shape[:2] == (1, 3) else None


def _from_patches(patches: Tensor, shape: Tensor, side: int) -> Tensor:
    """Return the image (3, h, w) of patches in rows, without padding."""
    rows, columns = (int(value) for value in shape)
    parts = patches[: rows * columns].reshape(rows, columns, side, side, 3)
    return parts.permute(4, 0, 2, 1, 3).flatten(3, 4).flatten(1, 2).float()


def _sized(found: Input, output: Tensor) -> Input:
    size = input_size((int(output.shape[1]), int(output.shape[2])))
    return found.model_copy(update={"size": size})


def _compare(name: str, processor: Any, found: Input, config: PreTrainedConfig) -> None:
    """Compare an input with the processor's own, which may crop what it has resized.

    Raises:
        RosettaError: they differ by more than the rounding of bytes.
    """
    height, width = found.sides
    smallest, swapped = math.inf, math.inf
    for resized in _resized_sides(processor, found):
        image = _image(2 * resized[0], 2 * resized[1])
        output = _run(processor, image, config)
        if output is None or output.shape[1:] != found.sides:
            continue
        whole = preprocess(
            torch.from_numpy(image)[None], found.model_copy(update={"size": resized})
        )
        for odd in (0, 1):  # half a pixel, which libraries round up or down
            top, left = (resized[0] - height + odd) // 2, (resized[1] - width + odd) // 2
            ours = whole[0, :, top : top + height, left : left + width]
            smallest = min(smallest, _difference(output, ours, found))
            swapped = min(swapped, _difference(output.flip(0), ours, found))
        if smallest <= TOLERANCE:
            return
    kind = type(processor).__name__
    if smallest == math.inf:
        raise RosettaError(
            f"{name}: its image processor ({kind}) returns inputs of the image's own size; {CURE}"
        )
    if swapped <= TOLERANCE:
        raise RosettaError(
            f"{name}: its image processor ({kind}) exchanges red and blue, which `input` cannot; "
            "choose another model, or wrap the network in a function of your own"
        )
    raise RosettaError(
        f"{name}: its image processor ({kind}) differs from resizing to {height}×{width} and "
        f"normalising, by up to {255 * smallest:.0f} of 255 levels; {CURE}"
    )


def _resized_sides(processor: Any, found: Input) -> Iterator[Grid]:
    """Yield the sides to which a processor may resize an image before it crops it."""
    size = dict(getattr(processor, "size", None) or {})
    edge = size.get("shortest_edge") or size.get("height")
    shares = [getattr(processor, "crop_pct", None) or 1.0, *CROPS]
    if getattr(processor, "do_center_crop", False) and edge:
        shares.insert(0, min(1.0, found.sides[0] / edge))
    height, width = found.sides
    for share in dict.fromkeys(shares):
        yield round(height / share), round(width / share)
        yield int(height / share), int(width / share)


def _difference(output: Tensor, ours: Tensor, found: Input) -> float:
    """Return the largest difference of pixels in 0..1, away from the border."""
    height, width = found.sides
    inner = (slice(None), slice(height // 8, -(height // 8) or None))
    columns = slice(width // 8, -(width // 8) or None)
    std = torch.tensor(found.std)[:, None, None]
    return float(((output - ours) * std)[(*inner, columns)].abs().max())
