"""Fingerprints of code: hashes of modules and of all that they import from this package.

Imports are read, not executed: those at the top of a module, in functions, and in every branch.
Imports under `if TYPE_CHECKING` never run and do not count, nor do comments, docstrings and layout.
Modules of configuration models are left out, since settings are compared by value.
"""

import ast
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

__all__ = ["code_fingerprint", "digest", "imported_modules"]

PACKAGE = "rosetta_core"
ROOT = Path(__file__).resolve().parents[2]
CONFIGURATION = (  # models of configuration values
    f"{PACKAGE}.config",
    f"{PACKAGE}.training.recipe",
    f"{PACKAGE}.validation",
    f"{PACKAGE}.zoo.model_spec",
    f"{PACKAGE}.zoo.named_models",
    f"{PACKAGE}.zoo.weights.sources",
)


def code_fingerprint(*modules: str) -> str:
    """Hash modules and, recursively, what they import from this package; nothing is executed."""
    digests = _digests(modules)
    text = "\n".join(f"{module} {digests[module]}" for module in sorted(digests))
    return sha256(text.encode()).hexdigest()[:16]


def imported_modules(*modules: str) -> set[str]:
    """Return the modules whose code `code_fingerprint` hashes, packages among them."""
    return set(_digests(modules))


def _digests(modules: tuple[str, ...]) -> dict[str, str]:
    """Hashes by module."""
    digests: dict[str, str] = {}
    queue = list(modules)
    while queue:
        module = queue.pop()
        if module in digests or is_configuration(module):
            continue
        digests[module], imported = _read(module)
        queue += imported
        if "." in module:  # importing a module runs the packages around it
            queue.append(module.rpartition(".")[0])
    return digests


def is_configuration(module: str) -> bool:
    """Return whether a module only has configuration models."""
    return any(module == name or module.startswith(f"{name}.") for name in CONFIGURATION)


def _path(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """Return the hash of one module's code, and the modules of this package that it imports."""
    path = _path(module)
    if path is None:
        raise ModuleNotFoundError(module)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imported = {name for node in _statements(tree) for name in _imports(node)}
    static = path.parent / "static" if path.stem == "__init__" else None
    found = sha256(digest(tree).encode())
    for file in sorted(static.rglob("*")) if static else []:
        if file.is_file():
            found.update(file.relative_to(path.parent).as_posix().encode() + file.read_bytes())
    return found.hexdigest(), tuple(sorted(imported))


def digest(tree: ast.Module) -> str:
    """Hash code without its docstrings, which are taken out of the tree."""
    for node in _statements(tree, typing=True):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    return sha256(ast.dump(tree).encode()).hexdigest()


def _statements(tree: ast.Module, *, typing: bool = False) -> Iterator[ast.AST]:
    """Yield the module and every statement in it: a tenth of all nodes, with all imports.

    Args:
        tree: the module.
        typing: with what stands under `if TYPE_CHECKING`, too.
    """
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        yield node
        skipped = () if typing or not _is_for_typing(node) else ("body",)
        for inside in ("body", "orelse", "finalbody", "handlers", "cases"):
            if inside not in skipped:
                nodes += getattr(node, inside, ())


def _is_for_typing(node: ast.AST) -> bool:
    """Return whether a statement is `if TYPE_CHECKING:`."""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def _drop_docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        node.body = node.body[1:]


def _imports(node: ast.AST) -> list[str]:
    """Return the modules of this package that an import statement names."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    ours = [n for n in names if n.split(".")[0] == PACKAGE]
    return [n for n in ours if _path(n)]
