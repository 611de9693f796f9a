"""What a folder of a run holds, written down in it, so that damage is found when it is opened.

write_contents    list the files of a folder, their sizes and checksums, in the folder
check_contents    RosettaError if the folder is another's, or a file is missing or was changed
checksum_of       the checksum of a file
name_of           what tells a store, a table or the folder of a job from the others of a run
seal              content of a JSON file with its own checksum
unseal            read it; ValueError if it was changed
CONTENTS          the name of the list

Checksums are crc32c, which processors compute as fast as they read: they are against damage and
mistakes, not against people who mean harm.
"""

import json
from pathlib import Path
from typing import Any

import google_crc32c

from rosetta_core.errors import RosettaError

__all__ = [
    "CONTENTS",
    "SMALL",
    "check_contents",
    "checksum_of",
    "name_of",
    "sign",
    "verify_signature",
    "write_contents",
]

CONTENTS = "contents.json"
STAMP = ".snakemake_timestamp"  # Snakemake puts it into every folder that a rule puts out
SMALL = 64 * 2**10  # bytes of files that are read whenever a store is opened, as metadata are
PIECE = 2**20  # bytes read at once


def write_contents(folder: Path, *, of: Path) -> str:
    """List a folder's files in it, as its last file; return the list's own checksum.

    Args:
        folder: with all its files.
        of: the path that it will have.
    """
    files = {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "crc32c": checksum_of(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (STAMP, CONTENTS)
    }
    text = sign({"files": files, "of": name_of(of)})
    (folder / CONTENTS).write_text(text, encoding="utf-8")
    return str(json.loads(text)["checksum"])


def check_contents(
    folder: Path,
    *,
    cure: str,
    largest: int | None = None,
) -> str:
    """Check that a folder holds what is listed in it; return the list's own checksum.

    Args:
        folder: that `write_contents` was given.
        cure: what to do if it is damaged, as errors say.
        largest: bytes of files whose checksum is computed; of larger ones only the size is
            compared. None for all.

    Raises:
        RosettaError: there is no such folder, or its list, or it is another's, or a file is
            missing or was changed.
    """
    path = folder / CONTENTS
    try:
        listed = verify_signature(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        lost = path if folder.exists() else folder
        raise RosettaError(f"{lost}: is missing; {cure}") from error
    except (OSError, ValueError) as error:
        raise RosettaError(f"{path}: is damaged ({error}); {cure}") from error
    if listed["of"] != name_of(folder):
        raise RosettaError(f"{folder}: is {listed['of']} under another name; {cure}")
    for name, file in listed["files"].items():
        try:
            size = (folder / name).stat().st_size
            if size != file["bytes"]:
                raise RosettaError(
                    f"{folder / name}: has {size} bytes, not {file['bytes']}; {cure}"
                )
            small = largest is None or size <= largest
            if small and checksum_of(folder / name) != file["crc32c"]:
                raise RosettaError(f"{folder / name}: is damaged; {cure}")
        except FileNotFoundError as error:
            raise RosettaError(f"{folder / name}: is missing; {cure}") from error
        except OSError as error:
            raise RosettaError(f"{folder / name}: can't be read ({error}); {cure}") from error
    return str(listed["checksum"])


def checksum_of(path: Path) -> str:
    """The crc32c of a file, in hexadecimal."""
    found = google_crc32c.Checksum()
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            found.update(piece)
    return found.hexdigest().decode()


def sign(content: dict[str, Any]) -> str:
    """Return content as the text of a JSON file, with its own checksum in place of any it has."""
    sealed = {**content, "checksum": _checksum(content)}
    return json.dumps(sealed, indent=1, sort_keys=True) + "\n"


def verify_signature(text: str) -> dict[str, Any]:
    """Return what `seal` was given, with the checksum; ValueError if the text was changed since."""
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it holds no names")
    if content.get("checksum") != _checksum(content):
        raise ValueError("it fails its checksum")
    return content


def _checksum(content: dict[str, Any]) -> str:
    inside = {name: value for name, value in content.items() if name != "checksum"}
    text = json.dumps(inside, sort_keys=True, separators=(",", ":"))
    return f"{google_crc32c.value(text.encode()):08x}"


def name_of(path: Path) -> str:
    """What tells a piece from the others of a run: its name and that of the folder around it."""
    return "/".join(path.absolute().parts[-2:])
