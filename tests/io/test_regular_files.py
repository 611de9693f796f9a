"""Files by others are read only if regular, and deleted only inside their run."""

import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from rosetta_core.errors import RosettaError
from rosetta_core.io.regular_files import check_inside, delete_inside, open_regular, read_regular


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a table, a store and a job, next to a sibling that is not part of it."""
    run = tmp_path / "results" / "run"
    for file in ("tables/a.parquet", "samples/p/0.zarr/c/0", "inversions/job/x", "config.yaml"):
        (run / file).parent.mkdir(parents=True, exist_ok=True)
        (run / file).write_text("inside")
    for file in ("sibling/x", "job/x", "file"):
        (run.parent / file).parent.mkdir(parents=True, exist_ok=True)
        (run.parent / file).write_text("outside")
    return run


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*")
            if path.is_file() and not path.is_symlink()}  # fmt: skip


def test_files_and_folders_inside_are_deleted(run: Path) -> None:
    delete_inside(run, [run / "tables/a.parquet", run / "samples/p/0.zarr", run / "missing/x"])
    assert set(content(run)) == {"inversions/job/x", "config.yaml"}


def test_a_run_that_is_reached_through_a_link(run: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(run)
    delete_inside(link, [link / "tables/a.parquet"])
    assert not (run / "tables/a.parquet").exists()


def link_folder(run: Path) -> Path:
    shutil.rmtree(run / "inversions")
    (run / "inversions").symlink_to("..")
    return run / "inversions" / "sibling"


def link_to_itself(run: Path) -> Path:
    (run / "again").symlink_to(".")
    return run / "again" / "tables"


def link_in_the_middle(run: Path) -> Path:
    shutil.rmtree(run / "samples/p")
    (run / "samples/p").symlink_to(run.parent)
    return run / "samples/p/sibling"


def link_at_the_end(run: Path) -> Path:
    (run / "tables/b.parquet").symlink_to(run.parent / "file")
    return run / "tables/b.parquet"


def dangling_link(run: Path) -> Path:
    (run / "tables/b.parquet").symlink_to("nowhere")
    return run / "tables/b.parquet"


def link_within_a_folder(run: Path) -> Path:
    (run / "inversions/job/y").symlink_to(run.parent / "sibling")
    return run / "inversions/job"


def pipe_within_a_folder(run: Path) -> Path:
    os.mkfifo(run / "inversions/job/y")
    return run / "inversions/job"


def pipe(run: Path) -> Path:
    os.mkfifo(run / "tables/b.parquet")
    return run / "tables/b.parquet"


OUTSIDE: list[Callable[[Path], Path]] = [
    *(link_folder, link_to_itself, link_in_the_middle, link_at_the_end, dangling_link),
    *(link_within_a_folder, pipe_within_a_folder, pipe),
    lambda run: run / ".." / "sibling",
    lambda run: run / "tables" / ".." / ".." / "sibling",
    lambda run: run.parent / "sibling",
    lambda run: run,
    lambda run: run.parent,
    lambda run: Path("/"),
    lambda run: Path("sibling"),
    lambda run: run.with_name("run2"),
    lambda run: Path(f"{run}/tables/\0"),
]


@pytest.mark.parametrize("attack", OUTSIDE)
def test_nothing_is_deleted_if_one_path_leads_outside(run: Path, attack) -> None:
    path = attack(run)
    before = content(run.parent)
    with pytest.raises(RosettaError) as caught:
        delete_inside(run, [run / "tables/a.parquet", path])
    assert len(str(caught.value).splitlines()) == 1
    assert content(run.parent) == before


@pytest.mark.parametrize("name", ["a\nb", "ä", "-rf", " ", "*", "$HOME", "x;y", "\udcff"])
def test_names_are_only_names(run: Path, name: str) -> None:
    (run / "inversions" / name).mkdir()
    delete_inside(run, [run / "inversions" / name])
    assert set(content(run)) >= {"tables/a.parquet", "inversions/job/x"}
    assert not (run / "inversions" / name).exists()


def test_a_folder_that_becomes_a_link_after_the_check(run: Path, monkeypatch) -> None:
    """The folder is exchanged between the check and the deletion, which follows no link."""
    before = content(run.parent / "sibling")

    def exchange(path: Path, folder: Path) -> None:
        check_inside(folder, path)
        shutil.rmtree(run / "inversions")
        (run / "inversions").symlink_to(run.parent)

    monkeypatch.setattr("rosetta_core.io.regular_files._check_content", exchange)
    (run / "inversions/sibling").mkdir()
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        delete_inside(run, [run / "inversions" / "sibling"])
    assert content(run.parent / "sibling") == before


def test_a_read_only_folder_is_an_error_of_its_path(run: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("the superuser may delete in any folder")
    (run / "tables").chmod(0o500)
    with pytest.raises(PermissionError):
        delete_inside(run, [run / "tables/a.parquet"])


def irregular(folder: Path) -> list[Path]:
    """A link, a dangling link, a pipe, a socket, a folder and a device."""
    (folder / "file").write_text("x")
    (folder / "link").symlink_to("file")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(folder / "socket"))
    names = ("link", "dangling", "pipe", "folder", "socket")
    return [*(folder / name for name in names), Path("/dev/zero"), Path("/dev/null")]


def test_only_regular_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # paths of sockets are short
    for path in irregular(Path()):
        with pytest.raises(OSError, match="not a regular file"):
            read_regular(path)
    assert read_regular(Path("file")) == b"x"
    with pytest.raises(FileNotFoundError):
        open_regular(Path("missing"))


def test_large_files_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(100))
    with pytest.raises(ValueError, match="100 bytes are more than the limit of 99"):
        read_regular(tmp_path / "large", max_bytes=99)
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match="limit"):
        read_regular(tmp_path / "sparse")
