"""Weights on this machine, as sections of the configuration: a file, a shipped file, random.

`CheckpointSection` has the keys of every source that is a file: how it is read and assigned.
"""

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from rosetta_core.errors import did_you_mean
from rosetta_core.validation import File, Section, Seed, Sha256

__all__ = ["AUTO", "SHIPPED", "CheckpointSection", "FileWeights", "RandomWeights", "ShippedWeights"]

# weights in `rosetta_core/zoo/shipped`: SHA-256 by name, and the licence of all of them
SHIPPED = {
    "dino_faces": "c7e37472f8cf7eaef541c3a3be3b42a75bced6456dd4d41ce4528c1ed555f053",
    "mae_faces": "4472514783c9af3e7fe7e0ecacc81b24a8aac8dc1abd6a3a2bdb141489d051c4",
}
LICENCE = "MIT"
AUTO = "auto"  # prefix that is found by the names of the network's parameters


class CheckpointSection(Section):
    """How a file of weights is read and assigned to the network."""

    entry: str | None = Field(
        None, description="key of the state dictionary in the checkpoint; null: the whole file"
    )
    match: Literal["name", "order"] = Field(
        "name",
        description="assignment of checkpoint entries to parameters: by name, or in order (shapes "
        "must agree)",
    )
    prefix: str | None = Field(
        None,
        description="prefix of the checkpoint entries that are loaded, removed from their names, "
        "for example module.; auto: the prefix that fits the network; null: all entries",
    )
    absent: list[str] = Field(
        [],
        description="patterns of parameters that the checkpoint lacks, for example heads behind "
        "the mined layers; they stay random",
    )
    ignore: list[str] = Field(
        [], description="patterns of checkpoint entries that the network lacks"
    )
    licence: str | None = Field(None, description="licence of the weights, shown on the pages")


class FileWeights(CheckpointSection):
    """A local file: safetensors, torch.save (read as data), or a pickled network."""

    file: File = Field(description="path of the file", min_length=1)
    sha256: Sha256 | None = Field(None, description="SHA-256 of the file; null: not verified")

    @property
    def source(self) -> str:
        """The path."""
        return self.file


def _check_shipped(text: str) -> str:
    if text not in SHIPPED:
        raise ValueError(
            f"{text!r} is not part of this package; use one of {', '.join(SHIPPED)}"
            f"{did_you_mean(text, SHIPPED)}"
        )
    return text


Shipped = Annotated[
    str, Field(json_schema_extra={"enum": list(SHIPPED)}), AfterValidator(_check_shipped)
]


class ShippedWeights(CheckpointSection):
    """A file shipped with rosetta; its checksum identifies the version."""

    licence: str | None = Field(LICENCE, description="licence of the weights, shown on the pages")
    shipped: Shipped = Field(description="name of a file of weights in this package")
    sha256: Sha256 | None = Field(
        None, description="SHA-256 of the file; null: the checksum of the file in this package"
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_checksum(cls, content: Any) -> Any:
        if isinstance(content, dict) and content.get("sha256") is None:
            return {**content, "sha256": SHIPPED.get(str(content.get("shipped")))}
        return content

    @property
    def source(self) -> str:
        """Name of the file."""
        return f"{self.shipped}, shipped with rosetta"

    @property
    def place(self) -> PurePosixPath:
        """Path of the file in the package."""
        return PurePosixPath("zoo", "shipped", f"{self.shipped}.safetensors")


class RandomWeights(Section):
    """Random weights, as before training: a control."""

    random: Seed = Field(description="random seed of the weights")

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Also accept `random`, for seed 0."""
        return {"anyOf": [{"const": "random"}, handler(schema)]}

    @property
    def source(self) -> str:
        """Description of the source."""
        return "random weights"

    @property
    def licence(self) -> None:
        """No licence."""
        return None
