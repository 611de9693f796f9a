"""Networks from model specifications: building, loading weights, and choosing layers."""

from dataclasses import replace
from pathlib import Path
from typing import assert_never

import torch
from torch import nn

from rosetta_core.errors import RosettaError
from rosetta_core.runtime.progress import NOTHING_LEARNED, log
from rosetta_core.zoo.layers import Layer, select_layers
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.network import Encoder, Generator, Network
from rosetta_core.zoo.probing import probe_layers
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.assignment import Reading, load_weights
from rosetta_core.zoo.weights.checkpoints import Checkpoint
from rosetta_core.zoo.weights.local import RandomWeights
from rosetta_core.zoo.weights.sources import StoredWeights

__all__ = ["build", "layers_of", "load", "load_generator"]


def build(model: ModelSpec, *, truncation: float = 1.0) -> Network:
    """Build a model's network with random weights, in evaluation mode.

    Args:
        model: family, architecture or arguments, and preprocessing.
        truncation: truncation psi of a generator's latents; encoders ignore it.

    Raises:
        RosettaError: the family does not have the architecture, or refuses an argument.
    """
    family = FAMILIES[model.family]
    module = family.module()
    built: Network
    match family.kind:
        case "generator":
            built = module.build(
                model.architecture, arguments=model.arguments, truncation=truncation
            )
        case "encoder" if family.defined_by_files:
            built = module.build(model.architecture, arguments=model.arguments, input=model.input)
        case "encoder":
            built = module.build(model.architecture, arguments=model.arguments)
        case "user":
            built = module.build(model.target, arguments=model.arguments, truncation=truncation)
        case "memory":
            built = module.build(model.name, arguments=model.arguments, truncation=truncation)
        case _:
            assert_never(family.kind)
    _freeze(model.name, built.network)
    if model.hints:
        built = replace(built, hints=model.hints)
    if model.input is not None:
        if not isinstance(built, Encoder):
            raise RosettaError(
                f"{model.name}: input is given, but the model is a generator; remove it"
            )
        return replace(built, input=model.input)
    if model.output_range is not None:
        if not isinstance(built, Generator):
            raise RosettaError(
                f"{model.name}: output_range is given, but the model is an encoder; remove it"
            )
        black, white = model.output_range
        return replace(built, output_range=(black, white))
    return built


def _freeze(name: str, network: nn.Module) -> None:
    """Put a network into evaluation mode, without gradients.

    Raises:
        RosettaError: its layers cannot be hooked, or it stays in training mode.
    """
    if isinstance(network, torch.jit.ScriptModule):
        raise RosettaError(
            f"{name}: is a TorchScript module, whose layers cannot be read; return the Python "
            "module that was scripted"
        )
    network.eval()  # what `train` of the user's class returns does not matter
    network.requires_grad_(False)
    for part, module in network.named_modules():
        if module.training and (hasattr(module, "running_mean") or "Dropout" in str(type(module))):
            raise RosettaError(
                f"{name}: module {part!r} stays in training mode after eval(); correct the "
                "network's train()"
            )


def load(
    model: ModelSpec, path: Path | None, *, device: torch.device, truncation: float = 1.0
) -> Network:
    """Build a model, load its weights, and move it to a device.

    Random weights are drawn with the seed of the specification.

    Args:
        model: family, architecture or arguments, weights and preprocessing.
        path: file of weights; None if the weights are random or loaded by the user's function.
        device: where the network is moved.
        truncation: truncation psi of a generator's latents.

    Raises:
        RosettaError: the file is missing, damaged, or belongs to another network.
    """
    seed = model.weights.random if isinstance(model.weights, RandomWeights) else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = build(model, truncation=truncation)
    if path is not None and isinstance(model.weights, StoredWeights):
        checkpoint = load_weights(
            built.network,
            path,
            Reading(
                weights=model.weights,
                convert=built.convert_checkpoint,
                family=model.family,
                unused=built.unused_entries,
            ),
        )
        built = _rebuild(model, built, checkpoint, truncation=truncation)
    if isinstance(model.weights, RandomWeights):
        log.warning("%s: %s", model.name, NOTHING_LEARNED, extra={"in_red": True})
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # convolve in float32, as on a CPU
    built.network.to(device)
    return built


def _rebuild(
    model: ModelSpec, built: Network, checkpoint: Checkpoint, *, truncation: float
) -> Network:
    """Rebuild a network with the constructor arguments of its checkpoint, if it has them.

    Some arguments, such as clamps, change images without changing the shape of any tensor.
    """
    if checkpoint.family is None:
        return built
    update = {"architecture": None, "arguments": checkpoint.arguments}
    rebuilt = build(model.model_copy(update=update), truncation=truncation)
    rebuilt.network.load_state_dict(built.network.state_dict())
    return rebuilt


def load_generator(
    model: ModelSpec, path: Path | None, *, device: torch.device, truncation: float = 1.0
) -> Generator:
    """Load a model that has to be a generator.

    Args:
        model: as in `load`.
        path: file of weights; None if there is none.
        device: where the network is moved.
        truncation: truncation psi of its latents.

    Raises:
        RosettaError: as in `load`; or the model is an encoder.
    """
    loaded = load(model, path, device=device, truncation=truncation)
    if not isinstance(loaded, Generator):
        raise RosettaError(
            f"{model.name}: is not a generator; choose a generator as the pivot, or give images in "
            "sampling.folder"
        )
    return loaded


def layers_of(model: ModelSpec, built: Network, *, all: bool = False) -> list[Layer]:
    """Return the mined layers of a model, in the order in which they run.

    Args:
        model: its `layers` are patterns of module names; the family's preset if None.
        built: the model's network.
        all: return every layer that can be mined instead.

    Raises:
        RosettaError: a pattern matches no module, or there are neither patterns nor a preset.
    """
    patterns = ("**",) if all else model.layers or built.preset
    names = [name for name, _ in built.network.named_modules()]
    if not patterns:
        raise RosettaError(
            f"{model.name}: layers is missing, because the family has no preset for this network; "
            f"choose some (`rosetta list-layers {model.name} --all` lists them)"
        )
    try:
        layers = probe_layers(built, select_layers(names, patterns), skip_invalid=all)
        if model.float32_layers and not all:
            select_layers([layer.name for layer in layers], model.float32_layers)
    except RosettaError as error:
        raise RosettaError(f"{model.name}: {error}") from None
    return layers
