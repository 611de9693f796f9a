"""StyleGAN2 (Karras et al., 2020) in the layout of rosinality/stylegan2-pytorch."""

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
    for size in (32, 64, 128, 256, 512, 1024)
}
SIZES = {"size": 8, "style_dim": 1, "n_mlp": 1, "channel_multiplier": 1}  # minima
DEFAULTS = {
    "channel_multiplier": 2,
    "blur_kernel": (1, 3, 3, 1),
    "lr_mlp": 0.01,
    "channels": None,
}
MAX_CHANNELS = 512


def _channels(multiplier: int) -> dict[int, int]:
    """Return channels by resolution: 512 up to 32×32, then 256, 128, … times the multiplier."""
    large = {2**i: multiplier * 2 ** (14 - i) for i in range(6, 12)}
    return {**dict.fromkeys((4, 8, 16, 32), MAX_CHANNELS), **large}


def _by_resolution(table: Any, *, size: int) -> dict[int, int]:
    """Return channels by resolution; some files hold the numbers as text."""
    try:
        channels = {int(side): int(width) for side, width in table.items()}
    except (AttributeError, TypeError, ValueError):
        raise RosettaError(
            f"{FAMILY}: channels is {table!r}; give a mapping, for example {{4: 512, 8: 256}}"
        ) from None
    for i in range(2, size.bit_length()):
        if channels.get(2**i, 0) < 1:
            raise RosettaError(f"{FAMILY}: channels has no entry {2**i}; give channels for it")
    return channels


def build(
    architecture: str | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    truncation: float = 1.0,
) -> Generator:
    """Build a generator with random weights; the preset is its activations.

    Args:
        architecture: name of a published network, in `ARCHITECTURES`.
        arguments: in its place, keyword arguments of the official constructor; and `channels` by
            resolution, if they do not follow from the multiplier.
        truncation: ψ, the share of the distance of w from its mean that is retained.

    Raises:
        RosettaError: arguments are missing, unknown or invalid.
    """
    arguments = resolve_arguments(architecture, arguments, published=ARCHITECTURES, family=FAMILY)
    complete = fill_defaults(
        arguments, sizes=SIZES, numbers=("lr_mlp",), defaults=DEFAULTS, family=FAMILY
    )
    slots = w_slots(complete["size"], family=FAMILY)
    table = complete["channels"] or _channels(complete["channel_multiplier"])
    channels = _by_resolution(table, size=complete["size"])
    network = StyleGAN2(
        size=complete["size"],
        style_dim=complete["style_dim"],
        n_mlp=complete["n_mlp"],
        channels=channels,
        taps=complete["blur_kernel"],
        lr_mlp=complete["lr_mlp"],
        truncation=truncation,
    )
    return Generator(
        network=network,
        latent_size=complete["style_dim"],
        preset=("conv1", "convs.*.activate"),
        convert_checkpoint=convert_checkpoint,
        learning_rate=0.05,
        latent_spaces=w_spaces(network, slots=slots),
    )


def convert_checkpoint(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Convert the content of a checkpoint to a generator's state dict.

    A checkpoint holds the weights under `g_ema`, or directly, and the mean w (style_dim,) under
    `latent_avg`. A missing mean becomes NaN.

    Raises:
        RosettaError: there are no such weights, or the mean is not a tensor.
    """
    state = content.get("g_ema", content)
    first = state.get("style.1.weight") if isinstance(state, Mapping) else None
    if not isinstance(first, Tensor):
        raise RosettaError(
            f"{FAMILY}: the checkpoint has no entry 'g_ema' with weights such as 'style.1.weight' "
            f"(it has {', '.join(map(str, list(content)[:5])) or 'none'}); give another file"
        )
    unknown = state.get("latent_avg", torch.full((first.shape[0],), math.nan))
    mean = content.get("latent_avg", unknown)
    if not isinstance(mean, Tensor):
        raise RosettaError(
            f"{FAMILY}: latent_avg is {mean!r}, not a tensor; give a checkpoint with the mean w"
        )
    return {**state, "latent_avg": mean.reshape(-1)}
