"""File indices: names, sizes and checksums of a folder's files, in the folder, to detect damage.

A folder is opened only if its files match its index. Checksums are CRC32C, which processors compute
about as fast as they read: they detect damage and mistakes, not manipulation.
"""

import json
from pathlib import Path
from typing import Any

import google_crc32c

from rosetta_core.errors import RosettaError

__all__ = [
    "INDEX_NAME",
    "SMALL_FILE",
    "check_file_index",
    "file_crc32c",
    "qualified_name",
    "sign",
    "verify_signature",
    "write_file_index",
]

INDEX_NAME = "contents.json"
SNAKEMAKE_TIMESTAMP = ".snakemake_timestamp"  # Snakemake writes it into every output folder
SMALL_FILE = 64 * 2**10  # bytes up to which files, as metadata are, are read at every opening
BUFFER = 2**20  # bytes read at once


def write_file_index(folder: Path, *, final_path: Path) -> str:
    """Write the index of a folder, as its last file.

    Args:
        folder: folder with all its files.
        final_path: path that the folder will have once it is complete.

    Returns:
        The checksum of the index.
    """
    files = {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "crc32c": file_crc32c(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (SNAKEMAKE_TIMESTAMP, INDEX_NAME)
    }
    text = sign({"files": files, "of": qualified_name(final_path)})
    (folder / INDEX_NAME).write_text(text, encoding="utf-8")
    return str(json.loads(text)["checksum"])


def check_file_index(folder: Path, *, cure: str, max_checksum_bytes: int | None = None) -> str:
    """Compare the files of a folder with its index.

    Args:
        folder: folder with an index.
        cure: what to do if it is damaged, for error messages.
        max_checksum_bytes: size up to which the checksums of files are compared; of larger files
            only the size is. None: compare all checksums.

    Returns:
        The checksum of the index.

    Raises:
        RosettaError: the folder or its index is missing, the folder has another name than when it
            was written, or a file is missing or has changed.
    """
    path = folder / INDEX_NAME
    try:
        index = verify_signature(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        missing = path if folder.exists() else folder
        raise RosettaError(f"{missing}: is missing; {cure}") from error
    except (OSError, ValueError) as error:
        raise RosettaError(f"{path}: is damaged ({error}); {cure}") from error
    if index["of"] != qualified_name(folder):
        raise RosettaError(f"{folder}: is {index['of']} under another name; {cure}")
    for name, file in index["files"].items():
        _check_file(folder / name, file, cure=cure, max_checksum_bytes=max_checksum_bytes)
    return str(index["checksum"])


def _check_file(
    path: Path, expected: dict[str, Any], *, cure: str, max_checksum_bytes: int | None
) -> None:
    """Compare a file with its entry in an index; RosettaError if they differ."""
    try:
        size = path.stat().st_size
        if size != expected["bytes"]:
            raise RosettaError(f"{path}: has {size} bytes, not {expected['bytes']}; {cure}")
        small = max_checksum_bytes is None or size <= max_checksum_bytes
        if small and file_crc32c(path) != expected["crc32c"]:
            raise RosettaError(f"{path}: is damaged; {cure}")
    except FileNotFoundError as error:
        raise RosettaError(f"{path}: is missing; {cure}") from error
    except OSError as error:
        raise RosettaError(f"{path}: cannot be read ({error}); {cure}") from error


def file_crc32c(path: Path) -> str:
    """Return the CRC32C of a file, in hexadecimal."""
    checksum = google_crc32c.Checksum()
    with path.open("rb", buffering=0) as file:
        while part := file.read(BUFFER):
            checksum.update(part)
    return checksum.hexdigest().decode()


def sign(content: dict[str, Any]) -> str:
    """Return content as the text of a JSON file, with its checksum as the entry `checksum`."""
    signed = {**content, "checksum": _checksum(content)}
    return json.dumps(signed, indent=1, sort_keys=True) + "\n"


def verify_signature(text: str) -> dict[str, Any]:
    """Return the content of a text that `sign` wrote, with its checksum.

    Raises:
        ValueError: the text was changed since, or is not a JSON object.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    if content.get("checksum") != _checksum(content):
        raise ValueError("checksum does not match")
    return content


def _checksum(content: dict[str, Any]) -> str:
    """Return the CRC32C of the entries, any old checksum aside, in hexadecimal."""
    entries = {name: value for name, value in content.items() if name != "checksum"}
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    return f"{google_crc32c.value(text.encode()):08x}"


def qualified_name(path: Path) -> str:
    """Return the last two parts of a path, which tell an output from the others of its run."""
    return "/".join(path.absolute().parts[-2:])
