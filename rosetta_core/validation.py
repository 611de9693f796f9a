"""Value types of configurations: names, paths, memory sizes, devices, seeds and checksums.

Every message of a failed check is `what is wrong (value); what to do`.
"""

import json
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

__all__ = [
    "BIT_DEPTH_DESCRIPTION",
    "MAX_PIXELS_DESCRIPTION",
    "PATTERN_MESSAGES",
    "SEED_LIMIT",
    "BitDepth",
    "Device",
    "File",
    "Folder",
    "MaxPixels",
    "Member",
    "Memory",
    "Name",
    "Package",
    "Section",
    "Seed",
    "Sha256",
    "check_name",
    "parse_bytes",
    "to_json",
]

SEED_LIMIT = 2**63
MAX_NAME_BYTES = 255  # of a file or folder name

BYTES = re.compile(r"(\d+(?:\.\d+)?) ?(KiB|MiB|GiB|TiB)")
POWER = {"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}


def parse_bytes(text: str) -> int:
    """Return the bytes of a memory size: 2147483648 for "2 GiB"."""
    match = BYTES.fullmatch(text)
    if not match or len(text) > 20:
        shown = text if len(text) <= 40 else f"{text[:40]}…"
        raise ValueError(
            f"{shown!r} is not a memory size; write a number and a unit, for example 2 GiB"
        )
    return int(float(match[1]) * 2 ** POWER[match[2]])


def check_name(text: str) -> str:
    """Return a name, which becomes part of file names; ValueError if it cannot."""
    if len(text) > 64 or "--" in text or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", text):
        raise ValueError(
            f"{text!r} is not a name; use up to 64 letters, digits, '_', '.' and single '-', "
            "starting with a letter or digit"
        )
    return text


def _is_memory(text: str) -> str:
    if parse_bytes(text) < 64 * 2**20:
        raise ValueError(f"{text!r} is too little memory; give at least 64 MiB")
    return text


def _is_device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", text):
        raise ValueError(f"{text!r} is not a device; use auto, cpu, cuda or cuda:N")
    return text


def _is_member(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/"):
        raise ValueError(f"{text!r} is outside the package; give a path inside the wheel")
    return _is_file(text)


def _is_file(text: str) -> str:
    """Check a path that can be an input of the workflow's jobs."""
    if "{" in text or "}" in text:
        raise ValueError(
            f"{text!r} has braces, which Snakemake reads as wildcards; rename the file"
        )
    if not text or not text.isprintable():
        raise ValueError(f"{text!r} is not a file; write a path without control characters")
    return _is_path(text)


def _is_folder(text: str) -> str:
    """Check a path that can be part of outputs and commands of the workflow's jobs."""
    if not text.isprintable() or not re.fullmatch(r"[^{}*?'\"\\]+", text):
        raise ValueError(
            f"{text!r} is not a folder; use no quotes, braces, wildcards or control characters"
        )
    if text.startswith("-"):
        raise ValueError(f"{text!r} reads as an option; write ./{text}")
    return _is_path(text)


def _is_path(text: str) -> str:
    if text.startswith("~"):
        raise ValueError(f"{text!r}: ~ is not expanded; write the path of the home folder")
    if re.search(r"\$[A-Za-z_{]", text):
        raise ValueError(f"{text!r}: variables are not expanded; write the path without $")
    for part in text.split("/"):
        if len(part.encode()) > MAX_NAME_BYTES:
            raise ValueError(f"{part[:20]}… is longer than {MAX_NAME_BYTES} bytes; rename it")
    return text


Name = Annotated[str, AfterValidator(check_name)]
Folder = Annotated[str, AfterValidator(_is_folder)]
File = Annotated[str, AfterValidator(_is_file)]
Memory = Annotated[str, AfterValidator(_is_memory)]
Device = Annotated[str, AfterValidator(_is_device)]
Member = Annotated[str, AfterValidator(_is_member)]
BitDepth = Annotated[int | None, Field(ge=8, le=16)]
BIT_DEPTH_DESCRIPTION = (
    "number of bits that the values of grey 16-bit image files use, for example 12; null: 16, and "
    "files that stop at a quarter of the range are refused"
)
MaxPixels = Annotated[int | None, Field(ge=1, le=2**40)]
MAX_PIXELS_DESCRIPTION = (
    "largest image file that is read, in pixels (width × height); null: 67,108,864, which take up "
    "to 1 GiB of memory"
)
Seed = Annotated[int, Field(ge=0, lt=SEED_LIMIT)]

SHA256 = r"^[0-9a-f]{64}$"
PACKAGE = r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+$"
Sha256 = Annotated[str, Field(pattern=SHA256)]
Package = Annotated[str, Field(pattern=PACKAGE)]
PATTERN_MESSAGES = {
    SHA256: "is not a checksum; write the SHA-256 of the file, 64 digits of 0-9a-f",
    PACKAGE: "is not a package; write NAME==VERSION",
}


class Section(BaseModel):
    """Base of all sections: no unknown keys, no conversions, no NaN, immutable."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def to_json(content: Any) -> str:
    """Return canonical JSON: one line, sorted keys, no spaces."""
    if isinstance(content, BaseModel):
        content = content.model_dump(mode="json")
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
