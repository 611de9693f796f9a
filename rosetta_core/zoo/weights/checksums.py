"""Checksums of files of weights, compared with the configuration or a record of the download."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path, file_sha256
from rosetta_core.zoo.weights.local import FileWeights, ShippedWeights
from rosetta_core.zoo.weights.shards import is_index, read_index
from rosetta_core.zoo.weights.sources import StoredWeights

__all__ = [
    "DownloadRecord",
    "read_record",
    "record_path",
    "verify_sha256",
    "verify_weights",
    "write_record",
]


@dataclass(frozen=True)
class DownloadRecord:
    """Record of a download, stored as JSON next to the file.

    Attributes:
        source: source in the configuration: a package, an address or a hub's name.
        address: address of the download; None for a file that was put there by hand.
        sha256: checksum in hexadecimal.
        bytes: size of the file.
        licence: licence of the weights, from the configuration or the hub.
        date: date of the download in UTC, YYYY-MM-DD.
    """

    source: str
    address: str | None
    sha256: str
    bytes: int
    licence: str | None
    date: str


def verify_sha256(path: Path, sha256: str, *, name: str) -> None:
    """Raise a RosettaError unless the checksum of a file is `sha256`, or starts with it."""
    _compare(
        path,
        sha256,
        name=name,
        said_by="the configuration",
        cure="delete the file to fetch it again, or correct the checksum",
    )


def verify_weights(path: Path, weights: StoredWeights) -> None:
    """Compare a file with the checksum of the configuration or else of its download record.

    A file with neither is accepted. The files that a fetched index names are compared with their
    own records.

    Raises:
        RosettaError: the file has another checksum, or its record cannot be read.
    """
    if not isinstance(weights, FileWeights | ShippedWeights) and is_index(path) and path.is_file():
        for shard in read_index(path):
            _compare_with_record(shard)
    if weights.sha256 and isinstance(weights, FileWeights | ShippedWeights):
        cure = (
            "give the right file, or correct the checksum"
            if isinstance(weights, FileWeights)
            else "remove sha256 to accept the installed version, or reinstall rosetta"
        )
        said_by = "the configuration"
        _compare(path, weights.sha256, name=str(path), said_by=said_by, cure=cure)
    elif weights.sha256:
        verify_sha256(path, weights.sha256, name=str(path))
    elif not isinstance(weights, FileWeights):
        _compare_with_record(path)


def read_record(path: Path) -> DownloadRecord | None:
    """Return the download record of a file; None if it has none.

    Raises:
        RosettaError: the record cannot be read.
    """
    record = record_path(path)
    try:
        return DownloadRecord(**json.loads(record.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise _unreadable(record, error) from error
    except (OSError, ValueError, TypeError) as error:
        raise RosettaError(
            f"{record}: cannot be read as a download record ({error}); delete it"
        ) from error


def write_record(path: Path, record: DownloadRecord) -> None:
    """Write the download record of a file next to it."""
    with atomic_path(record_path(path)) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def record_path(path: Path) -> Path:
    """Return the path of a file's download record, next to the file."""
    return path.with_name(f"{path.name}.json")


def _compare_with_record(path: Path) -> None:
    """Compare a file with the record of its download, if it has one."""
    if record := read_record(path):
        said_by = f"{record_path(path).name} next to it"
        cure = "delete both to fetch it again"
        _compare(path, record.sha256, name=str(path), said_by=said_by, cure=cure)


def _compare(path: Path, sha256: str, *, name: str, said_by: str, cure: str) -> None:
    try:
        actual = file_sha256(path)
    except PermissionError as error:
        raise _unreadable(path, error) from error
    if not actual.startswith(sha256):
        raise RosettaError(
            f"{name}: SHA-256 is {actual[:12]}…, but {said_by} has {sha256[:12]}…; {cure}"
        )


def _unreadable(path: Path, error: OSError) -> RosettaError:
    return RosettaError(
        f"{path}: cannot be read ({error.strerror}); let its owner share it (chmod a+r), or use "
        "another folder in resources"
    )
