"""Benchmarks and records in a run by others are read within limits, or not at all."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import tiny

from rosetta_core.config import parse_config
from rosetta_core.runs.costs import read_benchmark
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.setting_changes import RECORD, describe_changes, setting_changes
from rosetta_core.stages.tools.prepare import write_config

HEAD = "s\tmax_rss\n"
BENCHMARKS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "folder": Path.mkdir,
    "large": lambda path: path.write_text(HEAD + "1\t1\n" * 10**6),
    "long field": lambda path: path.write_text(HEAD + "1" * 200_000 + "\t1\n"),
    "NaN": lambda path: path.write_text(HEAD + "nan\t1\n"),
    "infinity": lambda path: path.write_text(HEAD + "1\t1e999\n"),
    "text": lambda path: path.write_text(HEAD + "\x1b[31m\t1\n"),
    "short": lambda path: path.write_text(HEAD + "1\n"),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "NUL": lambda path: path.write_text("s\0\n1\n"),
    "empty": lambda path: path.write_text(""),
}


@pytest.mark.parametrize("make", BENCHMARKS.values(), ids=BENCHMARKS.keys())
def test_hostile_benchmarks_are_left_out(tmp_path: Path, make) -> None:
    make(tmp_path / "job.tsv")
    assert read_benchmark(tmp_path / "job.tsv") is None


RECORDS: dict[str, Callable[[Path], object]] = {
    "lists": lambda path: path.write_text("[" * 100_000),
    "a list": lambda path: path.write_text("[1]"),
    "a pipe": os.mkfifo,
    "NaN": lambda path: path.write_text('{"a": NaN}'),
}


@pytest.mark.parametrize("make", RECORDS.values(), ids=RECORDS.keys())
def test_hostile_records_of_changes_are_left_out(tmp_path: Path, make) -> None:
    config = parse_config(tiny(results=str(tmp_path)))
    write_config(config)
    make(RunPaths(config).run / RECORD)
    assert setting_changes(config) == {}


def test_names_of_changed_settings_are_escaped(tmp_path: Path) -> None:
    config = parse_config(tiny(results=str(tmp_path)))
    write_config(config)
    (RunPaths(config).run / RECORD).write_text('{"\\u001b[31m": "\\u202e"}')
    lines = describe_changes("run", setting_changes(config))
    assert len(lines) == 1
    assert all(line.isprintable() for line in lines)
