"""What is known of a model before it runs, without loading it twice.

describe       a model's layers, shapes and operations; remembered in the resources folder
Description    what it tells
"""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from rosetta_core.config import Model, to_json
from rosetta_core.files import whole
from rosetta_core.fingerprint import fingerprint
from rosetta_core.zoo.families import FAMILIES
from rosetta_core.zoo.layer import Layer

__all__ = ["Description", "describe"]


@dataclass(frozen=True)
class Description:
    """What is known of a model from its shapes alone.

    Attributes:
        layers: in the order in which they run.
        parameters: how many numbers its weights are.
        operations: of a forward pass of one image, a multiplication and an addition being two.
        pixels: of an image, if it draws them.
    """

    layers: list[Layer]
    parameters: int
    operations: int
    pixels: int = 0


def describe(model: Model, resources: Path, *, all: bool = False) -> Description:
    """Describe a model: its layers are those that are mined or, with `all`, that could be.

    The weights aren't needed: the network is built on the meta device. Building one imports torch
    (seconds), so the answer is kept under `resources/layers` until the model's definition, the
    code that builds it, or a library changes.
    """
    definition = model.model_dump(mode="json", exclude={"name", "weights"})
    libraries = {library: version(library) for library in ("torch", "timm", "torchvision")}
    code = fingerprint("rosetta_core.zoo.loading", FAMILIES[model.family])
    key = sha256(to_json([definition, all, libraries, code]).encode()).hexdigest()[:24]
    path = resources / "layers" / f"{key}.json"
    if path.is_file():
        known = json.loads(path.read_text())
        return Description(**{**known, "layers": [Layer(**layer) for layer in known["layers"]]})

    import torch

    from rosetta_core.zoo.loading import build, layers_of, pixels_and_operations

    with torch.device("meta"):
        built = build(model)
        pixels, operations = pixels_and_operations(built)
        description = Description(
            layers=layers_of(model, built, all=all),
            parameters=sum(parameter.numel() for parameter in built.network.parameters()),
            operations=operations,
            pixels=pixels,
        )
    with whole(path) as temporary:
        temporary.write_text(json.dumps(asdict(description)))
    return description
