"""A model of the configuration as a network that is ready to run.

build                    the network without its weights
load                     the network with its weights, on a device
layers_of                the layers that are mined, with their shapes
pixels_and_operations    what a network draws, and what that takes
resolve_device           "auto" as a device that is there
"""

import importlib
from dataclasses import replace
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from rosetta_core import config
from rosetta_core.errors import RosettaError
from rosetta_core.zoo.families import FAMILIES
from rosetta_core.zoo.layer import Layer
from rosetta_core.zoo.network import Encoder, Generator
from rosetta_core.zoo.probing import probe_layers, select_layers
from rosetta_core.zoo.weights import load_weights

__all__ = ["build", "layers_of", "load", "pixels_and_operations", "resolve_device"]


def build(model: config.Model) -> Generator | Encoder:
    """Build a model's network with random weights, in evaluation mode."""
    module = importlib.import_module(FAMILIES[model.family])
    built: Generator | Encoder = module.build(model.architecture)
    built.network.eval().requires_grad_(False)
    if isinstance(built, Encoder) and isinstance(model, config.Encoder) and model.input:
        return replace(built, input=model.input)
    return built


def load(model: config.Model, path: Path, *, device: torch.device) -> Generator | Encoder:
    """Build a model, fit the weights at `path` into it, and put it on a device."""
    built = build(model)
    load_weights(built.network, path, weights=model.weights)
    built.network.to(device)
    return built


def layers_of(model: config.Model, built: Generator | Encoder, *, all: bool = False) -> list[Layer]:
    """Return the layers that are mined or, with `all`, could be, in the order in which they run.

    RosettaError for a pattern that matches nothing, and for a family without a preset.
    """
    patterns = ("**",) if all else model.layers or built.preset
    names = [name for name, _ in built.network.named_modules()]
    if not patterns:
        raise RosettaError(
            f"{model.name}: has no preset of layers; name some in `layers` "
            f"(`rosetta list-layers {model.name} --all` lists them)"
        )
    try:
        chosen = select_layers(names, patterns)
        prefix = built.prefix_tokens if isinstance(built, Encoder) else 0
        probe = built.probe().to(next(built.network.parameters()).device)
        return probe_layers(built.network, chosen, probe=probe, prefix_tokens=prefix, lenient=all)
    except RosettaError as error:
        raise RosettaError(f"{model.name}: {error}") from None


@torch.no_grad()
def pixels_and_operations(built: Generator | Encoder) -> tuple[int, int]:
    """Count the pixels that a network draws, if any, and the operations of a forward pass.

    Those of an image, in products and convolutions.
    """
    probe = built.probe().to(next(built.network.parameters()).device)
    with FlopCounterMode(display=False) as counter:
        output = built.network(probe)
    pixels = output.shape[2] * output.shape[3] if isinstance(built, Generator) else 0
    return pixels, counter.get_total_flops()


def resolve_device(name: str) -> torch.device:
    """Turn auto, cpu, cuda or cuda:N into a device; RosettaError if it isn't there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise RosettaError(
            f"device: {name!r} isn't there (this machine has {torch.cuda.device_count()} CUDA "
            "devices); use auto or cpu"
        )
    return device
