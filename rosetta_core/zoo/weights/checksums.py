"""Files of weights are what they were when they were fetched.

verify_sha256            RosettaError if a file has another checksum
verify_weights    the same of a file of weights: by its configuration, or else by its record
DownloadRecord            what is written down of a fetched file
read_record       of a file, if it has one
write_record      beside a file
record_path         where that is
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path, file_sha256
from rosetta_core.zoo.weights.sources import FileWeights, ShippedWeights, StoredWeights

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
    """What is written down of a fetched file, as JSON beside it.

    Attributes:
        source: what the configuration says of where it comes from.
        address: that it came from; None for a file that was put there by hand.
        sha256: its checksum, in hexadecimal.
        bytes: its size.
        licence: of the weights, as the configuration or else the hub says.
        date: when it was fetched, YYYY-MM-DD in UTC.
    """

    source: str
    address: str | None
    sha256: str
    bytes: int
    licence: str | None
    date: str


def verify_sha256(path: Path, sha256: str, *, name: str) -> None:
    """RosettaError unless the checksum of a file is `sha256`, or begins so."""
    _compare(
        path,
        sha256,
        name=name,
        said_by="the configuration",
        cure="delete the file to fetch it again, or correct the checksum",
    )


def verify_weights(path: Path, weights: StoredWeights) -> None:
    """Check that a file is what the configuration says or else, if fetched, what its record says.

    A file without either is taken as it is.

    Raises:
        RosettaError: the file was changed, or its record can't be read.
    """
    if weights.sha256 and isinstance(weights, FileWeights | ShippedWeights):
        cure = (
            "give the right file, or correct the checksum"
            if isinstance(weights, FileWeights)
            else "leave the checksum out to take this version's; if it persists, install it again"
        )
        said_by = "the configuration"
        _compare(path, weights.sha256, name=str(path), said_by=said_by, cure=cure)
    elif weights.sha256:
        verify_sha256(path, weights.sha256, name=str(path))
    elif not isinstance(weights, FileWeights) and (record := read_record(path)):
        said_by = f"{record_path(path).name} beside it"
        cure = "delete both to fetch it again"
        _compare(path, record.sha256, name=str(path), said_by=said_by, cure=cure)


def read_record(path: Path) -> DownloadRecord | None:
    """Read the record of a file, None if it has none; RosettaError if it can't be read."""
    record = record_path(path)
    try:
        return DownloadRecord(**json.loads(record.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except PermissionError as error:
        raise _of_another(record, error) from error
    except (OSError, ValueError, TypeError) as error:
        raise RosettaError(
            f"{record}: can't be read as the record of a fetched file ({error}); delete it"
        ) from error


def write_record(path: Path, record: DownloadRecord) -> None:
    """Write the record of a file beside it."""
    with atomic_path(record_path(path)) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")


def record_path(path: Path) -> Path:
    """Where the record of a file lies: beside it."""
    return path.with_name(f"{path.name}.json")


def _compare(path: Path, sha256: str, *, name: str, said_by: str, cure: str) -> None:
    try:
        found = file_sha256(path)
    except PermissionError as error:
        raise _of_another(path, error) from error
    if not found.startswith(sha256):
        raise RosettaError(
            f"{name}: SHA-256 is {found[:12]}…, {said_by} says {sha256[:12]}…; {cure}"
        )


def _of_another(path: Path, error: OSError) -> RosettaError:
    return RosettaError(
        f"{path}: can't be read ({error.strerror}); let its owner share it (chmod a+r), or choose "
        "another folder `resources`"
    )
