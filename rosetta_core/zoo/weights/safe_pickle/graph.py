"""A pickle as a graph of inert nodes: what it would build, without building it.

parse      the graph of the next pickle in a file
Global     a class or function that the pickle names; it is never imported
Call       what one of them would be called with, and what would be put into the result
Pairs      a dictionary, as its pairs
Members    a set, as its members
Persistent a reference to something outside the pickle

A pickle (PEP 307, PEP 3154, the module pickletools) is a program for a machine with a stack and a
memo. Here that machine pushes names instead of looking them up and notes calls instead of making
them, so a file can do nothing but describe itself. Nothing is hashed or compared, because what a
file says may be chosen to make that slow. Memory is bounded by the file's size and the number of
instructions.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from mmap import mmap
from typing import IO, Any, cast

__all__ = ["Call", "Global", "Members", "Pairs", "Persistent", "parse"]

MOST_INSTRUCTIONS = 500_000  # the largest official files should have less than half of that
LONGEST_NAME = 1000


@dataclass(eq=False, slots=True)
class Global:
    """A class or function, by its "module name"; EXT codes have the module copyreg."""

    name: str


@dataclass(eq=False, slots=True)
class Call:
    """A call that was not made.

    Attributes:
        function: a node, as a rule a Global.
        arguments: a node, as a rule a tuple.
        keywords: a node, if there are any.
        state: what BUILD would hand to the result, in a tuple of one.
        items: what would be appended to the result.
        pairs: what would be set in it.
    """

    function: Any
    arguments: Any
    keywords: Any = None
    state: tuple[Any] | None = None
    items: list[Any] | None = None
    pairs: list[tuple[Any, Any]] | None = None


@dataclass(eq=False, slots=True)
class Pairs:
    """A dictionary: its pairs in order, of which the last with a key counts."""

    pairs: list[tuple[Any, Any]]


@dataclass(eq=False, slots=True)
class Members:
    """A set or a frozen set."""

    items: list[Any]


@dataclass(eq=False, slots=True)
class Persistent:
    """A reference to something outside the pickle."""

    key: Any


def parse(file: BytesIO | mmap, *, most: int = MOST_INSTRUCTIONS) -> Any:
    """Read the pickle that starts where the file stands, to its end; return the root node.

    Numbers, texts, bytes, lists, tuples and None are themselves; all else is a node of this module.

    Args:
        file: of these kinds, because their `read` takes no more than there is, whatever the
            pickle asks for.
        most: how many instructions the pickle may have.

    Raises:
        ValueError: it is damaged, has too many instructions, or does what no pickle does.
    """
    machine, instructions = _Machine(), cast("IO[bytes]", file)
    try:
        for count, (instruction, argument, _) in enumerate(pickletools.genops(instructions)):
            if count == most:
                raise ValueError(f"more than {most:,} instructions")
            machine.run(instruction.name, argument)
        return machine.stack.pop()
    except (IndexError, KeyError):
        raise ValueError("takes from an empty stack or memo") from None


class _Machine:
    """The stack and the memo. Each method is one instruction or several of a kind."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def run(self, name: str, argument: Any) -> None:
        if name in LITERALS:
            self.stack.append(argument)
        elif name in MAKES:
            self.stack.append(MAKES[name](argument))
        elif name in RUNS:
            RUNS[name](self, argument)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise ValueError(f"the instruction {name}")

    def since_mark(self) -> list[Any]:
        found, self.stack = self.stack, self.marked.pop()
        return found

    def mark(self, _: Any) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def pop_mark(self, _: Any) -> None:
        self.since_mark()

    def duplicate(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def get(self, key: int) -> None:
        self.stack.append(self.memo[key])

    def put(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def group(self, size: int) -> None:
        if len(self.stack) < size:
            raise IndexError
        self.stack[-size:] = [tuple(self.stack[-size:])]

    def from_mark(self, make: Callable[[list[Any]], Any]) -> None:
        found = self.since_mark()
        self.stack.append(make(found))

    def append(self, _: Any) -> None:
        value = self.stack.pop()
        self._items().append(value)

    def appends(self, _: Any) -> None:
        found = self.since_mark()
        self._items().extend(found)

    def _items(self) -> list[Any]:
        target = self.stack[-1]
        if isinstance(target, list):
            return target
        if not isinstance(target, Call | Members):
            raise ValueError(f"appends to a {type(target).__name__}")
        if target.items is None:
            target.items = []
        return target.items

    def set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._pairs().append((key, value))

    def set_items(self, _: Any) -> None:
        found = self.since_mark()
        self._pairs().extend(_in_pairs(found))

    def _pairs(self) -> list[tuple[Any, Any]]:
        target = self.stack[-1]
        if not isinstance(target, Call | Pairs):
            raise ValueError(f"sets items of a {type(target).__name__}")
        if target.pairs is None:
            target.pairs = []
        return target.pairs

    def stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a global whose name is no text")
        if len(name) + len(module) > LONGEST_NAME:  # joining long ones would multiply the file
            raise ValueError("a global with an endless name")
        self.stack.append(Global(f"{module} {name}"))

    def persistent(self, _: Any) -> None:
        self.stack.append(Persistent(self.stack.pop()))

    def reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(Call(function, arguments))

    def new_with_keywords(self, _: Any) -> None:
        keywords, arguments, function = self.stack.pop(), self.stack.pop(), self.stack.pop()
        self.stack.append(Call(function, arguments, keywords))

    def instance(self, name: str) -> None:
        found = self.since_mark()
        self.stack.append(Call(Global(name), tuple(found)))

    def old_instance(self, _: Any) -> None:
        function, *arguments = self.since_mark() or [None]
        self.stack.append(Call(function, tuple(arguments)))

    def build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, Call) or target.state is not None:
            raise ValueError(f"gives a state to a {type(target).__name__}, or a second one")
        target.state = (state,)


def _in_pairs(flat: list[Any]) -> list[tuple[Any, Any]]:
    if len(flat) % 2:
        raise ValueError("a key without a value")
    return list(zip(flat[::2], flat[1::2], strict=True))


LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
    "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
MAKES: dict[str, Callable[[Any], Any]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_DICT": lambda _: Pairs([]),
    "EMPTY_SET": lambda _: Members([]),
    "GLOBAL": Global,
    "PERSID": Persistent,
    **{name: lambda code: Global(f"copyreg {code}") for name in ("EXT1", "EXT2", "EXT4")},
}
RUNS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.duplicate,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    "MEMOIZE": _Machine.memoize,
    "TUPLE1": lambda machine, _: machine.group(1),
    "TUPLE2": lambda machine, _: machine.group(2),
    "TUPLE3": lambda machine, _: machine.group(3),
    "TUPLE": lambda machine, _: machine.from_mark(tuple),
    "LIST": lambda machine, _: machine.from_mark(list),
    "DICT": lambda machine, _: machine.from_mark(lambda found: Pairs(_in_pairs(found))),
    "FROZENSET": lambda machine, _: machine.from_mark(Members),
    "APPEND": _Machine.append,
    **dict.fromkeys(("APPENDS", "ADDITEMS"), _Machine.appends),
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "STACK_GLOBAL": _Machine.stack_global,
    "BINPERSID": _Machine.persistent,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _Machine.reduce),
    "NEWOBJ_EX": _Machine.new_with_keywords,
    "INST": _Machine.instance,
    "OBJ": _Machine.old_instance,
    "BUILD": _Machine.build,
}
