"""Put single faults into modules, one at a time, and run the tests that run the changed line.

`make mutants`, or `python tests/mutants.py [--minutes N] [--seed S] [ROOM …]`. Faults are those of
cosmic-ray's operators, drawn at random over the modules of a room until its time is used up. The
tests of a room must pass first; that run records which test runs which line, and what it costs. A
fault is noticed when a test fails, or needs far more CPU time than before; a fault that waits for
something without using the CPU is counted neither way. Tests of whole runs are left out: their
jobs are other processes, which would not have the fault. Survivors are listed; the exit code is 1
if a room is below its share, and 2 if its tests fail without a fault.
"""

import argparse
import ast
import difflib
import gc
import importlib
import importlib.abc
import importlib.util
import itertools
import os
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import CodeType, FunctionType

import coverage
import parso
import pytest
from _pytest.main import pytest_runtestloop
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
HEAVY = {"ui", "whole_runs", "paper", "faults", "cluster"}
LIBRARIES = "matplotlib pandas pyarrow scipy.stats sklearn timm torch torchvision zarr hypothesis"
SKIPPED = {
    # meaningless in typed code, or in need of names of variables
    *("core/RemoveDecorator", "core/ExceptionReplacer"),
    *("core/VariableReplacer", "core/VariableInserter"),
    # the same for None, enumerations, interned strings and small integers
    *("core/ReplaceComparisonOperator_Is_Eq", "core/ReplaceComparisonOperator_IsNot_NotEq"),
    *("core/ReplaceComparisonOperator_Eq_Is", "core/ReplaceComparisonOperator_NotEq_IsNot"),
}
# guards against mistakes of the code itself, which change nothing while there is none
GUARDS = {"strict", "frozen"}
# parents of stars of arguments, which cosmic-ray takes for products and powers
NO_OPERATORS = {"parameters", "param", "lambdef", "argument", "arglist", "star_expr", "atom"}
NO_OPERATORS |= {"dictorsetmaker", "testlist_comp", "testlist_star_expr"}
PYTEST = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov"]
FAILED, SLOW, WAITED, SURVIVED = "failed", "slow", "waited", "survived"


