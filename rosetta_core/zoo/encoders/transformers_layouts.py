"""Layers of networks of Hugging Face transformers: which are mined, and where their tokens lie.

Class and register tokens precede the grid and are counted from the network's parameters; detection
tokens follow it. Hiera splits its tokens by strides, Swin's attention works in shifted windows, and
an MAE shuffles and masks its tokens unless it is given an order.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.activations import ACT2CLS

from rosetta_core.zoo.layers import Grid, Hint
from rosetta_core.zoo.layouts.tracing import TracedOutput

__all__ = [
    "FirstTensor",
    "adapt",
    "hints_of",
    "patch_grid",
    "prefix_tokens_of",
    "preset_of",
    "trailing_tokens",
]

ACTIVATIONS = (
    *{kind[0] if isinstance(kind, tuple) else kind for kind in ACT2CLS.values()},
    nn.GELU,
    nn.SiLU,
)
# whose stages end where the next begins
PRESETS_BY_CLASS = {"LevitModel": ("encoder.stages.*.layers.*",)}
IN_MLP = re.compile(r"(^|\.)(mlp|ffn|feed_forward|intermediate|layers\.\d+)\.(\w*act\w*)$")
NO_PLACES = re.compile(r"(^|\.)(pooler|head|attention_pool\w*|text_model|decoder)(\.|$)")
BLOCK = re.compile(r"(^|\.)(stages?|layers?|blocks?)(\.\d+)+$")
PREFIXES = ("cls_token", "class_embedding", "register_tokens", "distillation_token")
SHIFTED = ("SwinLayer", "Swinv2Layer", "Swin2SRLayer", "DonutSwinLayer", "MaskFormerSwinLayer")
STRIDED = ("HieraModel",)


def preset_of(network: nn.Module) -> tuple[str, ...]:
    """Return the default layers of a network, as patterns.

    These are the activations of the MLPs of transformers and ConvNeXt, and the outermost blocks of
    any other network.
    """
    if type(network).__name__ in PRESETS_BY_CLASS:
        return PRESETS_BY_CLASS[type(network).__name__]
    modules = {
        name: module
        for name, module in network.named_modules()
        if not NO_PLACES.search(name) and not isinstance(module, nn.ModuleList)
    }
    activations = [
        name for name, m in modules.items() if IN_MLP.search(name) and isinstance(m, ACTIVATIONS)
    ]
    convolutional = any(isinstance(m, nn.BatchNorm2d) for m in modules.values())
    if activations and not convolutional:
        return _patterns(activations)
    blocks = [name for name in modules if BLOCK.search(name)]
    inside = {name for name in blocks for other in blocks if name.startswith(f"{other}.")}
    return _patterns([name for name in blocks if name not in inside])


def _patterns(names: list[str]) -> tuple[str, ...]:
    """Return names with their numbers replaced by globs."""
    number = re.compile(r"(?<=\.)\d+(?=\.|$)|^\d+(?=\.)")
    return tuple(dict.fromkeys(number.sub("*", name) for name in names))


def patch_grid(config: PreTrainedConfig, sides: Grid) -> Grid | None:
    """Return the grid of patches of an input; None if a network does not split it once."""
    patch = getattr(config, "patch_size", None)
    if isinstance(patch, list | tuple) and len(patch) == 2:
        rows, columns = patch
    elif isinstance(patch, int):
        rows = columns = patch
    else:
        return None
    return (sides[0] // rows, sides[1] // columns) if rows and columns else None


def prefix_tokens_of(network: nn.Module) -> int:
    """Return the number of class, register and distillation tokens, from a network's parameters."""
    counts: dict[str, int] = {}
    for name, parameter in network.named_parameters():
        last = name.rpartition(".")[2]
        if last in PREFIXES and "decoder" not in name:
            counts.setdefault(last, parameter.numel() // parameter.shape[-1])
    return sum(counts.values())


def trailing_tokens(config: PreTrainedConfig) -> int:
    """Return the number of tokens after the grid: detection tokens of YOLOS."""
    return getattr(config, "num_detection_tokens", 0)


@dataclass(frozen=True)
class FirstTensor:
    """Conversion of outputs: the first of several tensors, without tokens after the grid."""

    trailing: int
    grid: Grid | None
    prefix_tokens: int

    def __call__(self, _layer: str, output: Any) -> Any:
        """Return the tensor of a layer that holds its maps."""
        if isinstance(output, Mapping):  # a ModelOutput
            output = next(iter(output.values()), output)
        if isinstance(output, list | tuple) and output:
            output = output[0]
        if self.trailing and self.grid and isinstance(output, Tensor) and output.ndim == 3:
            kept = self.prefix_tokens + self.grid[0] * self.grid[1]
            if output.shape[1] == kept + self.trailing:
                return output[:, :kept]
        return output


def hints_of(
    network: nn.Module, *, grid: Grid | None, prefix_tokens: int
) -> Callable[[str, TracedOutput], Hint]:
    """Return a function of a layer's name and output that says what the library's code shows.

    Args:
        network: network of the library.
        grid: grid of its patches.
        prefix_tokens: number of tokens before the grid.
    """
    modules = dict(network.named_modules())

    def hint_for(layer: str, output: TracedOutput) -> Hint:
        parts = layer.split(".")
        for depth in reversed(range(len(parts))):
            module: Any = modules[".".join(parts[:depth])]
            kind, inside = type(module).__name__, parts[depth]
            if kind in SHIFTED and inside == "attention":
                return Hint(shift=(int(module.shift_size),) * 2)
            if kind in STRIDED and inside == "encoder" and (hint := _strided(module, output)):
                return hint
        shape = output.single
        if grid and len(shape) == 3 and shape[1] == prefix_tokens + grid[0] * grid[1]:
            return Hint(grid=grid, prefix_tokens=prefix_tokens)
        return Hint()

    return hint_for


def _strided(hiera: Any, output: TracedOutput) -> Hint | None:
    """Return the strides by which Hiera has split its tokens, from their number."""
    for strides, size in hiera.encoder.schedule.values():
        if len(output.single) == 3 and output.single[1] == size[0] * size[1]:
            return Hint(layout="tokens", grid=tuple(size), strides=tuple(map(tuple, strides)))
    return None


def adapt(network: PreTrainedModel, config: PreTrainedConfig, *, grid: Grid | None) -> None:
    """Let a network take images (n, 3, h, w) alone, whole, and of the input's size.

    Args:
        network: network of the library; a hook on its inputs is added.
        config: its configuration, in which masking is switched off.
        grid: grid of patches of the input.
    """
    kind = config.model_type
    if kind == "vit_mae":
        config.mask_ratio = 0.0
    if kind in ("vit_mae", "siglip2_vision_model") or _takes_other_sizes(network):
        network.register_forward_pre_hook(
            _Inputs(kind, grid, _sides_of(config), config.patch_size), with_kwargs=True
        )


def _takes_other_sizes(network: PreTrainedModel) -> bool:
    """Return whether a network interpolates its positions when asked."""
    takes = inspect.signature(type(network).forward).parameters
    return "interpolate_pos_encoding" in takes


def _sides_of(config: PreTrainedConfig) -> Grid | None:
    size = getattr(config, "image_size", None)
    if isinstance(size, int):
        return (size, size)
    return (size[0], size[1]) if isinstance(size, list | tuple) and len(size) == 2 else None


@dataclass(frozen=True)
class _Inputs:
    """Hook that completes the inputs of a network."""

    kind: str
    grid: Grid | None
    trained: Grid | None
    patch: Any

    def __call__(
        self, _network: nn.Module, positional: tuple[Any, ...], keywords: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the inputs with the order of tokens, patches, or interpolated positions."""
        images: Tensor = positional[0] if positional else keywords["pixel_values"]
        sides = (images.shape[-2], images.shape[-1])
        added: dict[str, Any] = {}
        if self.kind == "siglip2_vision_model":
            return (), {**keywords, **_as_patches(images, self.patch)}
        if self.kind == "vit_mae" and self.grid:  # in order, so that nothing is shuffled
            order = torch.arange(self.grid[0] * self.grid[1], device=images.device)
            added["noise"] = order.float().expand(len(images), -1)
        if self.trained and sides != self.trained:
            added["interpolate_pos_encoding"] = True
        return positional, {**keywords, **added}


def _as_patches(images: Tensor, patch: int) -> dict[str, Tensor]:
    """Return images (n, 3, h, w) as SigLIP 2 with any aspect ratio takes them: patches in rows."""
    rows, columns = images.shape[2] // patch, images.shape[3] // patch
    parts = images.unflatten(2, (rows, patch)).unflatten(4, (columns, patch))
    patches = parts.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)  # (n, rows * columns, …)
    shapes = torch.tensor([[rows, columns]], device=images.device).expand(len(images), 2)
    mask = torch.ones(len(images), rows * columns, dtype=torch.int32, device=images.device)
    return {"pixel_values": patches, "pixel_attention_mask": mask, "spatial_shapes": shapes}
