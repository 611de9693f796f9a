"""Single faults of modules: cosmic-ray's operators at all their places, and how to load one."""

import ast
import difflib
import importlib.abc
import importlib.util
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType

import parso
from cosmic_ray import plugins
from cosmic_ray.mutating import mutate_code

ROOT = Path(__file__).resolve().parents[1]
SKIPPED = {
    # meaningless in typed code, or in need of names of variables
    *("core/RemoveDecorator", "core/ExceptionReplacer"),
    *("core/VariableReplacer", "core/VariableInserter"),
    # the same for None, enumerations, interned strings and small integers
    *("core/ReplaceComparisonOperator_Is_Eq", "core/ReplaceComparisonOperator_IsNot_NotEq"),
    *("core/ReplaceComparisonOperator_Eq_Is", "core/ReplaceComparisonOperator_NotEq_IsNot"),
}
WITHOUT_FAULTS = {"name", "string", "newline", "endmarker"}  # leaves
# guards against mistakes of the code itself, which change nothing while there is none
GUARDS = {"strict", "frozen"}
# parents of stars of arguments, which cosmic-ray takes for products and powers
NO_OPERATORS = {"parameters", "param", "lambdef", "argument", "arglist", "star_expr", "atom"}
NO_OPERATORS |= {"dictorsetmaker", "testlist_comp", "testlist_star_expr"}


@dataclass(frozen=True)
class Place:
    """A place of a module where an operator makes a fault."""

    path: Path
    operator: str
    number: int
    line: int


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
    visited = [node for node in nodes(tree) if node.type not in WITHOUT_FAULTS]
    for name in plugins.operator_names():
        if name in SKIPPED:
            continue
        operator = plugins.get_operator(name)()
        places = ((node, *at) for node in visited for at in operator.mutation_positions(node))
        for number, (node, start, _) in enumerate(places):
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