class Fault(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Loads one module from other source."""

    def __init__(self, path: Path, source: str) -> None:
        self.name, self.path, self.source = module_name(path), path, source

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


@dataclass(frozen=True)
class Place:
    """A place of a module where an operator makes a fault."""

    path: Path
    operator: str
    number: int
    line: int


class Room:
    """Runs a room's tests with one fault after the other, each in a fork of this process."""

    def __init__(self, name: str, *, minutes: float, seed: int, basetemp: Path) -> None:
        self.folders, self.share = ROOMS[name]
        self.name, self.minutes, self.seed, self.basetemp = name, minutes, seed, basetemp
        self.imports = coverage.Coverage(data_file=None, source=[str(PACKAGE)], config_file=False)

    @property
    def modules(self) -> list[Path]:
        """The modules that get faults."""
        return [path for f in self.folders for path in sorted(PACKAGE.joinpath(f).rglob("*.py"))]

    def run(self) -> int:
        """Collect the room's tests once, and test all faults; return the exit code."""
        files = sorted({test for path in self.modules for test in tests_of(path)})
        self.imports.start()
        self.code = 2
        pytest.main([*PYTEST, f"--basetemp={self.basetemp}", *files], plugins=[self])
        return self.code

    def pytest_collection_modifyitems(self, items: list) -> None:
        """Keep the tests that see the fault."""
        items[:] = [item for item in items if not WHOLE_RUNS & set(item.fixturenames)]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Test the faults in the place of running the tests."""
        self.imports.stop()
        if session.testsfailed:
            return True
        data = self.imports.get_data()
        self.imported = {path: set(data.lines(str(path)) or ()) for path in self.modules}
        self.session = session
        self.controls: dict[Path, set[str]] = {}  # by module what `unfit` found
        functions = [f for f in gc.get_objects() if type(f) is FunctionType]
        self.functions = [f for f in functions if f.__code__.co_filename.startswith(f"{PACKAGE}/")]
        self.items = {item.nodeid: item for item in session.items}
        begun = time.monotonic()
        self.baseline = Baseline(self.modules)
        failures = Failures(os.dup(1))
        if (failed := self.in_fork(self.baseline.measure, session, failures)) != SURVIVED:
            print(f"{self.name}: these tests fail without a fault ({failed}); mend them first")
            return True
        self.baseline.load()
        print(
            f"{self.name}: {len(self.items)} tests, {sum(self.baseline.cpu.values()):.0f} s of "
            f"CPU, {time.monotonic() - begun:.0f} s",
            flush=True,
        )
        ends, results = time.monotonic() + 60 * self.minutes, Counter[str]()
        for place, source, mutated in drawn(self.modules, random.Random(self.seed)):
            if time.monotonic() > ends:
                break
            result = self.tested(place, source, mutated)
            results[result] += 1
            if result in (SURVIVED, WAITED):
                where = f"{place.path.relative_to(ROOT)}:{place.line}"
                print(f"{result}: {where}: {changed_line(source, mutated)}", flush=True)
        counted = results[FAILED] + results[SLOW] + results[SURVIVED]
        share = (results[FAILED] + results[SLOW]) / max(1, counted)
        print(
            f"{self.name}: {results[FAILED] + results[SLOW]} of {counted} faults noticed "
            f"({share:.1%}, to reach {self.share:.0%}), {results[SLOW]} of them by their CPU "
            f"time; {results[WAITED]} not counted",
            flush=True,
        )
        self.code = int(share < self.share)
        return True

    def tested(self, place: Place, source: str, mutated: str) -> str:
        """Run the tests of one fault."""
        pairs = changed_functions(source, mutated)
        functions = [(f, new) for old, new in pairs for f in self.functions if f.__code__ == old]
        if module_name(place.path) not in sys.modules:
            run = partial(self.passes_loading, place, mutated)
        elif functions and not self.imported[place.path] & function_lines(pairs):
            run = partial(self.passes_changed, functions)
        else:  # the faulty line runs when the module is imported
            run, pairs = partial(self.passes_imported, place, mutated), []
        if pairs:
            names = self.baseline.tests_of_lines(place.path, statement_lines(source, place.line))
        else:
            names = self.baseline.tests_of_module(place.path)
        if not names:
            return SURVIVED
        cpu = sum(self.baseline.cpu[name] for name in names) + self.baseline.shared(names)
        names = sorted(names, key=self.baseline.cpu.__getitem__)
        if not pairs:
            names = [name for name in names if name not in self.unfit(place.path, names, cpu)]
        return self.in_fork(run, names, cpu=cpu)

    def unfit(self, path: Path, names: Sequence[str], cpu: float) -> set[str]:
        """The tests that fail when a module is imported again without a fault."""
        if path not in self.controls:
            file = self.basetemp.with_name("failed")
            file.write_text("")
            place = Place(path, "", 0, 0)
            plugin = Failures(os.open(file, os.O_WRONLY | os.O_APPEND))
            result = self.in_fork(
                partial(self.passes_imported, place, path.read_text()), names, plugin, cpu=cpu
            )
            failed = set(file.read_text().splitlines())
            if result not in (SURVIVED, FAILED) or (result == FAILED and not failed):
                raise RuntimeError(f"{path}: can't be imported again ({result})")
            for name in sorted(failed):
                print(f"left out: {name} fails when {module_name(path)} is imported again")
            self.controls[path] = failed
        return self.controls[path]

    def passes_changed(
        self, functions: Sequence[tuple[FunctionType, CodeType]], names: Sequence[str]
    ) -> bool:
        """Whether tests pass with other code in some functions."""
        for function, code in functions:
            function.__code__ = code.replace(co_filename=function.__code__.co_filename)
        return self.passes(names)

    def passes_loading(self, place: Place, mutated: str, names: Sequence[str]) -> bool:
        """Whether tests pass that import a module with a fault, which nothing imported yet."""
        sys.meta_path.insert(0, Fault(place.path, mutated))
        return self.passes(names)

    def passes(self, names: Sequence[str]) -> bool:
        """Whether tests that were collected pass."""
        self.session.items[:] = [self.items[name] for name in names]
        self.session.config.option.maxfail = 1
        try:
            pytest_runtestloop(self.session)
        except self.session.Failed:
            return False
        return not self.session.testsfailed

    def passes_imported(
        self, place: Place, mutated: str, names: Sequence[str], *observers: object
    ) -> bool:
        """Whether tests pass that import the package with a fault."""
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None) or ""
            if name.partition(".")[0] == PACKAGE.name or file.startswith(f"{ROOT}/tests/"):
                del sys.modules[name]
        sys.meta_path.insert(0, Fault(place.path, mutated))
        options = [*PYTEST, f"--basetemp={self.basetemp}", f"--rootdir={ROOT}"]
        options += [] if observers else ["-x"]
        return pytest.main([*options, *names], plugins=list(observers)) == 0

    def in_fork(self, function: Callable[..., bool], *arguments: object, cpu: float = 3e3) -> str:
        """Call a function in a fork that may use 5 times the CPU seconds that it should need."""
        limit = 15 + 5 * cpu
        if (child := os.fork()) == 0:
            code = 1
            try:
                os.setsid()
                null = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):
                    os.dup2(null, stream)
                used = time.process_time()  # a fork starts at 0
                resource.setrlimit(resource.RLIMIT_CPU, (int(used + limit), int(used + limit) + 5))
                size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf(
                    "SC_PAGE_SIZE"
                )
                resource.setrlimit(resource.RLIMIT_AS, (size + 2**33, size + 2**33))
                code = int(not function(*arguments))
            except BaseException:  # an import that fails is noticed
                code = 1
            finally:
                os._exit(code)
        ends = time.monotonic() + 60 + 10 * limit
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > ends:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return WAITED
            time.sleep(0.005)
        if os.WIFSIGNALED(ended[1]) and os.WTERMSIG(ended[1]) in (signal.SIGXCPU, signal.SIGKILL):
            return SLOW
        return FAILED if ended[1] else SURVIVED


class Failures:
    """Writes the names of tests that fail to an open file."""

    def __init__(self, file: int) -> None:
        self.file = file

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Name a test that fails."""
        if report.failed:
            os.write(self.file, f"{report.nodeid}\n".encode())


class Baseline:
    """Which test runs which lines, and the CPU seconds of every test, without a fault."""

    def __init__(self, modules: Sequence[Path]) -> None:
        self.modules = modules
        self.cpu: dict[str, float] = {}
        self.lines: dict[Path, dict[int, set[str]]] = {}
        self.fixtures: dict[str, set[str]] = {}
        self.file = Path(tempfile.mkstemp(suffix=".baseline")[1])

    def measure(self, session: pytest.Session, failures: "Failures") -> bool:
        """Run all tests; return whether they pass."""
        self.coverage = coverage.Coverage(data_file=None, source=[str(PACKAGE)], config_file=False)
        self.coverage.start()
        session.config.pluginmanager.register(self)
        session.config.pluginmanager.register(failures)
        pytest_runtestloop(session)
        self.coverage.stop()
        data = self.coverage.get_data()
        lines = {path: data.contexts_by_lineno(str(path)) for path in self.modules}
        self.file.write_bytes(pickle.dumps((self.cpu, lines, self.fixtures)))
        return not session.testsfailed

    def load(self) -> None:
        """Read what a fork measured."""
        self.cpu, lines, self.fixtures = pickle.loads(self.file.read_bytes())
        self.file.unlink()
        for path, contexts in lines.items():
            self.lines[path] = {
                line: {test for name in names for test in self.fixtures.get(name, {name})}
                for line, names in contexts.items()
            }

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Record what a test runs."""
        self.coverage.switch_context(item.nodeid)
        self.current = item.nodeid
        for name, definitions in item._fixtureinfo.name2fixturedefs.items():
            for definition in definitions:
                key = f"{definition.baseid}::{name} (fixture)"
                self.fixtures.setdefault(key, set()).add(item.nodeid)
        begun = time.process_time()
        result = yield
        self.cpu[item.nodeid] = time.process_time() - begun
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: object) -> Iterator[None]:
        """Record what a fixture runs, for all tests that use it."""
        before = self.current
        self.current = f"{fixturedef.baseid}::{fixturedef.argname} (fixture)"
        self.coverage.switch_context(self.current)
        begun = time.process_time()
        try:
            return (yield)
        finally:
            spent = time.process_time() - begun
            self.cpu[self.current] = self.cpu.get(self.current, 0) + spent
            self.current = before
            self.coverage.switch_context(before)

    def tests_of_lines(self, path: Path, lines: set[int]) -> set[str]:
        """The tests that run one of some lines."""
        names = set[str]().union(*(self.lines[path].get(line, ()) for line in lines))
        return names - {""} - set(self.fixtures)

    def tests_of_module(self, path: Path) -> set[str]:
        """The tests that run any line of a module, and those of the files that name it."""
        files = set(tests_of(path))
        tests = set(self.cpu) - set(self.fixtures)
        named = {test for test in tests if str(ROOT / test.partition("::")[0]) in files}
        return named | self.tests_of_lines(path, set(self.lines[path]))

    def shared(self, names: Sequence[str]) -> float:
        """The CPU seconds of the fixtures of some tests, which other tests may have paid."""
        chosen = set(names)
        return sum(self.cpu.get(key, 0) for key, users in self.fixtures.items() if users & chosen)


def changed_functions(before: str, after: str) -> list[tuple[CodeType, CodeType]]:
    """The functions that differ, outermost ones; none if other code differs too."""
    pairs: list[tuple[CodeType, CodeType]] = []

    def same(old: CodeType, new: CodeType) -> bool:
        old_codes, new_codes = codes(old), codes(new)
        if len(old_codes) != len(new_codes) or emptied(old) != emptied(new):
            return False
        for inner, changed in zip(old_codes, new_codes, strict=True):
            if inner == changed:
                continue
            if inner.co_flags & 2:  # CO_NEWLOCALS: a function, no class
                pairs.append((inner, changed))
            elif not same(inner, changed):
                return False
        return True

    return pairs if same(compiled(before), compiled(after)) else []


def codes(code: CodeType) -> list[CodeType]:
    """The functions and classes that a piece of code defines."""
    return [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def emptied(code: CodeType) -> CodeType:
    """A piece of code without the functions and classes that it defines."""
    constants = (None if isinstance(c, CodeType) else c for c in code.co_consts)
    return code.replace(co_consts=tuple(constants))


@cache
def compiled(source: str) -> CodeType:
    """The code of a module."""
    return compile(source, "module", "exec", dont_inherit=True)


def function_lines(pairs: Sequence[tuple[CodeType, CodeType]]) -> set[int]:
    """The lines of the bodies of functions, their first lines aside."""
    lines: set[int] = set()
    for code, _ in pairs:
        lines |= {line for _, _, line in code.co_lines() if line and line != code.co_firstlineno}
    return lines


def statement_lines(source: str, line: int) -> set[int]:
    """The lines of the innermost statement that has a line; of a block, those of its head."""
    best: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno
            lines = set(range(node.lineno, max(last or 0, node.lineno) + 1))
            if line in lines and (not best or len(lines) <= len(best)):
                best = lines
    return best or {line}


def faults(path: Path) -> Iterator[Place]:
    """All faults of a module, those that change nothing by their kind aside."""
    tree = parso.parse(path.read_text())
    for name in plugins.operator_names():
        if name in SKIPPED:
            continue
        operator = plugins.get_operator(name)()
        numbers = itertools.count()
        for node in nodes(tree):
            for (start, _), number in zip(operator.mutation_positions(node), numbers, strict=False):
                if not neutral(node):
                    yield Place(path, name, number, start[0])


def nodes(node: object) -> Iterator[object]:
    """A node of a tree and all below it, in the order in which cosmic-ray counts places."""
    yield node
    for child in getattr(node, "children", ()):
        yield from nodes(child)


def neutral(node: object) -> bool:
    """Whether a node is a star, in an annotation, which mypy checks, or the value of a guard."""
    if node.type == "operator" and node.parent.type in NO_OPERATORS:
        return True
    while (parent := node.parent) is not None:
        children = parent.children
        if parent.type == "annassign" and node is children[1]:
            return True
        if parent.type == "tfpdef" and node is children[2]:
            return True
        if parent.type == "funcdef" and node is parent.annotation:
            return True
        if parent.type == "argument" and getattr(children[0], "value", "") in GUARDS:
            return True
        node = parent
    return False


def module_name(path: Path) -> str:
    """Dotted name of a module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@cache
def tests_of(path: Path) -> list[str]:
    """The test files that import a module or, if none does, those of its package."""
    name = module_name(path)
    package, _, stem = name.rpartition(".")
    files = sorted(ROOT.glob("tests/*/**/test_*.py"))
    files = [file for file in files if not HEAVY & set(file.parts)]
    found = [
        str(file)
        for file in files
        if name in (text := file.read_text()) or f"from {package} import {stem}" in text
    ]
    room = path.relative_to(PACKAGE).parts[0]
    return found or [str(file) for file in files if room in file.parts]


def changed_line(before: str, after: str) -> str:
    """The line that has the fault, as a diff shows it."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return " → ".join(line[1:].strip() for line in list(lines)[3:5])


def drawn(modules: Sequence[Path], rng: random.Random) -> Iterator[tuple[Place, str, str]]:
    """Yield faults in random order, with their module's source before and after."""
    places = [place for path in modules for place in faults(path)]
    rng.shuffle(places)
    for place in places:
        source = place.path.read_text()
        mutated = mutate_code(source, plugins.get_operator(place.operator)(), place.number)
        if mutated is not None and parsed(mutated) not in (None, parsed(source)):
            yield place, source, mutated


def parsed(source: str) -> str | None:
    """The tree of a module; none if it is no Python (cosmic-ray takes a star for a product)."""
    try:
        return ast.dump(ast.parse(source))
    except SyntaxError:
        return None


def main() -> int:
    """Test the rooms that are named, or all."""
    parser = argparse.ArgumentParser(description="Mutation tests of some rooms of the package.")
    parser.add_argument("rooms", nargs="*", choices=[[], *ROOMS], metavar="ROOM")
    parser.add_argument("--minutes", type=float, default=10.0, help="time of a room; default: 10")
    parser.add_argument("--seed", type=int, default=0, help="which faults are drawn; default: 0")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # a fork has no threads of its parent
    for library in LIBRARIES.split():
        importlib.import_module(library)
    sys.modules["torch"].set_num_threads(1)
    os.chdir(ROOT)
    code = 0
    for name in arguments.rooms or ROOMS:
        basetemp = Path(tempfile.mkdtemp())
        room = Room(name, minutes=arguments.minutes, seed=arguments.seed, basetemp=basetemp / "t")
        if (child := os.fork()) == 0:  # the package is imported for every room
            os._exit(room.run())
        code = max(code, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        shutil.rmtree(basetemp)
    return code


if __name__ == "__main__":
    sys.exit(main())
