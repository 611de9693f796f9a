"""Models for mining in memory: by name, or any module of the user's own."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import VisionTransformer

from rosetta_core.api.arguments import check_share, model_name, whole_number
from rosetta_core.config import Config
from rosetta_core.config.reading import parse_model, parse_section
from rosetta_core.errors import RosettaError, describe_exception
from rosetta_core.mining.run_tables import ModelFacts
from rosetta_core.runs.finished.run_tables import model_facts
from rosetta_core.runs.paths import RunPaths, weights_file
from rosetta_core.runtime.devices import resolve_device
from rosetta_core.zoo.encoders.timm import preset_of
from rosetta_core.zoo.encoders.timm_layouts import hints_of
from rosetta_core.zoo.layers import Layer, select_layers
from rosetta_core.zoo.layouts.generator_geometry import check_generator_geometry
from rosetta_core.zoo.layouts.geometry import check_geometry
from rosetta_core.zoo.loading import layers_of, load
from rosetta_core.zoo.model_info import affordable_patches, check_layers
from rosetta_core.zoo.model_spec import Input, LayoutSpec, ModelSpec
from rosetta_core.zoo.network import Encoder, Generator, Network
from rosetta_core.zoo.probing import measure_forward, probe_layers
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.fetch import fetch
from rosetta_core.zoo.weights.sources import RemoteWeights

__all__ = ["Model", "check_evaluation", "load_model", "model_of_run", "wrap"]


@dataclass(frozen=True)
class Model:
    """A network whose units are mined, as `load_model` and `wrap` return it.

    Attributes:
        name: name of the model in tables and on pages.
        network: the generator or encoder.
        layers: its mined layers; units are numbered through them.
        facts: description of the model, for pages.
        float32: names of the layers whose maps are kept as float32.
        truncation: truncation psi of a generator's latents.
        spec: definition from which the network was loaded; None if it was given as a module.
        resources: folder of fetched weights from which it was loaded.
    """

    name: str
    network: Network
    layers: list[Layer]
    facts: ModelFacts
    float32: tuple[str, ...] = ()
    truncation: float = 1.0
    spec: ModelSpec | None = None
    resources: Path = Path("resources")

    @property
    def is_generator(self) -> bool:
        """Whether the model generates images."""
        return isinstance(self.network, Generator)

    def __repr__(self) -> str:
        kind = "generator" if self.is_generator else "encoder"
        units = sum(layer.channels for layer in self.layers)
        return f"<Model {self.name!r}: {kind}, {units:,} units in {len(self.layers)} layers>"


def load_model(
    name: str | Mapping[str, Any],
    *,
    device: str = "auto",
    truncation: float = 1.0,
    resources: str | Path = "resources",
    **keys: Any,
) -> Model:
    """Load a model by name; its weights are fetched on first use.

    Args:
        name: a model of the zoo (`rosetta zoo` lists them), timm:NAME, torchvision:NAME,
            open_clip:ARCHITECTURE/PRETRAINED, transformers:OWNER/NAME@REVISION or
            transformers:./FOLDER; or the keys of a model as in a configuration.
        device: auto, cpu, cuda or cuda:N.
        truncation: truncation psi of a generator's latents.
        resources: folder of fetched weights, shared with the workflow.
        **keys: keys of the model as in a configuration, for example layers=["layer3"] or
            weights="random".

    Raises:
        RosettaError: there is no such model, a key is wrong, the weights cannot be fetched or do
            not fit, or a layer does not follow the image.
    """
    if not isinstance(name, str | Mapping):
        raise RosettaError(
            f"model: {type(name).__name__} is not a name; give a name, or wrap the module"
        )
    if not isinstance(device, str) or not isinstance(resources, str | Path):
        raise RosettaError("load_model: device is a text, and resources a path")
    check_share("truncation", truncation, zero=False)
    content = {"zoo": name} if isinstance(name, str) else dict(name)
    if isinstance(keys.get("layers"), str):
        keys["layers"] = [keys["layers"]]
    spec = parse_model({**content, **keys})
    where, folder = resolve_device(device), Path(resources)
    path = weights_file(spec, folder)
    if path is not None and isinstance(spec.weights, RemoteWeights):
        fetch(spec.weights, path)
    network = load(spec, path, device=where, truncation=truncation)
    check_layers(spec, folder)
    return _model(spec, network, truncation, folder)


def model_of_run(config: Config, name: str) -> Model:
    """Load a model of a run from its weights, which are not fetched.

    Args:
        config: configuration of the run.
        name: name of the model.

    Raises:
        RosettaError: the weights are missing or damaged.
    """
    spec, device = config.model(name), resolve_device(config.device)
    truncation = config.sampling.truncation
    network = load(spec, RunPaths(config).weights(spec), device=device, truncation=truncation)
    return _model(spec, network, truncation, Path(config.resources))


def _model(spec: ModelSpec, network: Network, truncation: float, resources: Path) -> Model:
    """Return a loaded network with its mined layers."""
    layers = layers_of(spec, network)
    names = [layer.name for layer in layers]
    float32 = tuple(select_layers(names, spec.float32_layers or []))
    facts = model_facts(spec)
    return Model(spec.name, network, layers, facts, float32, truncation, spec, resources)


def wrap(
    network: nn.Module | Network,
    layers: str | Sequence[str] | None = None,
    *,
    input: Input | Mapping[str, Any] | None = None,
    latent_size: int | None = None,
    name: str | None = None,
    layouts: Mapping[str, Mapping[str, Any]] | None = None,
    check: bool = True,
    **options: Any,
) -> Model:
    """Make a model of any module: an encoder with `input`, or a generator with `latent_size`.

    The module is used as it is, on its device; it has to be in evaluation mode, and to stay there.

    Args:
        network: the module; or a `Generator` or `Encoder` of `rosetta_core.zoo.network`.
        layers: patterns of the mined layers' module names, for example "blocks.*.mlp.act".
        input: size, mean and std of an encoder's images, and optionally crop and interpolation.
        latent_size: length of a generator's latent.
        name: name of the model; None: the name of the module's class.
        layouts: layout, grid and prefix_tokens of layers by patterns of their names, as in a
            configuration, for example {"**": {"prefix_tokens": 1}}; None: derived.
        check: check that the layers follow the image, on a copy of the module.
        **options: further fields of `Encoder` or `Generator`, for example to_maps or classes.

    Raises:
        RosettaError: the module is in training mode or fails, a pattern matches no module, or a
            layer's output cannot be read as maps or does not follow the image.
    """
    built = _network(network, input, latent_size, options)
    name = model_name(type(built.network).__name__ if name is None else name)
    if layouts is not None:
        parts = {
            pattern: parse_section(LayoutSpec, part, source=f"layouts: {pattern}")
            for pattern, part in layouts.items()
        }
        built = replace(built, hints={pattern: part.hint for pattern, part in parts.items()})
    check_evaluation(name, built.network)
    patterns = [layers] if isinstance(layers, str) else layers or built.preset
    if not isinstance(patterns, list | tuple) or not all(isinstance(x, str) for x in patterns):
        raise RosettaError(f"{name}: layers is {patterns!r}; give patterns of module names")
    if not patterns:
        raise RosettaError(f"{name}: layers is missing; give patterns of module names")
    modules = [module for module, _ in built.network.named_modules()]
    try:
        found = probe_layers(built, select_layers(modules, patterns))
        if isinstance(built, Generator):
            _check_generator(built)
        if check:
            _check_on_copy(built, [layer.name for layer in found])
    except RosettaError as error:
        raise RosettaError(f"{name}: {error}") from None
    except Exception as error:  # of the user's module
        given = "latent_size and classes" if isinstance(built, Generator) else "input"
        raise RosettaError(
            f"{name}: fails on an example ({describe_exception(error)}); correct {given}"
        ) from error
    facts = ModelFacts(name, type(built.network).__name__, "wrapped module", "licence unknown")
    return Model(name, built, found, facts)


def check_evaluation(name: str, network: nn.Module) -> None:
    """Check that a module and all its parts are in evaluation mode; RosettaError otherwise."""
    training = [part for part, module in network.named_modules() if module.training]
    if training:
        part = f" ({training[0]!r})" if training[0] else ""
        raise RosettaError(f"{name}: is in training mode{part}; call its eval() first")


def _network(
    network: nn.Module | Network,
    input: Input | Mapping[str, Any] | None,
    latent_size: int | None,
    options: Mapping[str, Any],
) -> Network:
    """Return a module as a generator or an encoder."""
    if isinstance(network, Network):
        if input is not None or latent_size is not None or options:
            raise RosettaError("wrap: a Generator or Encoder takes no input and no options")
        return network
    if not isinstance(network, nn.Module):
        kind = type(network).__name__
        raise RosettaError(f"wrap: {kind} is not a module; give a torch.nn.Module")
    if any(part.is_meta for part in (*network.parameters(), *network.buffers())):
        raise RosettaError("wrap: the module is on the meta device, without values; load it")
    if (input is None) == (latent_size is None):
        raise RosettaError("wrap: give input for an encoder, or latent_size for a generator")
    try:
        if latent_size is not None:
            size = whole_number("latent_size", latent_size)
            return Generator(network=network, latent_size=size, **options)
        images = _input(input)
        return Encoder(network=network, input=images, **{**_known(network, images), **options})
    except TypeError as error:
        raise RosettaError(f"wrap: {error}") from None


def _input(given: Any) -> Input:
    """Return the preprocessing of images; arrays and tuples are lists."""
    if isinstance(given, Mapping):
        lists = {
            key: np.asarray(value).tolist()
            if isinstance(value, tuple | np.ndarray | Tensor)
            else value
            for key, value in given.items()
        }
        given = parse_section(Input, lists, source="input")
    if not isinstance(given, Input):
        raise RosettaError(f"input: {given!r} is no input; give size, mean and std")
    return given


def _known(network: nn.Module, images: Input) -> dict[str, Any]:
    """Return what libraries state about the layers and layouts of their modules."""
    if any(base.__module__.startswith("transformers.") for base in type(network).__mro__):
        facts: dict[str, Any] = FAMILIES["transformers"].module().facts_of(network, images.sides)
        return facts
    if isinstance(network, VisionTransformer):
        return {"prefix_tokens": 1}
    if not hasattr(network, "pretrained_cfg"):
        return {}
    tokens = getattr(network, "num_prefix_tokens", 0)
    return {"prefix_tokens": tokens, "hint_for": hints_of(network), "preset": preset_of(network)}


@torch.no_grad()
def _check_generator(generator: Generator) -> None:
    """Draw one image; RosettaError if latents or images are not what they should be."""
    latents = generator.sample_latents([0])
    if tuple(latents.shape) != (1, generator.latent_size):
        raise RosettaError(
            f"sample_latent returns {tuple(latents.shape[1:])}, but latent_size is "
            f"{generator.latent_size}"
        )
    labels = torch.zeros(1, dtype=torch.int64, device=generator.device)
    generator.generate(latents.to(generator.device), labels if generator.classes else None)


def _check_on_copy(built: Network, layers: Sequence[str]) -> None:
    """Check the geometry of layers on a copy of a network, whose weights the check changes."""
    duplicate = replace(built, network=copy.deepcopy(built.network).cpu())
    with torch.random.fork_rng(devices=[]):
        if isinstance(duplicate, Generator):
            _, flops = measure_forward(duplicate)
            check_generator_geometry(duplicate, layers, patches=affordable_patches(flops))
        elif isinstance(duplicate, Encoder):
            check_geometry(duplicate, layers)
