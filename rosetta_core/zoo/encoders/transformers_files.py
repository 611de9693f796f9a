"""Files that define a network of Hugging Face transformers: its configuration and image processor.

They are `config.json` and `preprocessor_config.json` (or `processor_config.json`) of a folder that
`save_pretrained` wrote, or of a model on the Hugging Face hub. They are read as data; code that a
model brings along is never executed. Neither torch nor transformers is imported here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from rosetta_core.errors import RosettaError
from rosetta_core.io.strict_json import read_json
from rosetta_core.validation import to_json
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.hub import repository_file

__all__ = ["Definition", "is_folder", "model_definition", "read_definition"]

CONFIG = "config.json"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
MAX_BYTES = 2**22  # of a file of settings
REPOSITORY = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w.-]+))?")


@dataclass(frozen=True)
class Definition:
    """Settings that define a network and its input.

    Attributes:
        name: name of the network, for errors.
        config: content of `config.json`; of a type of model only `model_type`.
        processor: settings of the image processor; None if there are none.
        from_files: whether the settings are those of a saved model, not defaults of a type.
    """

    name: str
    config: Mapping[str, Any]
    processor: Mapping[str, Any] | None = None
    from_files: bool = False


def is_folder(architecture: str) -> bool:
    """Return whether an architecture is a folder, which is written as /…, ./… or ../… ."""
    return architecture.startswith(("/", "./", "../"))


def read_definition(architecture: str) -> Definition:
    """Read the settings of a network.

    Args:
        architecture: a folder (/…, ./… or ../…), OWNER/NAME or OWNER/NAME@REVISION on the hub, or
            a type of model, for example dinov2.

    Raises:
        RosettaError: a file is missing, damaged, or cannot be fetched.
    """
    name = f"transformers: {architecture}"
    if is_folder(architecture):
        folder = Path(architecture)
        if not folder.is_dir():
            raise RosettaError(f"{name}: is not a folder; give the folder of a saved model")
        return _from_files(name, lambda file: _existing(folder / file))
    if found := REPOSITORY.fullmatch(architecture):
        repository, revision = found.groups()
        return _from_files(name, lambda file: repository_file(repository, file, revision=revision))
    return Definition(name, {"model_type": architecture})


def model_definition(model: ModelSpec) -> str:
    """Return the SHA-256 of the files that define a model's network; empty if there are none.

    Raises:
        RosettaError: as in `read_definition`.
    """
    if not FAMILIES[model.family].defined_by_files:
        return ""
    definition = read_definition(model.architecture or "")
    if not definition.from_files:
        return ""
    return sha256(to_json([definition.config, definition.processor]).encode()).hexdigest()


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None


def _from_files(name: str, locate: Callable[[str], Path | None]) -> Definition:
    """Read the files that `locate` finds."""
    path = locate(CONFIG)
    if path is None:
        raise RosettaError(
            f"{name}: has no {CONFIG}; give a model of transformers, as save_pretrained writes it"
        )
    config = _read(name, path, CONFIG)
    for file in PROCESSORS:
        if path := locate(file):
            content = _read(name, path, file)
            if file == PROCESSORS[1]:  # of all modalities
                content = content.get("image_processor", {})
            if isinstance(content, dict) and content:
                return Definition(name, config, content, from_files=True)
    return Definition(name, config, from_files=True)


def _read(name: str, path: Path, file: str) -> dict[str, Any]:
    try:
        content = read_json(path.resolve(), max_bytes=MAX_BYTES)  # a link in the hub's cache
    except (OSError, ValueError) as error:
        raise RosettaError(f"{name}: {file} cannot be read ({error}); replace it") from None
    if not isinstance(content, dict):
        raise RosettaError(f"{name}: {file} is not a JSON object; replace it")
    return content
