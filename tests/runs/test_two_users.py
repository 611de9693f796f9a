"""Two users of one folder of weights: what one fetched, the other uses."""

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

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be two users")

ONE, OTHER, TEAM = 64001, 64002, 64003  # numbers of no account


class Doing:
    """Something that a user does, in a process of their own."""

    def __init__(self, user: int, act: Callable[[], object], *, umask: int) -> None:
        # forked: the modules are there, though the user may not read where they came from
        context = get_context("fork")
        self.said, there = context.Pipe(duplex=False)
        self.process = context.Process(target=_as, args=(user, umask, act, there))
        self.process.start()

    def line(self) -> str:
        """Wait for the end; return the line that says what went wrong, if anything did."""
        assert self.said.poll(60)
        self.process.join()
        return self.said.recv()


def _as(user: int, umask: int, act: Callable[[], object], there: Connection) -> None:
    os.setgroups([TEAM])
    os.setgid(user)
    os.setuid(user)
    os.umask(umask)
    try:
        act()
    except Exception as error:
        there.send(f"{type(error).__name__}: {one_line(error)}")
    else:
        there.send("")


@pytest.fixture
def resources() -> Iterator[Path]:
    """A folder that belongs to the first user, where others may pass."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        found = Path(folder) / "resources"
        found.mkdir()
        os.chown(found, ONE, TEAM)
        found.chmod(0o755)
        yield found


def fetching(user: int, served: Served, path: Path, *, umask: int = 0o022) -> Doing:
    weights = UrlWeights(url=f"{served.address}/{path.name}")
    return Doing(user, lambda: fetch(weights, path), umask=umask)


def test_in_a_folder_of_their_team_both_fetch(served: Served, resources: Path) -> None:
    resources.chmod(0o2775)
    path = resources / "deep" / "w.pt"
    served.pace = 0.02
    both = [fetching(user, served, path, umask=0o002) for user in (ONE, OTHER)]
    assert [doing.line() for doing in both] == ["", ""]
    assert path.read_bytes() == CONTENT
    assert served.paths == ["/w.pt"]  # one of them did
    more = path.with_name("v.pt")
    first = path.stat().st_uid
    assert fetching(OTHER if first == ONE else ONE, served, more, umask=0o002).line() == ""
    assert more.stat().st_uid != first
    assert fetching(first, served, more, umask=0o002).line() == ""


def test_what_another_fetched_is_used_without_writing(served: Served, resources: Path) -> None:
    path = resources / "deep" / "w.pt"
    assert fetching(ONE, served, path).line() == ""
    assert fetching(OTHER, served, path).line() == ""
    assert served.paths == ["/w.pt"]
    line = fetching(OTHER, served, path.with_name("v.pt")).line()
    assert line.startswith(f"RosettaError: {path.with_name('v.pt')}: can't be written")
    assert "Permission denied" in line


def test_a_file_that_another_put_there_by_hand_is_used(served: Served, resources: Path) -> None:
    path = resources / "w.pt"
    path.write_bytes(CONTENT)
    os.chown(path, ONE, TEAM)
    assert fetching(OTHER, served, path).line() == ""
    assert served.paths == []
    assert read_record(path) is None
    assert fetching(ONE, served, path).line() == ""
    assert read_record(path) is not None


def test_what_another_may_not_read_is_named(served: Served, resources: Path) -> None:
    path = resources / "w.pt"
    assert fetching(ONE, served, path, umask=0o077).line() == ""
    record = path.with_name("w.pt.json")
    for file in (record, path):
        line = fetching(OTHER, served, path).line()
        assert line.startswith(f"RosettaError: {file}: can't be read (Permission denied); ")
        file.chmod(0o644)
    assert fetching(OTHER, served, path).line() == ""
    assert served.paths == ["/w.pt"]
