"""File indices: names, sizes and checksums of a folder's files, in the folder, to detect damage.

A folder is opened only if its files match its index. Checksums are CRC32C, which processors compute
about as fast as they read: they detect damage and mistakes, not manipulation.
"""

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import google_crc32c

from rosetta_core.errors import RosettaError, one_line
from rosetta_core.io.regular_files import open_regular, read_regular
from rosetta_core.io.strict_json import parse_json

__all__ = [
    "INDEX_NAME",
    "SMALL_FILE",
    "SNAKEMAKE_TIMESTAMP",
    "FileIndex",
    "IndexedFile",
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
MAX_NAME = 1000  # characters of a name, with its folders
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


@dataclass(frozen=True)
class IndexedFile:
    """Entry of a file index: size and CRC32C, in hexadecimal, of a file."""

    bytes: int
    crc32c: str


@dataclass(frozen=True)
class FileIndex:
    """Content of a file index.

    Attributes:
        checksum: checksum of the index.
        files: files by path relative to the folder, with `/` between parts.
    """

    checksum: str
    files: Mapping[str, IndexedFile]


def check_file_index(
    folder: Path, *, cure: str, max_checksum_bytes: int | None = None
) -> FileIndex:
    """Compare the files of a folder with its index.

    Args:
        folder: folder with an index.
        cure: what to do if it is damaged, for error messages.
        max_checksum_bytes: size up to which the checksums of files are compared; of larger files
            only the size is. None: compare all checksums, and find files that are not listed.

    Returns:
        The index.

    Raises:
        RosettaError: the folder or its index is missing, the folder has another name than when it
            was written, or a file is missing, has changed, is not listed, or is not a regular file.
    """
    path = folder / INDEX_NAME
    try:
        content = verify_signature(read_regular(path).decode())
        files = _files(content)
    except FileNotFoundError as error:
        missing = path if folder.exists() else folder
        raise RosettaError(f"{missing}: is missing; {cure}") from error
    except (OSError, ValueError) as error:
        raise RosettaError(f"{path}: is damaged ({_reason(error)}); {cure}") from error
    if content["of"] != qualified_name(folder):
        name = content["of"][:80]
        raise RosettaError(f"{folder}: is {name!r} under another name; {cure}")
    _check_folders(folder, files, cure=cure)
    for name, file in files.items():
        _check_file(folder / name, file, cure=cure, max_checksum_bytes=max_checksum_bytes)
    if max_checksum_bytes is None:
        _check_listed(folder, files, cure=cure)
    return FileIndex(str(content["checksum"]), files)


def _files(content: dict[str, Any]) -> dict[str, IndexedFile]:
    """Return the files of an index; ValueError if `write_file_index` does not write such ones."""
    if content.keys() != {"files", "of", "checksum"} or not isinstance(content["of"], str):
        raise ValueError(f"has the keys {', '.join(content)[:80]}, not checksum, files, of")
    if not isinstance(content["files"], dict):
        raise ValueError("files: not a mapping of names")
    files = {}
    for name, entry in content["files"].items():
        if not _is_inside(name):
            raise ValueError(f"files: {name[:80]!r} is not the name of a file in the folder")
        match entry:
            case {"bytes": int(size), "crc32c": str(crc32c)} if len(entry) == 2 and size >= 0:
                files[name] = IndexedFile(size, crc32c)
            case _:
                raise ValueError(f"files: {name[:80]!r} has no size and checksum")
    return files


def _is_inside(name: str) -> bool:
    """Return whether a name is a relative path with plain parts."""
    parts = name.split("/") if len(name) < MAX_NAME else []
    plain = bool(parts) and all(
        part not in ("", ".", "..") and part.isprintable() for part in parts
    )
    return plain and "\\" not in name and name != INDEX_NAME


def _check_folders(folder: Path, files: Mapping[str, IndexedFile], *, cure: str) -> None:
    """Check that the folders of listed files are no links; missing ones are found later."""
    folders = {parent for name in files for parent in PurePosixPath(name).parents}
    for path in sorted(folder / name for name in folders):
        if path.is_symlink() and path != folder:
            raise RosettaError(f"{path}: is a link, not a folder; {cure}")


def _check_listed(folder: Path, files: Mapping[str, IndexedFile], *, cure: str) -> None:
    """Check that a folder has no other files than those listed."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        name = path.relative_to(folder).as_posix()
        if name not in files and path.name != SNAKEMAKE_TIMESTAMP and name != INDEX_NAME:
            raise RosettaError(f"{path}: is not listed in {INDEX_NAME}; {cure}")


def _check_file(
    path: Path, expected: IndexedFile, *, cure: str, max_checksum_bytes: int | None
) -> None:
    """Compare a file with its entry in an index; RosettaError if they differ."""
    try:
        status = path.lstat()
        size = status.st_size
        if stat.S_ISREG(status.st_mode) and size != expected.bytes:
            raise RosettaError(f"{path}: has {size} bytes, not {expected.bytes}; {cure}")
        small = max_checksum_bytes is None or size <= max_checksum_bytes
        compared = small or not stat.S_ISREG(status.st_mode)  # which is an OSError
        if compared and file_crc32c(path) != expected.crc32c:
            raise RosettaError(f"{path}: is damaged; {cure}")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise RosettaError(f"{path}: is missing; {cure}") from error
    except OSError as error:
        raise RosettaError(f"{path}: cannot be read ({_reason(error)}); {cure}") from error


def _reason(error: Exception) -> str:
    """Return an error without the path, which messages name."""
    return one_line((isinstance(error, OSError) and error.strerror) or error)


def file_crc32c(path: Path) -> str:
    """Return the CRC32C of a file, in hexadecimal."""
    checksum = google_crc32c.Checksum()
    with open_regular(path) as file:
        while part := file.read(BUFFER):
            checksum.update(part)
    return checksum.hexdigest().decode()


def sign(content: dict[str, Any]) -> str:
    """Return content as the text of a JSON file, with its checksum as the entry `checksum`."""
    return _signed({**content, "checksum": _checksum(content)})


def _signed(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def verify_signature(text: str) -> dict[str, Any]:
    """Return the content of a text that `sign` wrote, with its checksum.

    Raises:
        ValueError: a byte of the text was changed since, or it is not a JSON object.
    """
    content = parse_json(text)
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    if content.get("checksum") != _checksum(content):
        raise ValueError("checksum does not match")
    if _signed(content) != text:  # the same values, written otherwise
        raise ValueError("layout does not match")
    return content


def _checksum(content: dict[str, Any]) -> str:
    """Return the CRC32C of the entries, any old checksum aside, in hexadecimal."""
    entries = {name: value for name, value in content.items() if name != "checksum"}
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"))
    return f"{google_crc32c.value(text.encode()):08x}"


def qualified_name(path: Path) -> str:
    """Return the last two parts of a path, which tell an output from the others of its run."""
    return "/".join(path.absolute().parts[-2:])
