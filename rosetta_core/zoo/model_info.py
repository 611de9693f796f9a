"""Layers, shapes and cost of a model, known without its weights, and checks of its definition."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rosetta_core.errors import RosettaError
from rosetta_core.io.cached_text import read_cached, write_cached
from rosetta_core.runtime import user_code
from rosetta_core.runtime.code_fingerprint import code_fingerprint
from rosetta_core.validation import to_json
from rosetta_core.zoo.encoders.transformers_files import model_definition
from rosetta_core.zoo.layers import Layer
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.registry import FAMILIES, GENERATORS
from rosetta_core.zoo.weights.sources import StoredWeights

__all__ = [
    "ModelInfo",
    "affordable_patches",
    "check_fit",
    "check_layers",
    "describe",
]

TRIAL_FLOPS = 4 * 10**11  # of a geometry check: seconds on a CPU
PASSES = 28  # forward passes that the check of a generator costs
FEW_PATCHES = 4  # of the image of a large generator
LIBRARIES = ("torch", "timm", "torchvision", "open_clip_torch")  # that build networks


@dataclass(frozen=True)
class ModelInfo:
    """Properties of a model that follow from its shapes.

    Attributes:
        layers: layers in the order in which they run.
        parameters: number of parameters.
        flops: FLOPs of a forward pass of one image; a multiply-add counts as two.
        image_pixels: pixels of a generated image; 0 for an encoder.
        classes: number of classes of a conditional generator; 0 otherwise.
        supports_truncation: whether the model can generate with a truncation below 1.
        latent_spaces: names of the generator's latent spaces.
        tensors: dtype and shape of each parameter and buffer in the state dict, by name.
        converts_checkpoints: whether the model converts checkpoints by a function of its own.
        unused_entries: patterns of entries that its files have and the network does not use.
    """

    layers: list[Layer]
    parameters: int
    flops: int
    image_pixels: int = 0
    classes: int = 0
    supports_truncation: bool = True
    latent_spaces: list[str] = field(default_factory=lambda: ["z"])
    tensors: dict[str, tuple[str, list[int]]] = field(default_factory=dict)
    converts_checkpoints: bool = False
    unused_entries: list[str] = field(default_factory=list)


def describe(model: ModelSpec, resources: Path, *, all: bool = False) -> ModelInfo:
    """Return a model's layers, shapes and cost.

    The network is built on the meta device, without weights; a user's own network, and one that
    needs values, is built on the CPU. Building imports torch (seconds), so the result is cached
    in `resources/layers`, or elsewhere if that is read-only, until the model's definition, the code
    that builds it or a library changes.

    Args:
        model: model of any family.
        resources: folder of the cache.
        all: include every layer that can be mined, not only the layers that are mined.

    Raises:
        RosettaError: the model cannot be built or run, or a layer cannot be mined.
    """
    names = [part.name for part in fields(ModelInfo)]
    path = _cache_path(model, resources, "rosetta_core.zoo.loading", parts=[all, names])
    if text := read_cached(path):
        cached = json.loads(text)
        return ModelInfo(**{**cached, "layers": [Layer(**layer) for layer in cached["layers"]]})

    if model.target:
        info = _describe_on("cpu", model, all=all)
    else:
        try:
            info = _describe_on("meta", model, all=all)
        except RosettaError as error:
            if "meta" not in str(error):  # else the network needs values to be built or run
                raise
            info = _describe_on("cpu", model, all=all)
    write_cached(path, json.dumps(asdict(info)))
    return info


def _describe_on(device: str, model: ModelSpec, *, all: bool) -> ModelInfo:
    """Build a model on a device, run it, and return what `describe` returns."""
    import torch

    from rosetta_core.zoo.loading import build, layers_of
    from rosetta_core.zoo.network import Generator
    from rosetta_core.zoo.probing import measure_forward
    from rosetta_core.zoo.user_model import takes_truncation

    with torch.random.fork_rng(devices=[]), torch.device(device), _report_errors(model):
        torch.manual_seed(0)
        built = build(model)
        image_pixels, flops = measure_forward(built)
        return ModelInfo(
            layers=layers_of(model, built, all=all),
            parameters=sum(parameter.numel() for parameter in built.network.parameters()),
            flops=flops,
            image_pixels=image_pixels,
            classes=built.classes if isinstance(built, Generator) else 0,
            supports_truncation=not model.target or takes_truncation(model.target),
            latent_spaces=["z", *(built.latent_spaces if isinstance(built, Generator) else ())],
            tensors={
                name: (str(value.dtype), list(value.shape))
                for name, value in built.network.state_dict().items()
                if isinstance(value, torch.Tensor)  # quantised modules have other entries too
            },
            converts_checkpoints=built.convert_checkpoint is not None,
            unused_entries=list(built.unused_entries),
        )


def check_layers(model: ModelSpec, resources: Path) -> dict[str, str]:
    """Check that a model's mined layers follow the image; return the verdict on each.

    The network is built on the CPU, with random weights or those that a user's function loads, and
    runs a dozen times. The result is cached in `resources/layers`, as that of `describe` is.

    Args:
        model: a model of any family.
        resources: folder of the cache.

    Returns:
        Verdicts of `rosetta_core.zoo.layouts.agreement` by layer; none for the large generators of
        the zoo, whose layouts are those of their family.

    Raises:
        RosettaError: the model cannot be built or run, or a layer does not follow the image.
    """
    checks = ("geometry", "generator_geometry")
    modules = ("rosetta_core.zoo.loading", *(f"rosetta_core.zoo.layouts.{name}" for name in checks))
    path = _cache_path(model, resources, *modules, parts=["geometry"])
    if text := read_cached(path):
        verdicts: dict[str, str] = json.loads(text)
        return verdicts

    if model.family in GENERATORS and describe(model, resources).flops * PASSES > TRIAL_FLOPS:
        return {}
    import torch

    from rosetta_core.zoo.layouts.generator_geometry import check_generator_geometry
    from rosetta_core.zoo.layouts.geometry import check_geometry
    from rosetta_core.zoo.loading import build, layers_of
    from rosetta_core.zoo.network import Encoder, Generator

    with torch.random.fork_rng(devices=[]), torch.device("cpu"), _report_errors(model):
        torch.manual_seed(0)
        built = build(model)
        names = [layer.name for layer in layers_of(model, built)]
        try:
            if isinstance(built, Generator):
                patches = affordable_patches(describe(model, resources).flops)
                verdicts = dict(check_generator_geometry(built, names, patches=patches))
            else:
                assert isinstance(built, Encoder)
                verdicts = dict(check_geometry(built, names))
        except RosettaError as error:
            raise RosettaError(f"{model.name}: {error}") from error
    write_cached(path, json.dumps(verdicts))
    return verdicts


def affordable_patches(flops: int) -> int | None:
    """Return how many patches of a generator's image are checked; None: all."""
    if flops * PASSES <= TRIAL_FLOPS:
        return None
    return FEW_PATCHES if flops * PASSES <= 20 * TRIAL_FLOPS else 0


