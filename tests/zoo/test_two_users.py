"""Two users share a folder of weights: files that one fetched are used by the other."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from file_server import CONTENT, Served
from user_process import FIRST, SECOND, TEAM, UserProcess

from rosetta_core.zoo.weights.checksums import read_record
from rosetta_core.zoo.weights.fetch import fetch
from rosetta_core.zoo.weights.sources import UrlWeights

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")


@pytest.fixture
def resources() -> Iterator[Path]:
    """A folder that belongs to the first user and that others can enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        resources = Path(folder) / "resources"
        resources.mkdir()
        os.chown(resources, FIRST, TEAM)
        resources.chmod(0o755)
        yield resources


def fetch_as(user: int, served: Served, path: Path, *, umask: int = 0o022) -> UserProcess:
    weights = UrlWeights(url=f"{served.address}/{path.name}")
    return UserProcess(user, lambda: fetch(weights, path), umask=umask)


def test_both_fetch_into_a_folder_of_their_group(served: Served, resources: Path) -> None:
    resources.chmod(0o2775)
    path = resources / "deep" / "w.pt"
    served.pace = 0.02
    fetches = [fetch_as(user, served, path, umask=0o002) for user in (FIRST, SECOND)]
    assert [process.error() for process in fetches] == ["", ""]
    assert path.read_bytes() == CONTENT
    assert served.paths == ["/w.pt"]  # downloaded once
    owner = path.stat().st_uid
    other = SECOND if owner == FIRST else FIRST
    second_path = path.with_name("v.pt")
    assert fetch_as(other, served, second_path, umask=0o002).error() == ""
    assert second_path.stat().st_uid == other
    assert fetch_as(owner, served, second_path, umask=0o002).error() == ""


def test_fetched_weights_are_used_without_writing(served: Served, resources: Path) -> None:
    path = resources / "deep" / "w.pt"
    assert fetch_as(FIRST, served, path).error() == ""
    assert fetch_as(SECOND, served, path).error() == ""
    assert served.paths == ["/w.pt"]
    error = fetch_as(SECOND, served, path.with_name("v.pt")).error()
    assert error.startswith(f"RosettaError: {path.with_name('v.pt')}: ")
    assert "be written" in error
    assert "Permission denied" in error


def test_a_file_that_another_user_placed_by_hand_is_used(served: Served, resources: Path) -> None:
    path = resources / "w.pt"
    path.write_bytes(CONTENT)
    os.chown(path, FIRST, TEAM)
    assert fetch_as(SECOND, served, path).error() == ""
    assert served.paths == []
    assert read_record(path) is None
    assert fetch_as(FIRST, served, path).error() == ""
    assert read_record(path) is not None


def test_an_unreadable_file_is_named(served: Served, resources: Path) -> None:
    path = resources / "w.pt"
    assert fetch_as(FIRST, served, path, umask=0o077).error() == ""
    record = path.with_name("w.pt.json")
    for file in (record, path):
        error = fetch_as(SECOND, served, path).error()
        assert error.startswith(f"RosettaError: {file}: ")
        assert "be read (Permission denied); " in error
        file.chmod(0o644)
    assert fetch_as(SECOND, served, path).error() == ""
    assert served.paths == ["/w.pt"]
