"""StyleGAN2 (Karras et al., 2020) in the layout of rosinality/stylegan2-pytorch.

ARCHITECTURES    constructor arguments of published networks
build            a generator with random weights
arrange          a checkpoint as the state of that generator
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.construction import fill_defaults, resolve_arguments
from rosetta_core.zoo.generators.latents import w_spaces
from rosetta_core.zoo.generators.stylegan2.modulated import w_slots
from rosetta_core.zoo.generators.stylegan2.rosinality_network import StyleGAN2
from rosetta_core.zoo.network import Generator

__all__ = ["ARCHITECTURES", "build", "convert_checkpoint"]

FAMILY = "stylegan2_rosinality"
ARCHITECTURES: dict[str, dict[str, Any]] = {
    str(size): {"size": size, "style_dim": 512, "n_mlp": 8, "channel_multiplier": 2}
    for size in (256, 512, 1024)
}
SIZES = {"size": 8, "style_dim": 1, "n_mlp": 1, "channel_multiplier": 1}  # the least of each
DEFAULTS = {
    "channel_multiplier": 2,
    "blur_kernel": (1, 3, 3, 1),
    "lr_mlp": 0.01,
    "channels": None,
}
WIDEST = 512


def _channels(multiplier: int) -> dict[int, int]:
    """Channels by resolution: 512 up to 32×32, then 256, 128, ... times the multiplier."""
    narrow = {2**i: multiplier * 2 ** (14 - i) for i in range(6, 11)}
    return {4: WIDEST, 8: WIDEST, 16: WIDEST, 32: WIDEST, **narrow}


def _by_resolution(table: Any, *, size: int) -> dict[int, int]:
    """Channels by resolution, whose numbers are text in some files."""
    try:
        channels = {int(side): int(width) for side, width in table.items()}
    except (AttributeError, TypeError, ValueError):
        raise RosettaError(
            f"{FAMILY}: channels is {table!r}; give channels by resolution, as {{4: 512, 8: 256}}"
        ) from None
    for i in range(2, size.bit_length()):
        if channels.get(2**i, 0) < 1:
            raise RosettaError(f"{FAMILY}: channels says nothing about {2**i}×{2**i}")
    return channels


def build(
    architecture: str | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    truncation: float = 1.0,
) -> Generator:
    """Build a generator; its units are the outputs of its convolutions' non-linearities.

    Args:
        architecture: one of ARCHITECTURES.
        arguments: instead of it, keyword arguments of the official constructor, and `channels` by
            resolution where they are others than the multiplier gives.
        truncation: ψ, by which z is drawn towards the mean w.

    Raises:
        RosettaError: for arguments of no network that is built here.
    """
    chosen = resolve_arguments(architecture, arguments, published=ARCHITECTURES, family=FAMILY)
    settled = fill_defaults(
        chosen, sizes=SIZES, numbers=("lr_mlp",), defaults=DEFAULTS, family=FAMILY
    )
    slots = w_slots(settled["size"], family=FAMILY)
    table = settled["channels"] or _channels(settled["channel_multiplier"])
    channels = _by_resolution(table, size=settled["size"])
    network = StyleGAN2(
        size=settled["size"],
        style_dim=settled["style_dim"],
        n_mlp=settled["n_mlp"],
        channels=channels,
        taps=settled["blur_kernel"],
        lr_mlp=settled["lr_mlp"],
        truncation=truncation,
    )
    return Generator(
        network=network,
        latent_size=settled["style_dim"],
        preset=("conv1", "convs.*.activate"),
        convert_checkpoint=convert_checkpoint,
        learning_rate=0.05,
        latent_spaces=w_spaces(network, slots=slots),
    )


def convert_checkpoint(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Turn a checkpoint into the state of a generator.

    A checkpoint holds the weights under `g_ema` and the mean w (style_dim,) under `latent_avg`;
    weights alone do too. Where there is no mean w, the state's is NaN.

    Raises:
        RosettaError: if there are no such weights.
    """
    state = content.get("g_ema", content)
    first = state.get("style.1.weight") if isinstance(state, Mapping) else None
    if not isinstance(first, Tensor):
        raise RosettaError(
            f"{FAMILY}: a checkpoint has an entry 'g_ema' with weights like 'style.1.weight'; "
            f"this one holds {', '.join(map(str, list(content)[:5])) or 'nothing'}"
        )
    unknown = state.get("latent_avg", torch.full((first.shape[0],), math.nan))
    mean = content.get("latent_avg", unknown)
    if not isinstance(mean, Tensor):
        raise RosettaError(f"{FAMILY}: latent_avg is {mean!r}; it has to be the mean w, a tensor")
    return {**state, "latent_avg": mean.reshape(-1)}
