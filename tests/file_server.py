"""A server of files on this machine, for tests of fetching.

serving   a server runs while a test does
Served    what it holds and does, which can be changed, and what it has sent
"""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import numpy as np

CONTENT = np.random.default_rng(0).bytes(3 * 2**20 + 17)
COMMIT = "0123456789" * 4


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Served:
    """What a server holds and does, and what it has sent.

    Attributes:
        content: of every file that is not among the next.
        files: contents of some files, by their names.
        ranges: whether it sends files from the middle on.
        heeds: whether it looks at If-Range.
        validator: header that names the version of a file, None if it names none.
        cuts: after how many bytes of a file's own it breaks each of the next answers off.
        statuses: that it answers with next, in place of files.
        pace: seconds that it takes for 64 KiB.
        answers: bytes of files handed over in each so far.
        paths: that were asked for.
        authorizations: that came with the questions for files.
        listed: what a repository says the checksum of its files is.
    """

    content: bytes = CONTENT
    files: dict[str, bytes] = field(default_factory=dict)
    ranges: bool = True
    heeds: bool = True
    validator: str | None = "ETag"
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    pace: float = 0.0
    answers: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    authorizations: set[str | None] = field(default_factory=set)
    listed: str | None = None
    address: str = ""

    @property
    def sent(self) -> int:
        return sum(self.answers)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "Server"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        served, path = self.server.served, urlsplit(self.path).path
        if "agent" in path:  # a question of Hugging Face's library's own
            return self.plain(404)
        if with_body:
            served.paths.append(path)
            served.authorizations.add(self.headers.get("Authorization"))
        name = path.rpartition("/")[2]
        if name not in served.files and ("nothing" in path or "model.safetensors" in path):
            return self.plain(404, {"X-Error-Code": "EntryNotFound"})
        if path.startswith("/moved/"):
            return self.plain(302, {"Location": "/" + path.removeprefix("/moved/")})
        if served.statuses and with_body:
            return self.plain(served.statuses.pop(0))
        content, begin = served.files.get(name, served.content), 0
        etag = f'"{digest(content)}"'
        asked = self.headers.get("Range")
        same = self.headers.get("If-Range", etag) == etag or not served.heeds
        if asked and served.ranges and same:
            begin = int(asked.removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(content) - begin))
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        if served.validator:
            self.send_header(served.validator, etag)
        if served.listed:
            self.send_header("X-Linked-Etag", f'"{served.listed}"')
        if path.endswith(".html"):
            self.send_header("Content-Type", "text/html")
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if with_body:
            end = served.cuts.pop(0) if served.cuts else len(content)
            number = len(served.answers)
            served.answers.append(0)
            while begin < end:
                block = content[begin : min(begin + 2**16, end)]
                begin += len(block)
                served.answers[number] += len(block)  # first: who has all of it may look at once
                self.wfile.write(block)
                time.sleep(served.pace)
            self.close_connection = end < len(content)
        return None

    def plain(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    served: Served

    def handle_error(self, *_: object) -> None:
        """A client that was killed is no error."""


@contextmanager
def serving() -> Iterator[Served]:
    """Run a server in a thread."""
    server = Server(("127.0.0.1", 0), Handler)
    server.served = Served(address=f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.served
    server.shutdown()
    server.server_close()
