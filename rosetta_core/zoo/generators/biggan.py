"""BigGAN-deep (Brock, Donahue and Simonyan, 2019): class-conditional generators.

This is an implementation of its own, because the published package, pytorch-pretrained-biggan,
has been unmaintained since 2019 and needs boto3, requests and tqdm. It loads weights in the format
of that package, and the arguments of an architecture are those of its published config.json.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.zoo.construction import resolve_arguments
from rosetta_core.zoo.generators.biggan_network import ATTENTION, BOTTLENECK, START, BigGANDeep
from rosetta_core.zoo.network import Generator

__all__ = ["ARCHITECTURES", "build", "truncated_latent"]

# blocks as (doubles the side, channels in, channels out), in units of the channel width
# (tables 7 to 9 of the paper)
TO_16X16 = [[False, 16, 16], [True, 16, 16], [False, 16, 16], [True, 16, 8], [False, 8, 8]]
FROM_4_WIDTHS = [[False, 4, 4], [True, 4, 2], [False, 2, 2], [True, 2, 1]]
BLOCKS = {
    128: [*TO_16X16, [True, 8, 4], *FROM_4_WIDTHS],
    256: [*TO_16X16, [True, 8, 8], [False, 8, 8], [True, 8, 4], *FROM_4_WIDTHS],
    512: [
        *TO_16X16,
        *([True, 8, 8], [False, 8, 8], [True, 8, 4]),
        *FROM_4_WIDTHS,
        *([False, 1, 1], [True, 1, 1]),
    ],
}
ARCHITECTURES: dict[str, dict[str, Any]] = {
    f"deep-{side}": {
        "output_dim": side,
        "z_dim": 128,
        "class_embed_dim": 128,
        "channel_width": 128,
        "num_classes": 1000,
        "layers": blocks,
        "attention_layer_position": 8,
        "eps": 1e-4,
        "n_stats": 51,
    }
    for side, blocks in BLOCKS.items()
}
# minima of integer arguments
MINIMA = {
    "z_dim": 1,
    "channel_width": 3,  # three of the last layer's outputs are the image
    "num_classes": 1,
    "attention_layer_position": 0,
    "n_stats": 2,
}


def truncated_latent(seed: int, size: int, *, truncation: float) -> Tensor:
    """Sample a latent (size,) of a seed, float32.

    It is standard normal, restricted to -2..2 by resampling, and multiplied by the truncation.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    latent = torch.randn(size, generator=generator, device="cpu")
    while (outside := latent.abs() > 2).any():
        latent[outside] = torch.randn(int(outside.sum()), generator=generator, device="cpu")
    return truncation * latent


def build(
    architecture: str | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    truncation: float = 1.0,
) -> Generator:
    """Build a generator with random weights; the preset is its ReLUs.

    Args:
        architecture: name of a published network.
        arguments: in its place, all entries of a published config.json. `output_dim` and
            `class_embed_dim` have no effect, since they follow from `layers` and `z_dim`.
        truncation: factor of the latents, above 0 and up to 1.

    Raises:
        RosettaError: the architecture is unknown, or arguments are missing, unknown or invalid.
    """
    arguments = resolve_arguments(architecture, arguments, published=ARCHITECTURES, family="biggan")
    _check(arguments)
    if not 0 < truncation <= 1:
        raise RosettaError(f"biggan: truncation is {truncation}; give a number above 0, up to 1")
    size = arguments["z_dim"]
    return Generator(
        network=BigGANDeep(arguments, truncation=truncation),
        preset=("generator.layers.*.relu_*", "generator.relu"),
        latent_size=size,
        learning_rate=0.05,
        classes=arguments["num_classes"],
        sample_latent=lambda seed: truncated_latent(seed, size, truncation=truncation),
    )


def _check(arguments: Mapping[str, Any]) -> None:
    """Raise a RosettaError unless the arguments describe a network."""
    known = ARCHITECTURES["deep-128"]
    for name in arguments:
        if name not in known:
            raise RosettaError(f"biggan: unknown argument {name!r}{did_you_mean(name, known)}")
    for name in known:
        if name not in arguments:
            raise RosettaError(f"biggan: argument {name!r} is missing; copy it from config.json")
    for name, minimum in MINIMA.items():
        if type(arguments[name]) is not int or arguments[name] < minimum:
            raise RosettaError(
                f"biggan: {name} is {arguments[name]!r}; give an integer from {minimum} on"
            )
    if not isinstance(arguments["eps"], float) or arguments["eps"] <= 0:
        raise RosettaError(
            f"biggan: eps is {arguments['eps']!r}; give a number above 0, for example 1e-4"
        )
    _check_blocks(arguments["layers"])
    _check_widths(arguments)


def _check_widths(arguments: Mapping[str, Any]) -> None:
    """Raise a RosettaError if a block or the attention would have no channels."""
    position, width = arguments["attention_layer_position"], arguments["channel_width"]
    for number, (_, wide, _) in enumerate(arguments["layers"]):
        minimum = ATTENTION if number == position else BOTTLENECK
        if wide * width < minimum:
            raise RosettaError(
                f"biggan: layers[{number}] has {wide * width} channels and needs {minimum}; raise "
                "channel_width"
            )


def _check_blocks(blocks: Any) -> None:
    """Raise a RosettaError unless each block takes the channels of the block before it."""
    if not isinstance(blocks, list | tuple):
        raise RosettaError(f"biggan: layers is {blocks!r}; give a list of blocks")
    widths = START
    for position, block in enumerate(blocks):
        kinds = [type(part) for part in block] if isinstance(block, list | tuple) else []
        if kinds != [bool, int, int]:
            raise RosettaError(
                f"biggan: layers[{position}] is {block!r}; give [doubles the side, channels in, "
                "channels out]"
            )
        if block[1] != widths or not 0 < block[2] <= widths:
            raise RosettaError(
                f"biggan: layers[{position}] maps {block[1]} channel widths to {block[2]}; give a "
                f"block from {widths} widths to at most as many"
            )
        widths = block[2]
    if widths != 1:
        raise RosettaError(f"biggan: layers end with {widths} channel widths; let them end with 1")
