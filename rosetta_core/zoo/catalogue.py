"""What is known of a model before it runs, without loading it twice.

Layer       a module whose output channels are units
describe    a model's layers and their shapes; remembered in the resources folder
FAMILIES    the module that builds each family
"""

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from rosetta_core.config import Model, to_json
from rosetta_core.files import whole
from rosetta_core.fingerprint import fingerprint

__all__ = ["FAMILIES", "Layer", "describe"]

FAMILIES = {
    "dcgan": "rosetta_core.zoo.dcgan",
    "mtcnn_onet": "rosetta_core.zoo.mtcnn_onet",
    "timm": "rosetta_core.zoo.timm_encoder",
    "torchvision": "rosetta_core.zoo.torchvision_encoder",
}


@dataclass(frozen=True)
class Layer:
    """A module whose output channels are units.

    Attributes:
        name: the module's dotted name.
        channels: number of units.
        height: of an activation map.
        width: of an activation map.
    """

    name: str
    channels: int
    height: int
    width: int

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of an activation map."""
        return self.height, self.width

    @property
    def size(self) -> int:
        """Activations per image."""
        return self.channels * self.height * self.width


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

    import torch  # noqa: PLC0415

    from rosetta_core.zoo.loading import build, layers_of  # noqa: PLC0415

    with torch.device("meta"):
        layers = layers_of(model, build(model), all=all)
    with whole(path) as temporary:
        temporary.write_text(json.dumps([asdict(layer) for layer in layers]))
    return layers
