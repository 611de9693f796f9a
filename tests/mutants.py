"""Put single faults into modules, one at a time, and run the tests that run the changed line.

`make mutants`, or `python tests/mutants.py [--minutes N] [--seed S] [ROOM …]`. Faults are those of
cosmic-ray's operators, drawn at random over the modules of a room until its time is used up. The
tests of a room must pass first; that run records which test runs which line, and the CPU time of
each. A fault is noticed when a test fails that passes by itself without the fault, or when the
tests need far more CPU time than before. A fault that waits without using the CPU is not counted.
Tests that rerun a run are left out: its jobs are other processes, which would not have the fault;
a finished run is made once, without a fault. Survivors are listed; the exit code is 1 if a room is
below its share, and 2 if its tests fail without a fault.
"""

import argparse
import gc
import importlib
import os
import pickle
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from pathlib import Path
from types import CodeType, FunctionType

import coverage
import pytest
from _pytest.main import pytest_runtestloop
from single_faults import (
    ROOT,
    Fault,
    Place,
    changed_functions,
    changed_line,
    drawn,
    function_lines,
    module_name,
    statement_lines,
)

PACKAGE = ROOT / "rosetta_core"
ROOMS = {  # folders, and the share of faults that must be noticed
    "mining": (("mining",), 0.85),
    "steering": (("steering",), 0.85),
    "significance": (("mining/significance",), 0.85),
    "stages": (("stages", "runtime"), 0.75),
    "pages": (("pages/dictionary",), 0.75),
}
RERUNS = {"rerun"}  # fixtures for tests whose jobs are other processes
HEAVY = {"ui", "whole_runs", "paper", "faults", "cluster"}
LIBRARIES = "matplotlib pandas pyarrow scipy.stats sklearn timm torch torchvision zarr hypothesis"
MEMORY = 2**33  # bytes that the tests of a fault may use
PYTEST = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov"]
FAILED, SLOW, WAITED, SURVIVED = "failed", "slow", "waited", "survived"


