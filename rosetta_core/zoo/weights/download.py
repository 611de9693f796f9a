"""Downloads that retry, and resume where an earlier attempt stopped."""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rosetta_core import __version__
from rosetta_core.io.atomic import atomic_path
from rosetta_core.runtime.progress import Progress, log

__all__ = ["UnreachableError", "download"]

WAITS = (1.0, 4.0, 15.0)  # seconds before each retry without progress
TIMEOUT = 60.0  # seconds without a byte
BLOCK = 2**20  # bytes
TRANSIENT = (408, 416, 425, 429, 500, 502, 503, 504)  # HTTP statuses that are retried


class UnreachableError(Exception):
    """A file cannot be downloaded.

    Args:
        address: address of the file, or of the archive that holds it.
        reason: reason of the failure.
        file: description of the file to download by hand.
    """

    def __init__(self, address: str, reason: str, *, file: str = "that file") -> None:
        super().__init__(f"{address}: {reason}")
        self.address, self.reason, self.file = address, reason, file


class _InterruptedError(Exception):
    """An attempt ended early; a retry may succeed."""


@dataclass(frozen=True)
class _Version:
    """Version of a file on a server.

    Attributes:
        address: address of the file.
        etag: ETag header.
        modified: Last-Modified header.
        bytes: size of the file, if the server states it.
    """

    address: str
    etag: str | None
    modified: str | None
    bytes: int | None

    @property
    def condition(self) -> str | None:
        """Value of If-Range: a strong validator (RFC 9110, 13.1.5)."""
        strong = self.etag if self.etag and not self.etag.startswith("W/") else None
        return strong or self.modified


def download(address: str, part: Path, *, authorization: str | None = None) -> None:
    """Download a file to `part`, resuming a partial download.

    The version of a partial file is stored next to it (`.json`, removed at the end). The download
    restarts if the version has changed, or if the server states neither ETag nor date. Interrupted
    attempts are retried until three in a row make no progress.

    Args:
        address: address of the file.
        part: file to write.
        authorization: value of the Authorization header, which is not sent to redirects.

    Raises:
        UnreachableError: the address cannot be reached, or has no such file.
    """
    failures, reached = 0, False
    while True:
        before = _size(part)
        try:
            if _attempt(address, part, authorization):
                _version_file(part).unlink(missing_ok=True)
                return
            reason = "the connection was lost"
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code not in TRANSIENT:
                raise UnreachableError(address, reason) from None
        except urllib.error.URLError as error:
            if not reached:
                raise UnreachableError(address, str(error.reason)) from None
            reason = str(error.reason)
        except _InterruptedError as error:
            reason = str(error)
        reached = True
        if _size(part) > before:
            failures = 0
        if failures == len(WAITS):
            raise UnreachableError(address, f"{reason}, after {failures + 1} tries") from None
        log.info("%s: %s; retrying in %.0f s", address, reason, WAITS[failures])
        time.sleep(WAITS[failures])
        failures += 1


def _attempt(address: str, part: Path, authorization: str | None) -> bool:
    """Request the missing part of a file once; return whether the file is complete."""
    known = _known(address, part)
    start = _size(part) if known else 0
    if known and start == known.bytes:
        return True
    headers = {"User-Agent": f"rosetta/{__version__}", "Accept-Encoding": "identity"}
    if known and start and known.condition:
        headers |= {"Range": f"bytes={start}-", "If-Range": known.condition}
    else:
        start = 0
    request = urllib.request.Request(address, headers=headers)
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
        raise
    except urllib.error.URLError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _InterruptedError(_message(error)) from error
    with response:
        version = _version(address, response.headers)
        if response.status != http.client.PARTIAL_CONTENT:
            if response.headers.get_content_type() == "text/html":
                raise UnreachableError(address, "it is a web page, not a file")
            start = 0
            part.unlink(missing_ok=True)
            with atomic_path(_version_file(part)) as temporary:
                temporary.write_text(json.dumps(asdict(version)), encoding="utf-8")
        elif version != known or _first_byte(response.headers) != start:
            part.unlink()
            raise _InterruptedError("the file has changed")
        return _receive(response, part, start=start, total=version.bytes)


def _receive(
    response: http.client.HTTPResponse, part: Path, *, start: int, total: int | None
) -> bool:
    """Append a response to a file of `start` bytes; return whether the file is complete."""
    name = part.name.removeprefix(".").removesuffix(".part")
    size = start
    if start:
        log.info("%s: resuming at %.1f MiB", name, start / 2**20)
    with (
        part.open("ab") as file,
        Progress(name, total=-(-(total or 0) // BLOCK), unit="MiB") as progress,
    ):
        progress.advance(size // BLOCK)
        while True:
            try:
                block = response.read1(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise _InterruptedError(_message(error)) from error
            if not block:
                break
            file.write(block)
            size += len(block)
            progress.advance(size // BLOCK - progress.done)
        progress.advance(progress.total - progress.done if size == total else 0)
    # where locks do not work, as on some network file systems, another process may write too
    return total is None or total == size == _size(part)


def _known(address: str, part: Path) -> _Version | None:
    """Return the version of a partial file, if it was downloaded from this address."""
    try:
        known = _Version(**json.loads(_version_file(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return known if known.address == address and part.is_file() else None


def _version(address: str, headers: Mapping[str, Any]) -> _Version:
    """Return the version of the file in a response."""
    length = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length")
    size = int(length) if length and length.isdecimal() else None
    return _Version(address, headers.get("ETag"), headers.get("Last-Modified"), size)


def _first_byte(headers: Mapping[str, Any]) -> int:
    """Return the first byte of a partial response, `bytes 100-199/200`; -1 if not stated."""
    start = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdecimal() else -1


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _message(error: Exception) -> str:
    """Return the message of an error, or its type if it has none."""
    return str(error) or type(error).__name__
