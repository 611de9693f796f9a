"""What is known of a model before it runs, without loading it twice.

describe    a model's layers and their shapes; remembered in the resources folder
"""

import json
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from rosetta_core.config import Model, to_json
from rosetta_core.files import whole
from rosetta_core.fingerprint import fingerprint
from rosetta_core.zoo.families import FAMILIES
from rosetta_core.zoo.layer import Layer

__all__ = ["describe"]


def describe(model: Model, resources: Path, *, all: bool = False) -> list[Layer]:
    """Return a model's layers in the order in which they run, from its shapes alone.

    Those that are mined or, with `all`, every module whose output could be mined.

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
        return [Layer(**layer) for layer in json.loads(path.read_text())]

    import torch

    from rosetta_core.zoo.loading import build, layers_of

    with torch.device("meta"):
        layers = layers_of(model, build(model), all=all)
    with whole(path) as temporary:
        temporary.write_text(json.dumps([asdict(layer) for layer in layers]))
    return layers
