"""The kinds of values in a configuration: names, folders, amounts of memory, devices.

Section        a part of the configuration: strict, closed, frozen
Name, Folder, Memory, Device, Member, Package, Sha256    checked strings
parse_bytes    "2 GiB" as a number
"""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = [
    "Device",
    "Folder",
    "Member",
    "Memory",
    "Name",
    "Package",
    "Section",
    "Sha256",
    "parse_bytes",
]

BYTES = re.compile(r"(\d+(?:\.\d+)?) ?(KiB|MiB|GiB|TiB)")
POWER = {"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}


def parse_bytes(text: str) -> int:
    """Turn "2 GiB" into 2147483648."""
    match = BYTES.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no amount of memory; write a number and a unit, as in 2 GiB")
    return int(float(match[1]) * 2 ** POWER[match[2]])


def _is_name(text: str) -> str:
    """Names become file names and parts of them: `--` separates the two models of a pair."""
    if len(text) > 64 or "--" in text or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", text):
        raise ValueError(
            f"{text!r} is no name: use up to 64 letters, digits, '_', '.' and single '-', "
            "beginning with a letter or digit"
        )
    return text


def _is_memory(text: str) -> str:
    if parse_bytes(text) < 64 * 2**20:
        raise ValueError(f"{text!r} is too little memory; give at least 64 MiB")
    return text


def _is_device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", text):
        raise ValueError(f"{text!r} is no device; use auto, cpu, cuda or cuda:N")
    return text


def _is_member(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/"):
        raise ValueError(f"{text!r} leaves the package; give a path inside the wheel")
    return text


def _is_folder(text: str) -> str:
    if not re.fullmatch(r"[^\x00-\x1f{}*?'\"\\]+", text):
        raise ValueError(f"{text!r} is no folder: leave out quotes, braces, wildcards and newlines")
    return text


Name = Annotated[str, AfterValidator(_is_name)]
Folder = Annotated[str, AfterValidator(_is_folder)]
Memory = Annotated[str, AfterValidator(_is_memory)]
Device = Annotated[str, AfterValidator(_is_device)]
Member = Annotated[str, AfterValidator(_is_member)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Package = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+$")]


class Section(BaseModel):
    """A part of the configuration: no unknown keys, no silent conversions, no changes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
