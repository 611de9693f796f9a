"""Layers, shapes and cost of a model, known without loading its weights."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from rosetta_core.errors import RosettaError
from rosetta_core.io.cached_text import read_cached, write_cached
from rosetta_core.runtime import user_code
from rosetta_core.runtime.code_fingerprint import code_fingerprint
from rosetta_core.validation import to_json
from rosetta_core.zoo.layers import Layer
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.registry import FAMILIES

__all__ = ["ModelInfo", "describe"]

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

    The network is built on the meta device, without weights; a user's own network is built on the
    CPU, since its code may do anything. Building imports torch (seconds), so the result is cached
    in `resources/layers`, or elsewhere if that is read-only, until the model's definition, the code
    that builds it or a library changes.

    Args:
        model: model of any family.
        resources: folder of the cache.
        all: include every layer that can be mined, not only the layers that are mined.

    Raises:
        RosettaError: the model cannot be built or run, or a layer cannot be mined.
    """
    definition = model.model_dump(mode="json", exclude={"name", "weights"})
    libraries = {library: version(library) for library in LIBRARIES}
    code = code_fingerprint("rosetta_core.zoo.loading", FAMILIES[model.family].module_name)
    if model.target:
        code += user_code.fingerprint(model.target, key="target")
    names = [part.name for part in fields(ModelInfo)]
    key = sha256(to_json([definition, all, libraries, code, names]).encode()).hexdigest()[:24]
    path = resources / "layers" / f"{key}.json"
    if text := read_cached(path):
        cached = json.loads(text)
        return ModelInfo(**{**cached, "layers": [Layer(**layer) for layer in cached["layers"]]})

    import torch

    from rosetta_core.zoo.loading import build, layers_of
    from rosetta_core.zoo.network import Generator
    from rosetta_core.zoo.probing import measure_forward
    from rosetta_core.zoo.user_model import takes_truncation

    device = torch.device("cpu" if model.target else "meta")
    errors = (
        user_code.report_errors(model.target, key="target")
        if model.target
        else _report_errors(model)
    )
    with torch.random.fork_rng(devices=[]), device, errors:
        torch.manual_seed(0)
        built = build(model)
        image_pixels, flops = measure_forward(built)
        info = ModelInfo(
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
            },
            converts_checkpoints=built.convert_checkpoint is not None,
            unused_entries=list(built.unused_entries),
        )
    write_cached(path, json.dumps(asdict(info)))
    return info


@contextmanager
def _report_errors(model: ModelSpec) -> Iterator[None]:
    """Convert errors that a library raises for unsuitable inputs and arguments."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, OverflowError, AssertionError) as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise RosettaError(
            f"{model.name}: cannot be run with its input and arguments ({reason}); correct them"
        ) from error
