"""Texts that save time: next to shared files, in the user's cache, or not kept."""

from pathlib import Path

import pytest
from read_only import read_only

from rosetta_core.io.cached_text import can_be_written, read_cached, user_cache, write_cached
from rosetta_core.io.checked_files import check_once


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def test_a_text_is_kept_next_to_shared_files(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "resources" / "layers" / "a.json"
    assert read_cached(path) is None
    write_cached(path, "é")
    assert path.read_text(encoding="utf-8") == read_cached(path) == "é"
    assert list(cache.iterdir()) == []


def test_it_goes_to_the_users_cache_where_that_is_read_only(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "resources").mkdir()
    path = tmp_path / "resources" / "layers" / "a.json"
    with read_only(tmp_path / "resources"):
        write_cached(path, "text")
        assert read_cached(path) == "text"
        assert (cache / "rosetta" / "layers" / "a.json").read_text() == "text"
    assert not path.parent.exists()


def test_it_is_not_kept_where_both_are_read_only(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "resources").mkdir()
    with read_only(tmp_path / "resources"), read_only(cache):
        assert not can_be_written(cache / "snakemake")
        write_cached(tmp_path / "resources" / "layers" / "a.json", "text")
        assert read_cached(tmp_path / "resources" / "layers" / "a.json") is None
    assert can_be_written(cache / "snakemake")


def test_other_errors_are_raised(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "resources").write_text("a file")
    with pytest.raises(OSError, match=r"File exists|Not a directory"):
        write_cached(tmp_path / "resources" / "a.json", "text")


def test_the_users_cache_is_in_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    assert user_cache() == Path("/home/someone/.cache")


@pytest.mark.parametrize("record", ["", "{", "[]", "{}", "3", "[" * 99_999, "\x00"])
def test_a_damaged_record_of_a_check_repeats_the_check(tmp_path: Path, record: str) -> None:
    checks = []
    for _ in range(2):
        result = check_once([], lambda: checks.append(1) or [3], key="a", cache=tmp_path / "c")
        assert result == [3]
        for path in (tmp_path / "c").glob("*.json"):
            path.write_text(record)
    assert len(checks) == 2


def test_a_file_swapped_after_its_check_is_checked_again(tmp_path: Path) -> None:
    file, checks = tmp_path / "w", []
    for content in ("a", "bb", "bb"):
        if not checks or content != file.read_text():
            file.write_text(content)
        check_once([file], lambda: checks.append(1) or 0, key="a", cache=tmp_path / "c")
    assert len(checks) == 2
