"""Downloads that retry, resume where an earlier attempt stopped, and have limits.

The size of a file, its time and its slowest rate are limited; texts of the server are shortened and
escaped.
"""

import errno
import http.client
import json
import shutil
import time
import urllib.error
from dataclasses import asdict, dataclass
from pathlib import Path

from rosetta_core import __version__
from rosetta_core.errors import one_line
from rosetta_core.io.atomic import atomic_path
from rosetta_core.runtime.progress import Progress, log
from rosetta_core.zoo.weights.connections import RefusedError, open_address

__all__ = ["MAX_BYTES", "UnreachableError", "download"]

WAITS = (1.0, 4.0, 15.0)  # seconds before each retry without progress
MAX_BYTES = 16 * 2**30  # of a file whose size is not configured
MAX_SECONDS = 24 * 3600.0  # of a download with all its attempts
MIN_RATE = 4096.0  # bytes per second, over RATE_SECONDS
RATE_SECONDS = 120.0
MIN_PROGRESS = 2**16  # bytes of an attempt after which failures are counted from zero
MAX_REASON = 200  # characters of a reason from outside
BLOCK = 2**20  # bytes
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
TRANSIENT = (408, 416, 425, 429, 500, 502, 503, 504)  # HTTP statuses that are retried


class UnreachableError(Exception):
    """A file cannot be downloaded.

    Args:
        address: address of the file, or of the archive that holds it.
        reason: reason of the failure.
        file: description of the file to download by hand.
    """

    def __init__(self, address: str, reason: str, *, file: str = "that file") -> None:
        text = one_line(reason if len(reason) <= MAX_REASON else f"{reason[:MAX_REASON]}…")
        super().__init__(f"{address}: {text}")
        self.address, self.reason, self.file = address, text, file


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


def download(
    address: str,
    part: Path,
    *,
    authorization: str | None = None,
    max_bytes: int = MAX_BYTES,
    expected: int | None = None,
) -> None:
    """Download a file to `part`, resuming a partial download.

    The version of a partial file is stored next to it (`.json`, removed at the end). The download
    restarts if the version has changed, or if the server states neither ETag nor date. Interrupted
    attempts are retried until three in a row make no progress. A partial file that is too large, of
    another size than expected, or does not fit on the disk, is deleted.

    Args:
        address: address of the file.
        part: file to write.
        authorization: value of the Authorization header, which is not sent to redirects.
        max_bytes: largest size of the file, if it is not known.
        expected: size of the file, if it is known.

    Raises:
        UnreachableError: the address cannot be reached, has no such file, or one that exceeds a
            limit.
        OSError: the file cannot be written.
    """
    failures, reached = 0, False
    limits = _Limits(expected, max_bytes, ends=time.monotonic() + MAX_SECONDS)
    while True:
        before = _size(part)
        try:
            reason = _try(address, part, authorization, limits, reached=reached)
        except OSError as error:
            if error.errno in DISK_FULL:
                _delete(part)
            raise
        if reason is None:
            _version_file(part).unlink(missing_ok=True)
            return
        reached = True
        if _size(part) - before >= MIN_PROGRESS:
            failures = 0
        if failures == len(WAITS):
            raise UnreachableError(address, f"{reason}, after {failures + 1} tries")
        if time.monotonic() > limits.ends:
            raise UnreachableError(address, f"{reason}, after {MAX_SECONDS / 3600:.0f} hours")
        log.info("%s: %s; retrying in %.0f s", address, reason[:MAX_REASON], WAITS[failures])
        time.sleep(WAITS[failures])
        failures += 1


def _try(
    address: str, part: Path, authorization: str | None, limits: "_Limits", *, reached: bool
) -> str | None:
    """Request the missing part of a file once; return why a retry is needed, or None.

    Args:
        address: address of the file.
        part: partial file.
        authorization: value of the Authorization header.
        limits: limits of the download.
        reached: whether the server answered before, so that no connection is a passing failure.
    """
    try:
        return None if _attempt(address, part, authorization, limits) else "the connection was lost"
    except RefusedError as error:
        _delete(part)
        raise UnreachableError(address, str(error)) from None
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
    return reason


