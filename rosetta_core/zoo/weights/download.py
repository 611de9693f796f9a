"""Files are downloaded in as many goes as it takes.

download            a file at an address; goes on from what is there of it
UnreachableError    a file that can't be fetched: its address, and why
"""

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

WAITS = (1.0, 4.0, 15.0)  # seconds before the next go, while nothing comes
PATIENCE = 60.0  # seconds without a byte
BLOCK = 2**20
PASSING = (408, 416, 425, 429, 500, 502, 503, 504)  # answers that may be others in a while


class UnreachableError(Exception):
    """A file that can't be fetched.

    Args:
        address: of the file, or of what it is in.
        reason: why not.
        file: what to fetch by hand there.
    """

    def __init__(self, address: str, reason: str, *, file: str = "that file") -> None:
        super().__init__(f"{address}: {reason}")
        self.address, self.reason, self.file = address, reason, file


class _BrokenError(Exception):
    """A go that ended early; the next one may get further."""


@dataclass(frozen=True)
class _Version:
    """Which file a server sent the beginning of.

    Attributes:
        address: of the file.
        etag: what the server calls this version of it.
        modified: when it was changed, in the server's words.
        bytes: how long it is, if the server says so.
    """

    address: str
    etag: str | None
    modified: str | None
    bytes: int | None

    @property
    def condition(self) -> str | None:
        """What If-Range takes: a strong validator (RFC 9110, 13.1.5)."""
        strong = self.etag if self.etag and not self.etag.startswith("W/") else None
        return strong or self.modified


def download(address: str, part: Path, *, authorization: str | None = None) -> None:
    """Download a file to `part`, going on from what an earlier call left there.

    Beside it lies which version of the file it is the beginning of (`.json`, removed at the end):
    of another one, or of one that the server gives no name or date, all of it is fetched again.
    A go that breaks off is followed by others, until three in a row brought nothing.

    Args:
        address: of the file.
        part: where to.
        authorization: what the header of that name says; it goes to this address, and not to
            those that it leads on to.

    Raises:
        UnreachableError: the address can't be reached, or has no such file.
    """
    failures, reached = 0, False
    while True:
        before = _size(part)
        try:
            if _go_on(address, part, authorization):
                _beside(part).unlink(missing_ok=True)
                return
            reason = "the connection broke off"
        except urllib.error.HTTPError as error:
            reason = f"HTTP {error.code} {error.reason}"
            if error.code not in PASSING:
                raise UnreachableError(address, reason) from None
        except urllib.error.URLError as error:
            if not reached:
                raise UnreachableError(address, str(error.reason)) from None
            reason = str(error.reason)
        except _BrokenError as error:
            reason = str(error)
        reached = True
        if _size(part) > before:
            failures = 0
        if failures == len(WAITS):
            raise UnreachableError(address, f"{reason}, after {failures + 1} tries") from None
        log.info("%s: %s; once more in %.0f s", address, reason, WAITS[failures])
        time.sleep(WAITS[failures])
        failures += 1


def _go_on(address: str, part: Path, authorization: str | None) -> bool:
    """Ask once for what is missing of a file; return whether it is whole now."""
    known = _known(address, part)
    there = _size(part) if known else 0
    if known and there == known.bytes:
        return True
    headers = {"User-Agent": f"rosetta/{__version__}", "Accept-Encoding": "identity"}
    if known and there and known.condition:
        headers |= {"Range": f"bytes={there}-", "If-Range": known.condition}
    else:
        there = 0
    request = urllib.request.Request(address, headers=headers)
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    try:
        response = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink(missing_ok=True)
        raise
    except urllib.error.URLError:
        raise
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenError(_said(error)) from error
    with response:
        found = _version(address, response.headers)
        if response.status != http.client.PARTIAL_CONTENT:
            if response.headers.get_content_type() == "text/html":
                raise UnreachableError(address, "a web page is there, no file")
            there = 0
            part.unlink(missing_ok=True)
            with atomic_path(_beside(part)) as temporary:
                temporary.write_text(json.dumps(asdict(found)), encoding="utf-8")
        elif found != known or _begin(response.headers) != there:
            part.unlink()
            raise _BrokenError("another file is there by now")
        return _receive(response, part, there=there, total=found.bytes)


def _receive(
    response: http.client.HTTPResponse, part: Path, *, there: int, total: int | None
) -> bool:
    """Append what comes to a file of `there` bytes; return whether it has all of them."""
    name = part.name.removeprefix(".").removesuffix(".part")
    if there:
        log.info("%s: going on from %.1f MiB", name, there / 2**20)
    with (
        part.open("ab") as file,
        Progress(name, total=-(-(total or 0) // BLOCK), unit="MiB") as progress,
    ):
        progress.advance(there // BLOCK)
        while True:
            try:
                block = response.read1(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise _BrokenError(_said(error)) from error
            if not block:
                break
            file.write(block)
            there += len(block)
            progress.advance(there // BLOCK - progress.done)
        progress.advance(progress.total - progress.done if there == total else 0)
    # another process that didn't heed the lock, as on some network file systems, makes it longer
    return total is None or total == there == _size(part)


def _known(address: str, part: Path) -> _Version | None:
    """Which file `part` is the beginning of, if it is one of this address."""
    try:
        known = _Version(**json.loads(_beside(part).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return known if known.address == address and part.is_file() else None


def _version(address: str, headers: Mapping[str, Any]) -> _Version:
    """Which file an answer is of."""
    length = headers.get("Content-Range", "").rpartition("/")[2] or headers.get("Content-Length")
    size = int(length) if length and length.isdecimal() else None
    return _Version(address, headers.get("ETag"), headers.get("Last-Modified"), size)


def _begin(headers: Mapping[str, Any]) -> int:
    """The first byte of an answer in parts: `bytes 100-199/200`; -1 if it doesn't say."""
    begin = headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(begin) if begin.isdecimal() else -1


def _beside(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _said(error: Exception) -> str:
    """An error's message, or its kind if it has none."""
    return str(error) or type(error).__name__
