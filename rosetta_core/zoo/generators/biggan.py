"""BigGAN-deep (Brock, Donahue and Simonyan, 2019): generators of images of a class.

build                the generator with random weights
ARCHITECTURES        by name the published networks: what their config.json says
truncated_latent     the latent of a seed

Written anew because the published package, pytorch-pretrained-biggan, is unmaintained since 2019
and needs boto3, requests and tqdm; weights in its format fit.
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

# blocks as (doubles the side, channels in, channels out), channels in channel widths;
# tables 7 to 9 of the paper
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
# the least that each of its integers may be
LEAST = {
    "z_dim": 1,
    "channel_width": 3,  # three of them are the image
    "num_classes": 1,
    "attention_layer_position": 0,
    "n_stats": 2,
}


def truncated_latent(seed: int, size: int, *, truncation: float) -> Tensor:
    """Return the latent (size,) of a seed: N(0, 1) cut to -2..2, times the truncation; float32."""
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
    """Build a generator; its units are the outputs of the ReLUs.

    Args:
        architecture: of a published network; or else
        arguments: all that a published config.json says. `output_dim` and `class_embed_dim` are
            taken and change nothing: they follow from `layers` and `z_dim`.
        truncation: above 0, up to 1; latents are multiplied by it.

    Raises:
        RosettaError: for both or neither, an unknown architecture, and arguments that are unknown,
            missing or make no network.
    """
    arguments = resolve_arguments(architecture, arguments, published=ARCHITECTURES, family="biggan")
    _check(arguments)
    if not 0 < truncation <= 1:
        raise RosettaError(f"biggan: truncation {truncation} is not above 0 and up to 1")
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
    """RosettaError unless these are the arguments of a network."""
    known = ARCHITECTURES["deep-128"]
    for name in arguments:
        if name not in known:
            raise RosettaError(f"biggan has no argument {name!r}{did_you_mean(name, known)}")
    for name in known:
        if name not in arguments:
            raise RosettaError(f"biggan needs the argument {name!r}; it is in the config.json")
    for name, least in LEAST.items():
        if type(arguments[name]) is not int or arguments[name] < least:
            raise RosettaError(
                f"biggan: {name} is {arguments[name]!r}; give an integer from {least} on"
            )
    if not isinstance(arguments["eps"], float) or arguments["eps"] <= 0:
        raise RosettaError(f"biggan: eps is {arguments['eps']!r}; give a number above 0, as 0.0001")
    _check_blocks(arguments["layers"])
    _check_widths(arguments)


def _check_widths(arguments: Mapping[str, Any]) -> None:
    """RosettaError if a block or the attention would divide its channels down to none."""
    position, width = arguments["attention_layer_position"], arguments["channel_width"]
    for number, (_, wide, _) in enumerate(arguments["layers"]):
        least = ATTENTION if number == position else BOTTLENECK
        if wide * width < least:
            raise RosettaError(
                f"biggan: layers[{number}] has {wide * width} channels and needs {least}; raise "
                "channel_width"
            )


def _check_blocks(blocks: Any) -> None:
    """RosettaError unless blocks fit onto each other, from the first maps to the image."""
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
                f"biggan: layers[{position}] turns {block[1]} channel widths into {block[2]}, but "
                f"gets {widths} and can only keep or drop them"
            )
        widths = block[2]
    if widths != 1:
        raise RosettaError(f"biggan: layers end with {widths} channel widths instead of 1")
