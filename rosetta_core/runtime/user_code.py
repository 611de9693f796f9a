"""Code of the user's own: functions that a configuration names, and what tells that they changed.

load_function    the function at MODULE:NAME or FILE.py:NAME
source_file        the file that it stands in
fingerprint      hash of that file and of what it imports from beside it, without comments
report_errors         within it, whatever the user's code raises becomes an error of one line

A module is found from the working directory, and then like any installed one. What stands beside
a file can be imported by it. Nothing here imports torch.
"""

import ast
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.machinery import SourceFileLoader, all_suffixes
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from rosetta_core.errors import RosettaError, describe_exception
from rosetta_core.runtime.code_fingerprint import digest

__all__ = ["fingerprint", "load_function", "report_errors", "source_file"]

INSTALLED = ("site-packages", "dist-packages")
SUFFIXES = all_suffixes()
PACKAGE = "rosetta_core"  # its own changes are watched stage by stage


@dataclass(frozen=True)
class _Place:
    """A place `MODULE:NAME` or `FILE.py:NAME`, and the key of the configuration that names it."""

    text: str
    key: str

    @property
    def module(self) -> str:
        return self.text.rpartition(":")[0]

    @property
    def name(self) -> str:
        return self.text.rpartition(":")[2]

    @property
    def is_file(self) -> bool:
        return self.module.endswith(".py") or "/" in self.module or Path(self.module).is_file()

    def error(self, problem: str) -> RosettaError:
        return RosettaError(f"{self.key} {self.text!r}: {problem}")


def load_function(place: str, *, key: str) -> Callable[..., Any]:
    """Load a function; the code of its file or module runs.

    Args:
        place: MODULE:NAME or FILE.py:NAME.
        key: of the configuration that names it, for errors.

    Raises:
        RosettaError: there is no such file, module or function, or its code can't be run.
    """
    where = _Place(place, key)
    source = source_file(place, key=key)
    _importable(source.parent if where.is_file else Path.cwd())
    with report_errors(place, key=key):
        module = _run(source) if where.is_file else importlib.import_module(where.module)
    function = getattr(module, where.name, None)
    if not callable(function):
        raise where.error(f"{source.name} has no function {where.name!r}")
    return function


def source_file(place: str, *, key: str) -> Path:
    """Return the file that a function stands in; nothing is run.

    Args:
        place: MODULE:NAME or FILE.py:NAME.
        key: of the configuration that names it, for errors.

    Raises:
        RosettaError: there is no such file or module.
    """
    where = _Place(place, key)
    if not where.module:
        raise where.error("write FILE.py:NAME or MODULE:NAME")
    if where.is_file:
        if not Path(where.module).is_file():
            raise where.error(f"no file {where.module!r}; write FILE.py:NAME")
        if not where.module.endswith(".py"):
            raise where.error(f"{where.module} is no Python file")
        return Path(where.module).absolute()
    file = _module_file(where.module)
    if file is None:
        raise where.error(
            f"no module {where.module!r}, neither in {Path.cwd()} nor installed; write MODULE:NAME "
            "or FILE.py:NAME"
        )
    return file.absolute()


def fingerprint(place: str, *, key: str) -> str:
    """Hash the file of a function and, recursively, what it imports from beside it.

    Beside it is what lies in the folder of a file, or in that from which a module is found; of an
    installed module, its package alone. Comments, docstrings and layout do not count; nothing is
    run.

    Args:
        place: MODULE:NAME or FILE.py:NAME.
        key: of the configuration that names it, for errors.

    Raises:
        RosettaError: there is no such file or module, or it is no Python.
    """
    where = _Place(place, key)
    source = source_file(place, key=key)
    root, queue, within = source.parent, [source], ""
    if not where.is_file:
        parts = where.module.split(".")
        steps = len(parts) if source.stem == "__init__" else len(parts) - 1
        root = source.parents[steps]
        queue += _files(root, where.module)
        within = parts[0] if root.name in INSTALLED else ""
    seen: dict[Path, str] = {}
    while queue:
        path = queue.pop()
        if path in seen:
            continue
        if path.suffix != ".py":  # compiled
            seen[path] = sha256(path.read_bytes()).hexdigest()
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"), filename=path.name)
        except (SyntaxError, ValueError) as error:
            named = "" if path.name in str(error) else f"{path.name}: "
            raise where.error(f"{named}{describe_exception(error)}") from error
        for folder, name in _imports(tree, path, root):
            top = name.split(".")[0]
            if folder != root or (top != PACKAGE and within in ("", top)):
                queue += _files(folder, name)
        seen[path] = digest(tree)
    text = "\n".join(f"{path.relative_to(root)} {seen[path]}" for path in sorted(seen))
    return sha256(text.encode()).hexdigest()[:16]


@contextmanager
def report_errors(place: str, *, key: str) -> Iterator[None]:
    """Turn what the code of a place raises into a RosettaError that names the place.

    Args:
        place: MODULE:NAME or FILE.py:NAME.
        key: of the configuration that names it.
    """
    try:
        yield
    except RosettaError:
        raise
    except (Exception, SystemExit) as error:
        said = describe_exception(error, source_file(place, key=key))
        raise _Place(place, key).error(said) from error


def _module_file(module: str) -> Path | None:
    """The file of a module, if any; importlib.util.find_spec would run the packages around it."""
    _importable(Path.cwd())
    top, *rest = module.split(".")
    finders = (finder.find_spec(top, None) for finder in sys.meta_path)
    spec = next((found for found in finders if found), None)
    if spec is None:
        return None
    file: Path | None = Path(spec.origin or "")
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    for part in rest:
        inside = [folder / part for folder in folders]
        files = [folder / "__init__.py" for folder in inside]
        files += [folder.with_name(part + suffix) for folder in inside for suffix in SUFFIXES]
        file = next((path for path in files if path.is_file()), None)
        folders = [folder for folder in inside if folder.is_dir()]
    return file if file and file.is_file() else None


def _importable(folder: Path) -> None:
    """Let a folder be the first where modules are looked for, as Python does for a script."""
    importlib.invalidate_caches()
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))


def _run(source: Path) -> ModuleType:
    """Run a file as a module of its own, anew each time."""
    name = f"rosetta_own_{sha256(str(source).encode()).hexdigest()[:16]}"
    loader = _SourceLoader(name, str(source))
    spec = importlib.util.spec_from_file_location(name, source, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    loader.exec_module(module)
    return module


class _SourceLoader(SourceFileLoader):
    """Compiles the file as it stands.

    Bytecode that Python keeps is told to be a file's by its size and the second of its change, so
    it may be of what stood there before.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _imports(tree: ast.Module, path: Path, root: Path) -> Iterator[tuple[Path, str]]:
    """What import statements name: folders to look from, and dotted names from there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((root, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            folder = path.parents[node.level - 1] if node.level else root
            if folder == root or root in folder.parents:
                start = f"{node.module}." if node.module else ""
                yield from ((folder, start + alias.name) for alias in node.names)


def _files(folder: Path, name: str) -> list[Path]:
    """The files in a folder that importing a dotted name runs."""
    found = []
    base = folder
    for part in name.split("."):
        base = base / part
        found += [base.with_suffix(".py"), base / "__init__.py"]
    return [path for path in found if path.is_file()]
