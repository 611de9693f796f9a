"""A model of the configuration as a network that is ready to run.

build                    the network without its weights
load                     the network with its weights, on a device
load_generator           the same of a run's pivot, which draws images
layers_of                the layers that are mined, with their shapes
"""

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from rosetta_core.errors import RosettaError
from rosetta_core.runtime.progress import log
from rosetta_core.runtime.terminal import NOTHING_LEARNED, red
from rosetta_core.zoo.layer import Layer
from rosetta_core.zoo.model_spec import GENERATORS, ModelSpec
from rosetta_core.zoo.network import Encoder, Generator, Network
from rosetta_core.zoo.probing import probe_layers, select_layers
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.assignment import load_weights
from rosetta_core.zoo.weights.checkpoints import Stored
from rosetta_core.zoo.weights.sources import FromFile, RandomWeights

__all__ = [
    "build",
    "layers_of",
    "load",
    "load_generator",
]


def build(model: ModelSpec, *, truncation: float = 1.0) -> Network:
    """Build a model's network with random weights, in evaluation mode.

    Args:
        model: of the configuration.
        truncation: that a generator draws with.

    Raises:
        RosettaError: an architecture or an argument that the family doesn't know.
    """
    module = importlib.import_module(FAMILIES[model.family])
    arguments: dict[str, Any] = {"arguments": model.arguments}
    if model.family in (*GENERATORS, "python"):
        arguments["truncation"] = truncation
    if model.family == "python":
        built: Network = module.build(model.target, **arguments)
    else:
        built = module.build(model.architecture, **arguments)
    built.network.eval().requires_grad_(False)
    if model.input is None:
        return built
    if not isinstance(built, Encoder):
        raise RosettaError(f"{model.name}: draws images and takes no input")
    return replace(built, input=model.input)


def load(
    model: ModelSpec, path: Path | None, *, device: torch.device, truncation: float = 1.0
) -> Network:
    """Build a model with its weights, and put it on a device.

    Args:
        model: of the configuration.
        path: its file of weights; None for those that have none.
        device: where to.
        truncation: that a generator draws with.

    Raises:
        RosettaError: the file is missing or damaged, or of another network.
    """
    seed = model.weights.random if isinstance(model.weights, RandomWeights) else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = build(model, truncation=truncation)
    if path is not None and isinstance(model.weights, FromFile):
        stored = load_weights(
            built.network,
            path,
            weights=model.weights,
            arrange=built.arrange,
            family=model.family,
        )
        built = _as_stored(model, built, stored, truncation=truncation)
    if isinstance(model.weights, RandomWeights):
        log.warning("%s", red(f"{model.name}: {NOTHING_LEARNED}", sys.stderr))
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # convolve in float32, as on a CPU
    built.network.to(device)
    return built


def _as_stored(model: ModelSpec, built: Network, stored: Stored, *, truncation: float) -> Network:
    """The network as the file says that it was built, where it says so.

    Some arguments, such as clamps, change images without changing a single tensor.
    """
    if stored.family is None:
        return built
    named = model.model_copy(update={"architecture": None, "arguments": stored.arguments})
    exact = build(named, truncation=truncation)
    exact.network.load_state_dict(built.network.state_dict())
    return exact


def load_generator(
    model: ModelSpec, path: Path | None, *, device: torch.device, truncation: float = 1.0
) -> Generator:
    """Load a generator; `path` is its file of weights, `truncation` that of its draws.

    RosettaError if it draws no images.
    """
    loaded = load(model, path, device=device, truncation=truncation)
    if not isinstance(loaded, Generator):
        raise RosettaError(
            f"{model.name}: draws no images; take a generator as the pivot, or images from "
            "sampling.folder"
        )
    return loaded


def layers_of(model: ModelSpec, built: Network, *, all: bool = False) -> list[Layer]:
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
        return probe_layers(built, select_layers(names, patterns), lenient=all)
    except RosettaError as error:
        raise RosettaError(f"{model.name}: {error}") from None
