"""What is known of a model before it runs, without loading it twice.

describe       a model's layers, shapes and operations; remembered in the resources folder
Description    what it tells
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path
from rosetta_core.runtime import user_code as own_code
from rosetta_core.runtime.code_fingerprint import code_fingerprint
from rosetta_core.validation import to_json
from rosetta_core.zoo.layer import Layer
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.registry import FAMILIES

__all__ = ["Description", "describe"]

LIBRARIES = ("torch", "timm", "torchvision", "open_clip_torch")  # that build networks


@dataclass(frozen=True)
class Description:
    """What is known of a model from its shapes alone.

    Attributes:
        layers: in the order in which they run.
        parameters: how many numbers its weights are.
        operations: of a forward pass of one image, a multiplication and an addition being two.
        pixels: of an image, if it draws them.
        classes: that it draws.
        truncates: whether it can draw with a truncation.
        spaces: names of its latent spaces.
    """

    layers: list[Layer]
    parameters: int
    operations: int
    pixels: int = 0
    classes: int = 0
    truncates: bool = True
    spaces: list[str] = field(default_factory=lambda: ["z"])


def describe(model: ModelSpec, resources: Path, *, all: bool = False) -> Description:
    """Describe a model: its layers are those that are mined or, with `all`, that could be.

    The weights aren't needed: the network is built on the meta device, but for one of the user's
    own, whose code may do anything: that is built as it is. Building one imports torch (seconds),
    so the answer is kept under `resources/layers` until the model's definition, the code that
    builds it, or a library changes.

    Raises:
        RosettaError: the model can't be built, a layer can't be mined, or a network of the user's
            own fails.
    """
    definition = model.model_dump(mode="json", exclude={"name", "weights"})
    libraries = {library: version(library) for library in LIBRARIES}
    code = code_fingerprint("rosetta_core.zoo.loading", FAMILIES[model.family])
    if model.target:
        code += own_code.fingerprint(model.target, key="target")
    told = [part.name for part in fields(Description)]
    key = sha256(to_json([definition, all, libraries, code, told]).encode()).hexdigest()[:24]
    path = resources / "layers" / f"{key}.json"
    if path.is_file():
        known = json.loads(path.read_text())
        return Description(**{**known, "layers": [Layer(**layer) for layer in known["layers"]]})

    import torch

    from rosetta_core.zoo.loading import build, layers_of
    from rosetta_core.zoo.network import Generator
    from rosetta_core.zoo.operations import pixels_and_operations
    from rosetta_core.zoo.user_model import takes_truncation

    blame = own_code.reported(model.target, key="target") if model.target else _reported(model)
    with torch.random.fork_rng(devices=[]), torch.device("cpu" if model.target else "meta"), blame:
        torch.manual_seed(0)
        built = build(model)
        pixels, operations = pixels_and_operations(built)
        description = Description(
            layers=layers_of(model, built, all=all),
            parameters=sum(parameter.numel() for parameter in built.network.parameters()),
            operations=operations,
            pixels=pixels,
            classes=built.classes if isinstance(built, Generator) else 0,
            truncates=not model.target or takes_truncation(model.target),
            spaces=["z", *(built.further_spaces if isinstance(built, Generator) else ())],
        )
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(asdict(description)))
    return description


@contextmanager
def _reported(model: ModelSpec) -> Iterator[None]:
    """Turn what a library raises of arguments and inputs that don't fit into a RosettaError."""
    try:
        yield
    except (RuntimeError, ValueError, TypeError, OverflowError, AssertionError) as error:
        said = str(error).split("\n")[0] or type(error).__name__
        raise RosettaError(
            f"{model.name}: cannot be run with its input and arguments ({said}); correct them"
        ) from error
