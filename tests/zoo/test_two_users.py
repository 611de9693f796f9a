"""Two users share a folder of weights: files that one fetched are used by the other."""

import os
import tempfile
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from file_server import CONTENT, Served

from rosetta_core.errors import one_line
from rosetta_core.zoo.weights.checksums import read_record
from rosetta_core.zoo.weights.fetch import fetch
from rosetta_core.zoo.weights.sources import UrlWeights

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two users")

FIRST, SECOND, TEAM = 64001, 64002, 64003  # user and group numbers without an account


class UserProcess:
    """A process in which a user calls a function."""

    def __init__(self, user: int, act: Callable[[], object], *, umask: int) -> None:
        # forked, since the user may not be allowed to read the modules' files
        context = get_context("fork")
        self.results, sender = context.Pipe(duplex=False)
        self.process = context.Process(target=_act_as, args=(user, umask, act, sender))
        self.process.start()

    def error(self) -> str:
        """Wait for the end; return the error in one line, empty without one."""
        assert self.results.poll(60)
        self.process.join()
        return self.results.recv()


def _act_as(user: int, umask: int, act: Callable[[], object], sender: Connection) -> None:
    os.setgroups([TEAM])
    os.setgid(user)
    os.setuid(user)
    os.umask(umask)
    try:
        act()
    except Exception as error:
        sender.send(f"{type(error).__name__}: {one_line(error)}")
    else:
        sender.send("")


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
