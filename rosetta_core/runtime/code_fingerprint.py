"""A stage's code as one short text, so that a run notices when it changes.

fingerprint    hash of modules and all they import from this package, without comments
digest         hash of one module's code
"""

import ast
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

__all__ = ["digest", "fingerprint"]

PACKAGE = "rosetta_core"
ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = f"{PACKAGE}.config"  # a stage's settings are compared by value


def fingerprint(*modules: str) -> str:
    """Hash modules and, recursively, what they import from this package.

    Comments, docstrings and layout do not count; nothing is imported or run.
    """
    seen: dict[str, str] = {}
    queue = list(modules)
    while queue:
        module = queue.pop()
        if module not in seen:
            seen[module], imported = _read(module)
            queue += imported
    text = "\n".join(f"{module} {seen[module]}" for module in sorted(seen))
    return sha256(text.encode()).hexdigest()[:16]


def _path(module: str) -> Path | None:
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """The hash of one module's code, and the modules of this package that it imports."""
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
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            _drop_docstring(node)
    return sha256(ast.dump(tree).encode()).hexdigest()


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """The module and every statement in it: a tenth of all nodes, with all that is looked for."""
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        yield node
        for inside in ("body", "orelse", "finalbody", "handlers", "cases"):
            nodes += getattr(node, inside, ())


def _drop_docstring(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef,
) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        node.body = node.body[1:]


def _imports(node: ast.AST) -> list[str]:
    """The modules of this package that an import statement names."""
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    ours = [n for n in names if n.startswith(f"{PACKAGE}.")]
    return [n for n in ours if not n.startswith(LEFT_OUT) and _path(n)]