def check_fit(model: ModelSpec, path: Path, resources: Path) -> None:
    """Check that a file of weights fits a model, without loading it.

    The network is only built, on the meta device, if it converts checkpoints itself.

    Args:
        model: model whose weights are in the file.
        path: file of weights.
        resources: folder of the cache of `describe`.

    Raises:
        RosettaError: the file is damaged, or belongs to another network.
    """
    if not isinstance(model.weights, StoredWeights):
        return

    import torch

    from rosetta_core.zoo.loading import build
    from rosetta_core.zoo.weights.assignment import Reading, check_weights

    info, convert = describe(model, resources), None
    if info.converts_checkpoints:
        with torch.random.fork_rng(devices=[]), torch.device("cpu" if model.target else "meta"):
            convert = build(model).convert_checkpoint
    needed = {
        name: torch.empty(shape, dtype=getattr(torch, dtype.removeprefix("torch.")), device="meta")
        for name, (dtype, shape) in info.tensors.items()
    }
    reading = Reading(
        weights=model.weights, convert=convert, family=model.family, unused=info.unused_entries
    )
    with user_code.report_errors(model.target, key="target") if model.target else nullcontext():
        check_weights(needed, path, reading, shapes_only=not (convert and model.target))


def _cache_path(model: ModelSpec, resources: Path, *modules: str, parts: list[Any]) -> Path:
    """Return the path of a result that follows from a model's definition, code and libraries."""
    family = FAMILIES[model.family]
    definition = model.model_dump(mode="json", exclude={"name", "weights"})
    libraries = {library: version(library) for library in LIBRARIES}
    if family.extra:
        libraries[family.name] = family.library_version()
    code = code_fingerprint(*modules, family.module_name)
    code += model_definition(model)
    if model.target:
        code += user_code.fingerprint(model.target, key="target")
    content = to_json([definition, parts, libraries, code])
    return resources / "layers" / f"{sha256(content.encode()).hexdigest()[:24]}.json"


@contextmanager
def _report_errors(model: ModelSpec) -> Iterator[None]:
    """Convert errors that a library, or the user's code, raises for unsuitable input."""
    if model.target:
        with user_code.report_errors(model.target, key="target"):
            yield
        return
    try:
        yield
    except RosettaError:
        raise
    except (RuntimeError, ValueError, TypeError, OverflowError, AssertionError) as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise RosettaError(
            f"{model.name}: cannot be run with its input and arguments ({reason}); correct them"
        ) from error
