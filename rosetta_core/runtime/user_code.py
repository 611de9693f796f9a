"""Functions of the user that a configuration names: loading, errors, and a fingerprint of the code.

A module is searched in the working directory first, then among the installed ones. A file can
import what is in its folder. Nothing here imports PyTorch.
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
PACKAGE = "rosetta_core"  # fingerprinted stage by stage


@dataclass(frozen=True)
class _Target:
    """`MODULE:NAME` or `FILE.py:NAME`, and the key in the configuration."""

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


def load_function(target: str, *, key: str) -> Callable[..., Any]:
    """Load a function; the code of its file or module is executed.

    Args:
        target: MODULE:NAME or FILE.py:NAME.
        key: key in the configuration, for errors.

    Raises:
        RosettaError: there is no such file, module or function, or its code fails.
    """
    where = _Target(target, key)
    source = source_file(target, key=key)
    _importable(source.parent if where.is_file else Path.cwd())
    with report_errors(target, key=key):
        module = _run(source) if where.is_file else importlib.import_module(where.module)
    function = getattr(module, where.name, None)
    if not callable(function):
        raise where.error(f"{source.name} has no function {where.name!r}; correct the name")
    return function


def source_file(target: str, *, key: str) -> Path:
    """Return the file of a function; nothing is executed.

    Args:
        target: MODULE:NAME or FILE.py:NAME.
        key: key in the configuration, for errors.

    Raises:
        RosettaError: there is no such file or module.
    """
    where = _Target(target, key)
    if not where.module:
        raise where.error("write FILE.py:NAME or MODULE:NAME")
    if where.is_file:
        if not Path(where.module).is_file():
            raise where.error(f"no file {where.module!r}; write FILE.py:NAME")
        if not where.module.endswith(".py"):
            raise where.error(f"{where.module} is not a Python file; write FILE.py:NAME")
        return Path(where.module).absolute()
    file = _module_file(where.module)
    if file is None:
        raise where.error(
            f"no module {where.module!r}, neither in {Path.cwd()} nor installed; write MODULE:NAME "
            "or FILE.py:NAME"
        )
    return file.absolute()


def fingerprint(target: str, *, key: str) -> str:
    """Hash the file of a function and, recursively, the local modules that it imports.

    Local modules are those in the file's folder, or in the folder from which the module is
    imported; for an installed module, those of its package. Comments, docstrings and layout do not
    count; nothing is executed.

    Args:
        target: MODULE:NAME or FILE.py:NAME.
        key: key in the configuration, for errors.

    Raises:
        RosettaError: there is no such file or module, or it is not valid Python.
    """
    where = _Target(target, key)
    source = source_file(target, key=key)
    root, queue, package = source.parent, [source], ""  # package: the only one that is followed
    if not where.is_file:
        parts = where.module.split(".")
        steps = len(parts) if source.stem == "__init__" else len(parts) - 1
        root = source.parents[steps]
        queue += _files(root, where.module)
        package = parts[0] if root.name in INSTALLED else ""
    digests: dict[Path, str] = {}
    while queue:
        path = queue.pop()
        if path in digests:
            continue
        if path.suffix != ".py":  # a compiled module
            digests[path] = sha256(path.read_bytes()).hexdigest()
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"), filename=path.name)
        except (SyntaxError, ValueError) as error:
            prefix = "" if path.name in str(error) else f"{path.name}: "
            raise where.error(f"{prefix}{describe_exception(error)}") from error
        for folder, name in _imports(tree, path, root):
            top = name.split(".")[0]
            if folder != root or (top != PACKAGE and package in ("", top)):
                queue += _files(folder, name)
        digests[path] = digest(tree)
    text = "\n".join(f"{path.relative_to(root)} {digests[path]}" for path in sorted(digests))
    return sha256(text.encode()).hexdigest()[:16]


@contextmanager
def report_errors(target: str, *, key: str) -> Iterator[None]:
    """Convert exceptions of the user's code to a RosettaError that names the function.

    Args:
        target: MODULE:NAME or FILE.py:NAME.
        key: key in the configuration.
    """
    try:
        yield
    except RosettaError:
        raise
    except (Exception, SystemExit) as error:
        message = describe_exception(error, source_file(target, key=key))
        raise _Target(target, key).error(message) from error


def _module_file(module: str) -> Path | None:
    """Return the file of a module; importlib.util.find_spec would execute its parent packages."""
    _importable(Path.cwd())
    top, *rest = module.split(".")
    finders = (finder.find_spec(top, None) for finder in sys.meta_path)
    spec = next((spec for spec in finders if spec), None)
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
    """Put a folder first on the module search path, as Python does for a script."""
    importlib.invalidate_caches()
    if str(folder) in sys.path:
        sys.path.remove(str(folder))
    sys.path.insert(0, str(folder))


def _run(source: Path) -> ModuleType:
    """Execute a file as a module, each time again."""
    name = f"rosetta_own_{sha256(str(source).encode()).hexdigest()[:16]}"
    loader = _SourceLoader(name, str(source))
    spec = importlib.util.spec_from_file_location(name, source, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module
    loader.exec_module(module)
    return module


class _SourceLoader(SourceFileLoader):
    """Compiles the source every time.

    Python matches cached bytecode to a file by size and modification time in seconds, so it may
    belong to an earlier version.
    """

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _imports(tree: ast.Module, path: Path, root: Path) -> Iterator[tuple[Path, str]]:
    """Yield folders and dotted names relative to them, as import statements name them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((root, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            folder = path.parents[node.level - 1] if node.level else root
            if folder == root or root in folder.parents:
                start = f"{node.module}." if node.module else ""
                yield from ((folder, start + alias.name) for alias in node.names)


def _files(folder: Path, name: str) -> list[Path]:
    """Return the files in a folder that importing a dotted name executes."""
    files = []
    base = folder
    for part in name.split("."):
        base = base / part
        files += [base.with_suffix(".py"), base / "__init__.py"]
    return [path for path in files if path.is_file()]
