"""Outputs are complete or absent, and what killed processes left behind is deleted."""

import os
from pathlib import Path

import pytest

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path, check_replaceable, delete_path, manifest_path

GONE = 999_999_999  # above the largest process id


def leftover(path: Path, process: int) -> Path:
    """Write what another process with a given id would have left of an output."""
    with atomic_path(path) as temporary:
        name = temporary.name.replace(f".{os.getpid()}.part", f".{process}.part")
        temporary.touch()
    file = path.with_name(name)
    file.write_text("half")
    return file


def test_outputs_are_complete_or_absent(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "store"
    for text in ("first", "second"):
        with atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / "file").write_text(text)
            assert not target.exists() or (target / "file").read_text() == "first"
        assert (target / "file").read_text() == text
    with pytest.raises(KeyError) as caught, atomic_path(target) as temporary:
        temporary.mkdir()
        raise KeyError
    assert caught.value.__notes__ == [f"while writing {target}"]
    assert [path.name for path in target.parent.iterdir()] == ["store"]
    assert (target / "file").read_text() == "second"


def test_a_file_replaces_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with atomic_path(tmp_path / "file") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "file").read_text() == "new"


@pytest.mark.parametrize("name", ["table", "run [1]", "a*b?c", "[!x]"])
def test_leftovers_of_killed_processes_are_deleted(tmp_path: Path, name: str) -> None:
    file = leftover(tmp_path / name, GONE)
    with atomic_path(tmp_path / name) as temporary:
        temporary.write_text("newer")
    assert not file.exists()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_outputs_of_running_processes_and_other_outputs_stay(tmp_path: Path) -> None:
    running = leftover(tmp_path / "table", os.getppid())
    other = leftover(tmp_path / "tab", GONE)
    with atomic_path(tmp_path / "table") as temporary:
        temporary.write_text("newer")
    assert running.exists()
    assert other.exists()


def test_deleting_a_link_keeps_its_target(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    delete_path(tmp_path / "link")
    assert not (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder").is_dir()
    delete_path(tmp_path / "folder")
    delete_path(tmp_path / "folder")  # it does not exist
    assert not list(tmp_path.iterdir())


def test_only_earlier_outputs_and_empty_folders_are_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "export"

    def check() -> None:
        check_replaceable(folder, {"a.csv"}.__eq__, what="export", verb="export")

    check()
    folder.mkdir()
    check()
    (folder / "a.csv").touch()
    check()
    (folder / "b.txt").touch()
    with pytest.raises(RosettaError, match=r"not an earlier export \(it contains 'a.csv'\)"):
        check()
    folder = folder / "a.csv"
    with pytest.raises(RosettaError, match=r"a.csv: is a file; export into a folder of its own"):
        check()


def test_the_manifest_of_a_store_is_next_to_it() -> None:
    assert manifest_path(Path("run.1/00000.zarr")) == Path("run.1/00000.json")
