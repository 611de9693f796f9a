"""The kinds of values in a configuration: names, paths, amounts of memory, devices, seeds.

Section        a part of the configuration: strict, closed, frozen
Name, Folder, File, Memory, Device, Member, Package, Sha256    checked strings
Seed           from 0 on, below SEED_LIMIT
PATTERN_MESSAGES       in words, what strings that have to match a pattern are
parse_bytes    "2 GiB" as a number
"""

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = [
    "PATTERN_MESSAGES",
    "SEED_LIMIT",
    "Device",
    "File",
    "Folder",
    "Member",
    "Memory",
    "Name",
    "Package",
    "Section",
    "Seed",
    "Sha256",
    "parse_bytes",
    "to_json",
]

SEED_LIMIT = 2**63
LONGEST_PART = 255  # bytes of a name of a file or folder

BYTES = re.compile(r"(\d+(?:\.\d+)?) ?(KiB|MiB|GiB|TiB)")
POWER = {"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}


def parse_bytes(text: str) -> int:
    """Turn "2 GiB" into 2147483648."""
    match = BYTES.fullmatch(text)
    if not match or len(text) > 20:
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        raise ValueError(
            f"{shown!r} is no amount of memory; write a number and a unit, as in 2 GiB"
        )
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
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", text):
        raise ValueError(f"{text!r} is no device; use auto, cpu, cuda or cuda:N")
    return text


def _is_member(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/"):
        raise ValueError(f"{text!r} leaves the package; give a path inside the wheel")
    return _is_file(text)


def _is_file(text: str) -> str:
    """A path that can be an input of the workflow's jobs."""
    if "{" in text or "}" in text:
        raise ValueError(f"{text!r}: Snakemake reads braces as wildcards; rename the file")
    if not text or not text.isprintable():
        raise ValueError(f"{text!r} is no file; write a path without newlines and the like")
    return _is_path(text)


def _is_folder(text: str) -> str:
    """A path that can be a part of the workflow's outputs, and of what its jobs are called with."""
    if not text.isprintable() or not re.fullmatch(r"[^{}*?'\"\\]+", text):
        raise ValueError(f"{text!r} is no folder: leave out quotes, braces, wildcards and newlines")
    if text.startswith("-"):
        raise ValueError(f"{text!r} would be taken for an option; write ./{text}")
    return _is_path(text)


def _is_path(text: str) -> str:
    if text.startswith("~"):
        raise ValueError(f"{text!r}: ~ is of the shell and stands for nothing here; write it out")
    for part in text.split("/"):
        if len(part.encode()) > LONGEST_PART:
            raise ValueError(f"{part[:20]}… is longer than {LONGEST_PART} bytes; rename it")
    return text


Name = Annotated[str, AfterValidator(_is_name)]
Folder = Annotated[str, AfterValidator(_is_folder)]
File = Annotated[str, AfterValidator(_is_file)]
Memory = Annotated[str, AfterValidator(_is_memory)]
Device = Annotated[str, AfterValidator(_is_device)]
Member = Annotated[str, AfterValidator(_is_member)]
Seed = Annotated[int, Field(ge=0, lt=SEED_LIMIT)]

SHA256 = r"^[0-9a-f]{64}$"
PACKAGE = r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+$"
Sha256 = Annotated[str, Field(pattern=SHA256)]
Package = Annotated[str, Field(pattern=PACKAGE)]
PATTERN_MESSAGES = {
    SHA256: "is no checksum; write the SHA-256 of the file, 64 digits of 0-9a-f",
    PACKAGE: "is no package; write NAME==VERSION",
}


class Section(BaseModel):
    """A part of the configuration: no unknown keys, no silent conversions, no changes, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def to_json(content: Any) -> str:
    """One line, the same for equal contents: sorted keys, no spaces."""
    if isinstance(content, BaseModel):
        content = content.model_dump(mode="json")
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