class Room:
    """Runs a room's tests with one fault after the other, each in a fork of this process."""

    def __init__(self, name: str, *, minutes: float, seed: int, basetemp: Path) -> None:
        self.folders, self.share = ROOMS[name]
        self.name, self.minutes, self.seed, self.basetemp = name, minutes, seed, basetemp
        self.failed = basetemp.with_name("failed")  # names of tests that failed in the last fork
        # by module that was imported again the tests that pass and fail without a fault
        self.fit, self.unfit = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
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
        items[:] = [item for item in items if not RERUNS & set(item.fixturenames)]

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Test the faults in the place of running the tests."""
        self.imports.stop()
        if session.testsfailed:
            return True
        data = self.imports.get_data()
        self.imported = {path: set(data.lines(str(path)) or ()) for path in self.modules}
        self.session = session
        functions = [f for f in gc.get_objects() if type(f) is FunctionType]
        self.functions = [f for f in functions if f.__code__.co_filename.startswith(f"{PACKAGE}/")]
        self.items = {item.nodeid: item for item in session.items}
        begun = time.monotonic()
        self.baseline = Baseline(self.modules)
        failures = Failures(self.failed)
        if (result := self.in_fork(self.baseline.measure, session, failures)) != SURVIVED:
            print(f"{self.name}: tests do not pass without a fault ({result}):")
            print(self.failed.read_text())
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
        control = self.passes
        if module_name(place.path) not in sys.modules:
            run = partial(self.passes_loading, place.path, mutated)
        elif functions and not self.imported[place.path] & function_lines(pairs):
            run = partial(self.passes_changed, functions)
        else:  # the faulty line runs when the module is imported
            run, pairs = partial(self.passes_imported, place.path, mutated), []
            control = partial(self.passes_imported, place.path, source)
        if pairs:
            names = self.baseline.tests_of_lines(place.path, statement_lines(source, place.line))
        else:
            names = self.baseline.tests_of_module(place.path)
        key = "" if pairs else module_name(place.path)
        while names := names - self.unfit[key]:
            result = self.with_tests(run, names)
            failed = self.failed.read_text().splitlines()
            if result != FAILED or not failed or self.is_fit(failed[0], control, key):
                return result
        return SURVIVED

    def with_tests(self, run: Callable[[Sequence[str]], bool], names: set[str]) -> str:
        """Call a function with tests, quick ones first, in a fork."""
        self.observers = [Failures(self.failed), CpuLimit(self.baseline)]
        cpu = sum(map(self.baseline.cpu_of, names))
        return self.in_fork(run, sorted(names, key=self.baseline.cpu.__getitem__), cpu=cpu)

    def is_fit(self, name: str, control: Callable[[Sequence[str]], bool], key: str) -> bool:
        """Whether a test that noticed a fault passes by itself without the fault."""
        if name not in self.fit[key]:
            if self.with_tests(control, {name}) != SURVIVED:
                self.unfit[key].add(name)
                print(f"left out: {name} fails by itself without a fault {key}", flush=True)
                return False
            self.fit[key].add(name)
        return True

    def passes_changed(
        self, functions: Sequence[tuple[FunctionType, CodeType]], names: Sequence[str]
    ) -> bool:
        """Whether tests pass with other code in some functions."""
        for function, code in functions:
            function.__code__ = code.replace(co_filename=function.__code__.co_filename)
        return self.passes(names)

    def passes_loading(self, path: Path, source: str, names: Sequence[str]) -> bool:
        """Whether tests pass that import a module with a fault, which nothing imported yet."""
        sys.meta_path.insert(0, Fault(path, source))
        return self.passes(names)

    def passes(self, names: Sequence[str]) -> bool:
        """Whether tests that were collected pass."""
        self.session.items[:] = [self.items[name] for name in names]
        self.session.config.option.maxfail = 1
        for observer in self.observers:
            self.session.config.pluginmanager.register(observer)
        try:
            pytest_runtestloop(self.session)
        except self.session.Failed:
            return False
        return not self.session.testsfailed

    def passes_imported(self, path: Path, source: str, names: Sequence[str]) -> bool:
        """Whether tests pass that import the package and a module of it with other source."""
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None) or ""
            if name.partition(".")[0] == PACKAGE.name or file.startswith(f"{ROOT}/tests/"):
                del sys.modules[name]
        sys.meta_path.insert(0, Fault(path, source))
        options = [*PYTEST, "-x", f"--basetemp={self.basetemp}", f"--rootdir={ROOT}"]
        return pytest.main([*options, *names], plugins=self.observers) == 0

    def in_fork(self, function: Callable[..., bool], *arguments: object, cpu: float = 1000) -> str:
        """Call a function, which should need some CPU seconds, in a fork."""
        self.failed.write_text("")
        if (child := os.fork()) == 0:
            code = 1
            try:
                os.setsid()
                null = os.open(os.devnull, os.O_RDWR)
                for stream in (0, 1, 2):
                    os.dup2(null, stream)
                pages = int(Path("/proc/self/statm").read_text().split()[0])
                memory = pages * resource.getpagesize() + MEMORY
                resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
                code = int(not function(*arguments))
            except BaseException:  # an import that fails is noticed
                code = 1
            finally:
                os._exit(code)
        ends = time.monotonic() + 120 + 20 * cpu
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if time.monotonic() > ends:
                os.killpg(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return WAITED
            time.sleep(0.005)
        if os.WIFSIGNALED(ended[1]) and os.WTERMSIG(ended[1]) == signal.SIGPROF:
            return SLOW
        return FAILED if ended[1] else SURVIVED


class Failures:
    """Appends the names of tests that fail to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Name a test that fails."""
        if report.failed:
            with self.path.open("a") as file:
                file.write(f"{report.nodeid}\n")


class CpuLimit:
    """Ends the process when a test needs far more CPU time than without a fault."""

    def __init__(self, baseline: "Baseline") -> None:
        self.baseline = baseline

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Start the CPU time of a test; SIGPROF ends the process."""
        signal.setitimer(signal.ITIMER_PROF, 10 + 5 * self.baseline.cpu_of(item.nodeid))


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

    def cpu_of(self, name: str) -> float:
        """The CPU seconds of a test and of its fixtures, which another test may have paid."""
        users = self.fixtures.items()
        return self.cpu[name] + sum(self.cpu.get(key, 0) for key, used in users if name in used)


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


def main() -> int:
    """Test the rooms that are named, or all."""
    parser = argparse.ArgumentParser(description="Mutation tests of some rooms of the package.")
    parser.add_argument("rooms", nargs="*", choices=[[], *ROOMS], metavar="ROOM")
    parser.add_argument("--minutes", type=float, default=10.0, help="time of a room; default: 10")
    parser.add_argument("--seed", type=int, default=0, help="which faults are drawn; default: 0")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # a fork has no threads of its parent
    os.environ["PYTEST_XDIST_WORKER"] = "fork"  # processes share what tests make once
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
