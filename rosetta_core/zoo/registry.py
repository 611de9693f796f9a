"""Families of networks: one record per family, from which everything else is derived.

The module of a family defines `build`, which returns a `Generator` or an `Encoder` with random
weights. A new family is its module and its record here.
"""

import importlib
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Literal, get_args

from rosetta_core.errors import RosettaError

__all__ = [
    "ENCODERS",
    "FAMILIES",
    "GENERATORS",
    "EncoderFamily",
    "Family",
    "GeneratorFamily",
]

GeneratorFamily = Literal[
    "dcgan", "stylegan2", "stylegan2_rosinality", "stylegan3", "stylegan_xl", "biggan"
]
EncoderFamily = Literal["timm", "torchvision", "open_clip", "transformers", "mtcnn_onet"]
GENERATORS: tuple[str, ...] = get_args(GeneratorFamily)
ENCODERS: tuple[str, ...] = get_args(EncoderFamily)


@dataclass(frozen=True)
class Family:
    """A family of networks.

    Attributes:
        name: name of the family, in configurations and files of weights.
        kind: whether its networks are generators or encoders; a function of the user's own may
            return either, and so may a network that was given in memory.
        path: dotted name of the module with `build`, under `rosetta_core.zoo`.
        selected_by: setting that selects a network of the family. `either` is an architecture or
            constructor arguments; `nothing` is for families of a single network.
        pickled: whether networks are published as pickled programs; the module then defines
            `arguments_of`, which returns the constructor arguments of a pickled network, or None
            if the network is of another family.
        defined_by_files: whether an architecture may name files that define the network and its
            input; the module's `build` then also takes an `input` to use instead of theirs.
        extra: extra of this package that installs the library, which has the family's name, if it
            is not always installed.
    """

    name: GeneratorFamily | EncoderFamily | Literal["python", "in_memory"]
    kind: Literal["generator", "encoder", "user", "memory"]
    path: str
    selected_by: Literal["architecture", "either", "nothing", "target"]
    pickled: bool = False
    defined_by_files: bool = False
    extra: str | None = None

    @property
    def module_name(self) -> str:
        """Dotted name of the module."""
        return f"rosetta_core.zoo.{self.path}"

    def module(self) -> ModuleType:
        """Import the module, which may take seconds.

        Raises:
            RosettaError: the library of the family is not installed.
        """
        try:
            return importlib.import_module(self.module_name)
        except ModuleNotFoundError as error:
            if self.extra is None or error.name != self.name:
                raise
            raise self._not_installed() from None

    def library_version(self) -> str:
        """Return the version of the library that an extra installs.

        Raises:
            RosettaError: it is not installed.
        """
        try:
            return version(self.name)
        except PackageNotFoundError:
            raise self._not_installed() from None

    def _not_installed(self) -> RosettaError:
        return RosettaError(
            f"family {self.name}: the library is not installed; pip install "
            f"'rosetta-core[{self.extra}]'"
        )


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("dcgan", "generator", "generators.dcgan", "nothing"),
        Family("stylegan2", "generator", "generators.stylegan2.generator", "either", pickled=True),
        Family("stylegan2_rosinality", "generator", "generators.stylegan2.rosinality", "either"),
        Family("stylegan3", "generator", "generators.stylegan3.generator", "either", pickled=True),
        Family(
            "stylegan_xl", "generator", "generators.stylegan3.stylegan_xl", "either", pickled=True
        ),
        Family("biggan", "generator", "generators.biggan", "either"),
        Family("timm", "encoder", "encoders.timm", "architecture"),
        Family("torchvision", "encoder", "encoders.torchvision", "architecture"),
        Family("open_clip", "encoder", "encoders.open_clip", "architecture"),
        Family(
            "transformers",
            "encoder",
            "encoders.transformers",
            "architecture",
            defined_by_files=True,
            extra="transformers",
        ),
        Family("mtcnn_onet", "encoder", "encoders.mtcnn_onet", "nothing"),
        Family("python", "user", "user_model", "target"),
        Family("in_memory", "memory", "in_memory_model", "architecture"),
    )
}
