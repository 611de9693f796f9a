"""Models, perceptual distances, gradients and callbacks of steering functions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rosetta_core.api.arguments import whole_number
from rosetta_core.api.models import Model, check_evaluation, load_model
from rosetta_core.config import Config
from rosetta_core.config.images import DistanceSpec
from rosetta_core.config.reading import parse_section
from rosetta_core.errors import RosettaError
from rosetta_core.stages.steering.execution import limited_threads
from rosetta_core.stages.steering.networks import build_distance
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.optimise.stopping import Stopping
from rosetta_core.zoo.network import Encoder, Generator

__all__ = [
    "Distance",
    "distance_models",
    "distance_of",
    "encoders_of",
    "generator_of",
    "optimisation",
    "stopping_of",
]

# an encoder, its name, the keys of a distance as in a configuration, or a distance itself
Distance = Model | str | Mapping[str, Any] | PerceptualDistance

RESOURCES = Path(Config.model_fields["resources"].default)


def generator_of(value: Any, *, space: str, name: str) -> Model:
    """Return a model that is a generator.

    Args:
        value: the model, or its name.
        space: latent space that the generator has to have.
        name: name of the function, for errors.

    Raises:
        RosettaError: it is not a generator, or has no such latent space.
    """
    model = _model(value, key=f"{name}: generator")
    if not isinstance(model.network, Generator):
        raise RosettaError(f"{model.name}: is not a generator; steering needs a generator")
    spaces = list(dict.fromkeys(["z", *model.network.latent_spaces]))
    if space not in spaces:
        raise RosettaError(
            f"{name}: space: {model.name} has no latent space {space!r}; it has {', '.join(spaces)}"
        )
    return model


def encoders_of(values: Any, generator: Model) -> list[Model]:
    """Return models that are encoders, on the device of a generator; RosettaError otherwise."""
    given = [values] if isinstance(values, Model | str) else values
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise RosettaError(f"encoders: {type(given).__name__} is not a list of models")
    device = generator.network.device
    models = [_model(value, key="encoders", device=device) for value in given]
    names = [model.name for model in models]
    if not models:
        raise RosettaError("encoders: there are none; give at least one")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise RosettaError(f"encoders: {repeated[0]} is there twice; give each model once")
    for model in models:
        _check_encoder(model, generator, key="encoders")
    return models


def _model(value: Any, *, key: str, device: torch.device | None = None) -> Model:
    """Return a model, loaded if it is a name; RosettaError for anything else."""
    if isinstance(value, str):
        return load_model(value, device=str(device) if device else "auto")
    if not isinstance(value, Model):
        raise RosettaError(f"{key}: {type(value).__name__} is not a model; use load_model or wrap")
    check_evaluation(value.name, value.network.network)
    return value


def _check_encoder(model: Model, generator: Model, *, key: str) -> None:
    """Refuse a generator, and a model on another device than the generator."""
    if not isinstance(model.network, Encoder):
        raise RosettaError(f"{key}: {model.name} is a generator; give an encoder")
    ours, theirs = model.network.device, generator.network.device
    if ours != theirs:
        raise RosettaError(
            f"{model.name}: is on {ours}, but {generator.name} is on {theirs}; load both with the "
            "same device"
        )


@contextmanager
def optimisation(models: Sequence[Model]) -> Iterator[None]:
    """Prepare an optimisation as the workflow runs it, and restore everything after it.

    Gradients of latents are enabled, those of weights disabled, and torch uses one thread: with
    more threads, sums are added in another order.
    """
    parameters = [
        parameter
        for model in models
        for parameter in model.network.network.parameters()
        if parameter.requires_grad
    ]
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        with limited_threads(), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def distance_models(*values: Distance | None) -> list[Model]:
    """Return the models that are given as distances."""
    parts = [value.get("encoder") if isinstance(value, Mapping) else value for value in values]
    return [part for part in parts if isinstance(part, Model)]


def distance_of(
    value: Distance | None, generator: Model, *, key: str, models: Sequence[Model] = ()
) -> PerceptualDistance | None:
    """Return a perceptual distance; the features of its encoder no longer have gradients.

    A network without a preset of layers is compared by its mined layers.

    Args:
        value: the distance; None: none.
        generator: the generator, on the device of the images.
        key: name of the argument.
        models: models that it may name; other names are loaded.

    Raises:
        RosettaError: it is not a distance, or its model is not an encoder.
    """
    if value is None or isinstance(value, PerceptualDistance):
        return value
    known = {model.name: model for model in (*models, *distance_models(value))}
    content = value if isinstance(value, Mapping) else {"encoder": value}
    encoder = content.get("encoder")
    if isinstance(encoder, Model):
        content = {**content, "encoder": encoder.name}
    elif not isinstance(value, str | Mapping):
        kind = type(value).__name__
        raise RosettaError(f"{key}: {kind} is not a distance; give an encoder or its name")
    spec = parse_section(DistanceSpec, content, source=key)
    device = generator.network.device

    def network(name: str) -> Encoder:
        model = _model(known.get(name, name), key=key, device=device)
        _check_encoder(model, generator, key=key)
        assert isinstance(model.network, Encoder)
        names = [layer.name for layer in model.layers]
        return model.network if model.network.preset else replace(model.network, preset=names)

    return build_distance(spec, network, resources=RESOURCES, device=device)


def stopping_of(options: Mapping[str, Any], *, name: str) -> Stopping:
    """Return the callback and early stopping of a function's options; RosettaError if wrong."""
    callback, patience = options.get("callback"), options.get("patience")
    tolerance = options.get("tolerance", 0.0)
    if callback is not None and not callable(callback):
        raise RosettaError(f"{name}: callback: {callback!r} is not a function; give a function")
    number = isinstance(tolerance, int | float | np.number) and not isinstance(tolerance, bool)
    if not number or not 0 <= tolerance < np.inf:
        raise RosettaError(f"{name}: tolerance: {tolerance!r} is not a number from 0 on")
    return Stopping(
        callback,
        every=whole_number(f"{name}: every", options.get("every", 1)),
        patience=None if patience is None else whole_number(f"{name}: patience", patience),
        tolerance=float(tolerance),
    )
