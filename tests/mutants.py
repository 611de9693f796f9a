"""Put single faults into modules, one at a time, and run the tests that cover them.

`make mutants`, or `python tests/mutants.py [--minutes N] [--seed S] [ROOM …]`. Faults are those of
cosmic-ray's operators, drawn at random over the modules of a room until its time is used up. A
fault is noticed when a test fails or takes too long. Tests of whole runs are left out: their jobs
are other processes, which would not have the fault. Survivors are listed; the exit code is 1 if a
room is below its share.
"""

import argparse
import ast
import difflib
import importlib
import importlib.abc
import importlib.util
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import parso
import pytest
from cosmic_ray import plugins
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "rosetta_core"
ROOMS = {  # folders, and the share of faults that must be noticed
    "mining": (("mining",), 0.85),
    "steering": (("steering",), 0.85),
    "significance": (("mining/significance",), 0.85),
    "stages": (("stages", "runtime"), 0.75),
    "pages": (("pages/dictionary",), 0.75),
}
WHOLE_RUNS = {"finished", "rerun", "swept", "mined"}  # fixtures that run jobs
SECONDS = 60  # of all tests of one fault
LIBRARIES = "matplotlib pandas pyarrow scipy.stats sklearn timm torch torchvision zarr hypothesis"
SKIPPED = {  # meaningless in typed code, or in need of names of variables
    *("core/RemoveDecorator", "core/ExceptionReplacer"),
    *("core/VariableReplacer", "core/VariableInserter"),
}


class Fault(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Loads one module from other source."""

    def __init__(self, name: str, path: Path, source: str) -> None:
        self.name, self.path, self.source = name, path, source

    def find_spec(self, fullname: str, path: object, target: object = None) -> object:
        """Find the module with the fault; all others are found as always."""
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_filename(self, fullname: str) -> str:
        """Return the file that tracebacks name."""
        return str(self.path)

    def get_data(self, path: str) -> bytes:
        """Return the source with the fault."""
        return self.source.encode()

    def path_stats(self, path: str) -> dict:
        """Never match bytecode on disk."""
        raise OSError


class OwnProcessOnly:
    """Leaves out tests whose jobs run in other processes."""

    def pytest_collection_modifyitems(self, items: list) -> None:
        """Keep the tests that see the fault."""
        items[:] = [item for item in items if not WHOLE_RUNS & set(item.fixturenames)]


def faults(path: Path) -> list[tuple[str, int]]:
    """All faults of a module: an operator and the number of its place."""
    found = []
    for name in plugins.operator_names():
        if name in SKIPPED:
            continue
        operator = plugins.get_operator(name)()
        tree = parso.parse(path.read_text())
        visitor = _Counter(operator)
        visitor.walk(tree)
        found += [(name, place) for place in range(visitor.count)]
    return found


class _Counter:
    """Counts the places of an operator in a tree."""

    def __init__(self, operator: object) -> None:
        self.operator, self.count = operator, 0

    def walk(self, node: object) -> None:
        """Visit a node and all below it."""
        self.count += sum(1 for _ in self.operator.mutation_positions(node))
        for child in getattr(node, "children", ()):
            self.walk(child)


def module_name(path: Path) -> str:
    """Dotted name of a module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def tests_of(path: Path) -> list[str]:
    """The test files that import a module or, if none does, those of its package."""
    name = module_name(path)
    package, _, stem = name.rpartition(".")
    files = sorted(ROOT.glob("tests/*/**/test_*.py"))
    heavy = {"ui", "whole_runs", "paper", "faults", "cluster"}
    files = [file for file in files if not heavy & set(file.parts)]
    found = [
        str(file)
        for file in files
        if name in (text := file.read_text()) or f"from {package} import {stem}" in text
    ]
    room = path.relative_to(PACKAGE).parts[0]
    return found or [str(file) for file in files if room in file.parts]


def noticed(path: Path, source: str) -> bool:
    """Whether the tests of a module fail with other source; they run in a fork."""
    if (child := os.fork()) == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        signal.alarm(SECONDS)
        sys.meta_path.insert(0, Fault(module_name(path), path, source))
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        try:
            code = int(pytest.main([*options, *tests_of(path)], plugins=[OwnProcessOnly()]))
        except BaseException:  # an import that fails is noticed
            code = 1
        os._exit(0 if code in (0, 5) else 1)
    return bool(os.waitpid(child, 0)[1])


def changed_line(before: str, after: str) -> str:
    """The line that has the fault, as a diff shows it."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return " → ".join(line[1:].strip() for line in list(lines)[3:5])


def drawn(folders: Sequence[str], rng: random.Random) -> Iterator[tuple[Path, str, str]]:
    """Yield modules with their source and one fault, in random order."""
    modules = [p for f in folders for p in sorted(PACKAGE.joinpath(f).rglob("*.py"))]
    places = [(path, *fault) for path in modules for fault in faults(path)]
    rng.shuffle(places)
    for path, operator, place in places:
        source = path.read_text()
        mutated = mutate_code(source, plugins.get_operator(operator)(), place)
        if mutated is not None and ast.dump(ast.parse(source)) != ast.dump(ast.parse(mutated)):
            yield path, source, mutated


def main() -> int:
    """Test the rooms that are named, or all."""
    parser = argparse.ArgumentParser(description="Mutation tests of some rooms of the package.")
    parser.add_argument("rooms", nargs="*", choices=[[], *ROOMS], metavar="ROOM")
    parser.add_argument("--minutes", type=float, default=10.0, help="time of a room; default: 10")
    parser.add_argument("--seed", type=int, default=0, help="which faults are drawn; default: 0")
    arguments = parser.parse_args()
    for library in LIBRARIES.split():
        importlib.import_module(library)
    os.chdir(ROOT)
    low = False
    for room in arguments.rooms or ROOMS:
        folders, share = ROOMS[room]
        ends, total, survivors = time.monotonic() + 60 * arguments.minutes, 0, []
        for path, source, mutated in drawn(folders, random.Random(arguments.seed)):
            if time.monotonic() > ends:
                break
            total += 1
            if not noticed(path, mutated):
                line = f"{path.relative_to(ROOT)}: {changed_line(source, mutated)}"
                survivors.append(line)
                print(f"survived: {line}", flush=True)
        rate = 1 - len(survivors) / max(1, total)
        low |= rate < share
        print(
            f"{room}: {total - len(survivors)} of {total} faults noticed ({rate:.0%}, "
            f"to reach {share:.0%})",
            flush=True,
        )
    return int(low)


if __name__ == "__main__":
    sys.exit(main())