def _attempt(address: str, part: Path, authorization: str | None, limits: "_Limits") -> bool:
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
    try:
        response = open_address(address, headers, authorization=authorization)
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
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise RefusedError(f"the server sends it compressed ({encoding[:40]})")
        limits.check_size(version.bytes)
        if response.status != http.client.PARTIAL_CONTENT:
            if response.headers.get_content_type() == "text/html":
                raise UnreachableError(address, "it is a web page, not a file")
            start = 0
            part.unlink(missing_ok=True)
            with atomic_path(_version_file(part)) as temporary:
                temporary.write_text(json.dumps(asdict(version)), encoding="utf-8")
        elif version != known or _first_byte(response.headers) != start:
            part.unlink(missing_ok=True)
            raise _InterruptedError("the file has changed")
        return _receive(response, part, limits, start=start, total=version.bytes)


def _receive(
    response: http.client.HTTPResponse,
    part: Path,
    limits: "_Limits",
    *,
    start: int,
    total: int | None,
) -> bool:
    """Append a response to a file of `start` bytes; return whether the file is complete."""
    name = part.name.removeprefix(".").removesuffix(".part")
    size = start
    missing = (total or 0) - start
    if missing > shutil.disk_usage(part.parent).free:
        raise OSError(errno.ENOSPC, f"{missing / 2**30:.1f} GiB are missing", str(part))
    if start:
        log.info("%s: resuming at %.1f MiB", name, start / 2**20)
    with (
        part.open("ab") as file,
        Progress(name, total=-(-(total or 0) // BLOCK), unit="MiB") as progress,
    ):
        progress.advance(size // BLOCK)
        window, before = time.monotonic(), size
        while True:
            try:
                block = response.read1(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise _InterruptedError(_message(error)) from error
            if not block:
                break
            file.write(block)
            size += len(block)
            limits.check_received(size)
            if (now := time.monotonic()) > window + RATE_SECONDS:
                if size - before < MIN_RATE * (now - window):
                    raise _InterruptedError(f"less than {MIN_RATE / 1024:.0f} KiB per second")
                window, before = now, size
            if now > limits.ends:
                raise _InterruptedError("too slow")
            progress.advance(size // BLOCK - progress.done)
        progress.advance(progress.total - progress.done if size == total else 0)
    # where locks do not work, as on some network file systems, another process may write too
    return total == size == _size(part) or (total is None and size > 0)


@dataclass(frozen=True)
class _Limits:
    """Limits of a download: its size, if known, else the largest; and when it must have ended."""

    expected: int | None
    largest: int
    ends: float

    def check_size(self, stated: int | None) -> None:
        """Refuse a stated size that is not the expected one, or too large."""
        if stated is None:
            return
        if self.expected is not None and stated != self.expected:
            raise RefusedError(f"it has {stated:,} bytes, but {self.expected:,} are expected")
        if self.expected is None:
            self.check_received(stated)

    def check_received(self, size: int) -> None:
        """Refuse a body that is larger than it may be."""
        if self.expected is not None and size > self.expected:
            raise RefusedError(f"it has more than the expected {self.expected:,} bytes")
        if self.expected is None and size > self.largest:
            limit = f"{self.largest / 2**30:.4g} GiB"
            raise RefusedError(f"it has more than {limit}; raise max_size of the weights")


def _delete(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _known(address: str, part: Path) -> _Version | None:
    """Return the version of a partial file, if it was downloaded from this address."""
    try:
        known = _Version(**json.loads(_version_file(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return known if known.address == address and part.is_file() else None


def _version(address: str, headers: http.client.HTTPMessage) -> _Version:
    """Return the version of the file in a response."""
    length = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length")
    size = int(length) if length and length.isdecimal() else None
    return _Version(address, headers.get("ETag"), headers.get("Last-Modified"), size)


def _first_byte(headers: http.client.HTTPMessage) -> int:
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
