"""What a description of the machine contains."""

import os
import sys
from pathlib import Path

import pytest

from rosetta_core.runtime import machine


def test_the_description_is_of_this_machine() -> None:
    found = machine.describe_machine()
    assert found.keys() == {"name", "processor", "cores", "system", "python", "cards"}
    assert found["cores"] == len(os.sched_getaffinity(0))
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))


def test_processors_are_read_from_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "processor\t: 0\nmodel name\t: Chip: 9 @ 2 GHz\nflags\t\t: fpu avx2\n\nprocessor\t: 1\n"
    monkeypatch.setattr(Path, "read_text", lambda path: text)
    assert machine.cpu_name() == "Chip: 9 @ 2 GHz"
    assert machine.cpu_flags() == {"fpu", "avx2"}
    monkeypatch.setattr(Path, "read_text", lambda path: "Features\t: fp asimd\n")
    assert machine.cpu_flags() == {"fp", "asimd"}
    monkeypatch.setattr(Path, "read_text", lambda path: "")
    assert machine.cpu_flags() == set()
    assert machine.cpu_name()


def test_a_command_that_fails_or_is_missing_has_no_output() -> None:
    assert machine.command_output(sys.executable, "-c", "print(1); print(2)") == ["1", "2"]
    assert machine.command_output(sys.executable, "-c", "print(1); raise SystemExit(3)") == []
    assert machine.command_output("no-such-command-anywhere") == []
