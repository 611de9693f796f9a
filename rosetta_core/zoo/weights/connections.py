"""HTTP requests with limits: schemes, redirects, and the time until an answer.

Only http and https are followed, never from https to http, and at most five redirects. The
Authorization header is sent to the first address alone. Proxies are those of the environment.
"""

import http.client
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Event, Timer
from typing import Any
from urllib.parse import urlsplit

__all__ = ["RefusedError", "open_address"]

TIMEOUT = 60.0  # seconds without a byte
ANSWER_TIME = 120.0  # seconds until the head of an answer is complete
MAX_REDIRECTS = 5
SCHEMES = ("http", "https")


class RefusedError(Exception):
    """An answer that is not accepted, whatever the number of attempts."""


def open_address(
    address: str, headers: Mapping[str, str], *, authorization: str | None
) -> http.client.HTTPResponse:
    """Send a GET request.

    Args:
        address: http or https address.
        headers: headers of the request, sent to redirects too.
        authorization: value of the Authorization header, which is not sent to redirects.

    Returns:
        The response, whose body is not read yet.

    Raises:
        RefusedError: a redirect leads where it may not.
        urllib.error.HTTPError: the status is not 2xx.
        OSError, http.client.HTTPException: the request failed.
    """
    _check_scheme(address, before=address)
    request = urllib.request.Request(address, headers=dict(headers))
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    opener = urllib.request.OpenerDirector()  # without handlers of ftp, file and data
    for handler in (
        *(urllib.request.ProxyHandler(), urllib.request.UnknownHandler(), _Http(), _Https()),
        *(urllib.request.HTTPDefaultErrorHandler(), _Redirects()),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    response: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT)
    return response


def _check_scheme(address: str, *, before: str) -> None:
    scheme = urlsplit(address).scheme.lower()
    if scheme not in SCHEMES:
        raise RefusedError(f"it leads to {address[:200]}, which is neither http nor https")
    if urlsplit(before).scheme.lower() == "https" and scheme == "http":
        raise RefusedError(f"it leads from https to {address[:200]}, which is not encrypted")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects that are checked at every hop."""

    max_repeats = 2
    max_redirections = MAX_REDIRECTS

    def http_error_302(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any
    ) -> Any:
        """Follow a redirect."""
        target = headers.get("Location") or headers.get("URI") or ""
        if urlsplit(target).scheme:
            _check_scheme(target, before=req.full_url)
        if len(getattr(req, "redirect_dict", ())) >= MAX_REDIRECTS:
            raise RefusedError(f"it leads through more than {MAX_REDIRECTS} redirects")
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


class _Deadline(http.client.HTTPConnection):
    """Connection that is closed if the head of the answer takes too long, byte by byte."""

    def getresponse(self) -> http.client.HTTPResponse:
        with _closed_after(self.sock, ANSWER_TIME):
            return super().getresponse()


class _SecureDeadline(http.client.HTTPSConnection):
    def getresponse(self) -> http.client.HTTPResponse:
        with _closed_after(self.sock, ANSWER_TIME):
            return super().getresponse()


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Deadline, req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_SecureDeadline, req)


@contextmanager
def _closed_after(connection: socket.socket, seconds: float) -> Iterator[None]:
    """Shut a connection down, and raise a TimeoutError, if the block takes longer."""
    expired = Event()

    def expire() -> None:
        expired.set()
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    timer = Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        if expired.is_set():
            raise TimeoutError(f"no answer within {seconds:.0f} s") from error
        raise
    finally:
        timer.cancel()
    if expired.is_set():
        raise TimeoutError(f"no answer within {seconds:.0f} s")
