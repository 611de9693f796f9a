"""Signatures of runs, made and verified as the program minisign does."""

import json
import shutil
import subprocess
from pathlib import Path

import minisign
import pytest
from checkout import ROOT
from signing_keys import write_keys

from rosetta_core.errors import RosettaError
from rosetta_core.runs.provenance.digests import (
    PROVENANCE,
    SIGNATURE,
    check_digests,
    digest,
    unlisted_files,
)
from rosetta_core.runs.provenance.signatures import (
    check_signature,
    read_public_key,
    read_secret_key,
    sign_provenance,
)

GOLDENS = ROOT / "tests" / "goldens" / "minisign"


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    """A secret and a public key, without password."""
    return write_keys(tmp_path / "key")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder with files, and a provenance that lists them."""
    run = tmp_path / "run"
    for name in ("config.yaml", "tables/a.parquet", "samples/0.zarr/c/0/0", "samples/0.zarr/ü x"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    listed = {name: digest(run / name) for name in ("config.yaml", "tables/a.parquet")}
    listed["samples/0.zarr"] = digest(run / "samples/0.zarr")
    (run / PROVENANCE).write_text(json.dumps({"artifacts": listed}))
    return run


def listed(run: Path) -> dict[str, str]:
    return json.loads((run / PROVENANCE).read_text())["artifacts"]


def test_a_signature_of_the_program_is_valid() -> None:
    comment = check_signature(GOLDENS, read_public_key(GOLDENS / "key.pub"))
    assert comment == "timestamp:1796110000 file:provenance.json hashed"


def test_what_is_signed_is_valid_for_its_key_only(run: Path, keys, tmp_path: Path) -> None:
    secret, public = keys
    assert sign_provenance(run, read_secret_key(secret)) == run / SIGNATURE
    assert f"file:{PROVENANCE}" in check_signature(run, read_public_key(public))
    _, other = write_keys(tmp_path / "other")
    with pytest.raises(RosettaError, match="was made with another key; do not trust"):
        check_signature(run, read_public_key(other))


@pytest.mark.skipif(not shutil.which("minisign"), reason="minisign is not installed")
def test_the_program_verifies_what_is_signed_here(run: Path, keys) -> None:
    secret, public = keys
    sign_provenance(run, read_secret_key(secret))
    command = ["minisign", "-V", "-p", public, "-m", PROVENANCE]
    assert subprocess.run(command, cwd=run, capture_output=True, check=False).returncode == 0
    (run / PROVENANCE).write_text("{}")
    assert subprocess.run(command, cwd=run, capture_output=True, check=False).returncode != 0


def forge(run: Path, change) -> None:
    lines = (run / SIGNATURE).read_text().splitlines()
    change(lines)
    (run / SIGNATURE).write_text("\n".join(lines) + "\n")


STALE = {
    "provenance was changed": lambda run: (run / PROVENANCE).write_text("{}"),
    "a byte was appended": lambda run: (run / PROVENANCE).write_bytes(
        (run / PROVENANCE).read_bytes() + b" "
    ),
    "trusted comment was changed": lambda run: forge(
        run, lambda lines: lines.__setitem__(2, "trusted comment: timestamp:0")
    ),
    "signature was removed": lambda run: (run / SIGNATURE).unlink(),
    "signature is empty": lambda run: (run / SIGNATURE).write_text(""),
    "signature is binary": lambda run: (run / SIGNATURE).write_bytes(b"\xff" * 99),
    "signature is long": lambda run: (run / SIGNATURE).write_bytes(b"x" * 10**6),
    "signature is a link": lambda run: (
        (run / SIGNATURE).unlink(),
        (run / SIGNATURE).symlink_to(GOLDENS / SIGNATURE),
    ),
    "signature of another file": lambda run: shutil.copy(GOLDENS / SIGNATURE, run / SIGNATURE),
    "signature was cut": lambda run: forge(run, lambda lines: lines.pop()),
    "comment in colours": lambda run: forge(
        run, lambda lines: lines.__setitem__(2, "trusted comment: \x1b[31m")
    ),
    "provenance was removed": lambda run: (run / PROVENANCE).unlink(),
    "provenance is a link": lambda run: (
        (run / PROVENANCE).rename(run / "x"),
        (run / PROVENANCE).symlink_to("x"),
    ),
}


@pytest.mark.parametrize("attack", STALE.values(), ids=STALE.keys())
def test_changed_and_missing_signatures(run: Path, keys, attack) -> None:
    secret, public = keys
    sign_provenance(run, read_secret_key(secret))
    attack(run)
    with pytest.raises(RosettaError) as caught:
        check_signature(run, read_public_key(public))
    assert str(caught.value).isprintable()
    assert "do not trust this run" in str(caught.value)


def test_every_flipped_bit_of_the_provenance_is_noticed(run: Path, keys) -> None:
    secret, public = keys
    sign_provenance(run, read_secret_key(secret))
    sound = (run / PROVENANCE).read_bytes()
    for place in range(0, len(sound), 3):
        flipped = bytearray(sound)
        flipped[place] ^= 1 << place % 8
        (run / PROVENANCE).write_bytes(flipped)
        with pytest.raises(RosettaError, match="was changed since"):
            check_signature(run, read_public_key(public))


CHANGES = {
    "a table": lambda run: (run / "tables/a.parquet").write_text("x"),
    "a chunk": lambda run: (run / "samples/0.zarr/c/0/0").write_text("x"),
    "a chunk that is missing": lambda run: (run / "samples/0.zarr/c/0/0").unlink(),
    "a chunk that is added": lambda run: (run / "samples/0.zarr/c/0/1").write_text("x"),
    "a chunk of another name": lambda run: (run / "samples/0.zarr/c/0/0").rename(
        run / "samples/0.zarr/c/0/1"
    ),
    "a timestamp with content": lambda run: (
        run / "samples/0.zarr/.snakemake_timestamp"
    ).write_text("x"),
    "a link in a store": lambda run: (run / "samples/0.zarr/x").symlink_to("c"),
    "a store that is a file": lambda run: (
        shutil.rmtree(run / "samples/0.zarr"),
        (run / "samples/0.zarr").write_text("x"),
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_changed_artifacts(run: Path, change) -> None:
    assert list(check_digests(run, listed(run), list(listed(run)))) == []
    change(run)
    ((_, error),) = check_digests(run, listed(run), list(listed(run)))
    assert str(error).isprintable()


def test_files_that_are_not_listed(run: Path) -> None:
    for name in (".jobs.lock", ".started.lock", "samples/0.zarr/.snakemake_timestamp"):
        (run / name).touch()
    (run / SIGNATURE).write_text("x")
    assert unlisted_files(run, listed(run)) == []
    (run / ".jobs.lock").write_text("content")
    (run / "tables/b.parquet").write_text("x")
    (run / "samples/1.zarr").mkdir()
    (run / "samples/1.zarr/x").symlink_to("/etc/passwd")
    (run / "logs").symlink_to("/var/log")
    found = {path.relative_to(run).as_posix() for path in unlisted_files(run, listed(run))}
    assert found == {".jobs.lock", "tables/b.parquet", "samples/1.zarr/x", "logs"}


def test_digests_of_folders_are_those_of_sha256sum(run: Path) -> None:
    store = run / "samples/0.zarr"
    (store / ".snakemake_timestamp").touch()
    script = "find . -type f ! -name .snakemake_timestamp -print0 | LC_ALL=C sort -z | "
    script += "xargs -0 sha256sum | sha256sum"
    done = subprocess.run(["sh", "-c", script], cwd=store, capture_output=True, check=True)
    assert done.stdout.decode().split()[0] == digest(store)


def test_encrypted_keys_ask_for_their_password(tmp_path: Path, run: Path, monkeypatch) -> None:
    pair = minisign.KeyPair.generate()
    pair.secret_key.encrypt("pass", opslimit=32768, memlimit=2**20)
    path = tmp_path / "key"
    path.write_bytes(b"untrusted comment: x\n" + pair.secret_key.to_base64() + b"\n")
    with pytest.raises(RosettaError, match="is encrypted, and there is no terminal"):
        read_secret_key(path)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _: "wrong")
    with pytest.raises(RosettaError, match="wrong password"):
        read_secret_key(path)
    monkeypatch.setattr("getpass.getpass", lambda _: "pass")
    sign_provenance(run, read_secret_key(path))
    assert check_signature(run, pair.public_key)


@pytest.mark.parametrize("read", [read_public_key, read_secret_key])
@pytest.mark.parametrize("content", [b"", b"x", b"\xff\n\xff\n", b"a\nb\nc\n", b"x" * 10**6, None])
def test_files_that_are_not_keys(tmp_path: Path, read, content: bytes | None) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RosettaError, match="cannot be") as caught:
        read(path)
    assert str(caught.value).isprintable()


def test_without_the_package_the_error_names_the_extra(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "minisign", None)
    with pytest.raises(RosettaError, match=r"install rosetta-core\[sign\]"):
        read_public_key(tmp_path / "key")
