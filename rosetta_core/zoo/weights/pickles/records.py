"""Pickles as inert records of what they would build; nothing in a file is imported or called.

A pickle (PEP 307, PEP 3154) is a program for a machine with a stack and a memo. `pickletools`
decodes its instructions; here the machine records names instead of importing them, and calls
instead of making them. Nothing is hashed or compared, since a file could choose values that make
this slow. Memory is bounded by the size of the file and the number of instructions.
"""

import pickletools
from collections.abc import Callable, Iterator
from io import BytesIO
from mmap import mmap
from typing import IO, Any, cast

__all__ = ["PERSISTENT", "Record", "parse_pickle", "record_pairs", "referenced", "referenced_names"]

MAX_INSTRUCTIONS = 500_000  # the largest official files should have less than half of that
MAX_NAME = 1000  # characters; joining longer parts of names would multiply the file's size
PERSISTENT = "persistent id"  # name of a record of an object outside the pickle
DICT, SET, FROZENSET = "builtins.dict", "builtins.set", "builtins.frozenset"
# earlier names of modules, and their names today or in the NumPy of the official files
ALIASES = {
    "__builtin__.": "builtins.",
    "copy_reg.": "copyreg.",
    "numpy._core.": "numpy.core.",
    "torch.cuda.": "torch.",
}


class Record:
    """A class or function that a pickle names, or an object that a call of it would return.

    Attributes:
        name: dotted name of the class or function.
        arguments: positional arguments of the call; None if there is no call.
        state: in a tuple of one, the state that the object would be given.
        items: items that would be appended or added to it.
        pairs: keys and values that would be set in it, in order; the last of a key counts.
    """

    __slots__ = ("arguments", "items", "name", "pairs", "state")

    def __init__(self, name: str, arguments: tuple[Any, ...] | None = None) -> None:
        self.name, self.arguments = name, arguments
        self.state: tuple[Any] | None = None
        self.items: list[Any] | None = None
        self.pairs: list[tuple[Any, Any]] | None = None

    def children(self) -> Iterator[Any]:
        """Yield everything that the record refers to."""
        yield from self.arguments or ()
        yield from self.state or ()
        yield from self.items or ()
        for pair in self.pairs or ():
            yield from pair


def parse_pickle(file: BytesIO | mmap, *, max_instructions: int = MAX_INSTRUCTIONS) -> Any:
    """Parse the pickle at the file's position, and leave the position at its end.

    Args:
        file: of these types, because their `read` returns no more than there is, whatever length a
            pickle states.
        max_instructions: largest number of instructions of the pickle.

    Returns:
        Numbers, strings, bytes, lists, tuples and None as they are; a `Record` in place of
        everything else.

    Raises:
        ValueError: the pickle is damaged, too long, or uses instructions that no pickler writes.
    """
    machine, stream = _Machine(), cast("IO[bytes]", file)
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if count == max_instructions:
                raise ValueError(f"more than {max_instructions:,} instructions")
            machine.run(opcode, argument)
        (root,) = machine.pop(1)
        return root
    except (IndexError, KeyError):
        raise ValueError("an instruction takes from an empty stack or memo") from None


def record_pairs(node: Any) -> list[tuple[Any, Any]]:
    """Return the keys and values of a record of a dictionary, of whatever class.

    Raises:
        ValueError: the node is not such a record.
    """
    if not isinstance(node, Record) or node.arguments is None:
        raise ValueError(f"a {_kind(node)} in place of a dictionary")
    initial = [a for a in node.arguments if isinstance(a, Record) and a.name == DICT]
    pairs = [pair for argument in initial for pair in argument.pairs or ()]
    return pairs + (node.pairs or [])


def referenced_names(node: Any) -> set[str]:
    """Return the names of all records that a node refers to, directly or indirectly."""
    return {record.name for record in referenced(node)}


def referenced(node: Any) -> Iterator[Record]:
    """Yield every record that a node refers to, directly or indirectly, and itself."""
    seen, waiting = {id(node)}, [node]
    while waiting:
        node = waiting.pop()
        children: Iterator[Any] = iter(())
        if isinstance(node, Record):
            yield node
            children = node.children()
        elif isinstance(node, list | tuple):
            children = iter(node)
        for child in children:
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)


class _Machine:
    """Stack, marks on the stack, and memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []  # heights of the stack
        self.memo: dict[int, Any] = {}

    def run(self, opcode: pickletools.OpcodeInfo, argument: Any) -> None:
        """Run one instruction."""
        name = opcode.name
        if name in STACK_INSTRUCTIONS:
            STACK_INSTRUCTIONS[name](self, argument)
        elif name in VALUES:
            operands = opcode.stack_before
            taken: list[Any] = []
            if pickletools.markobject in operands:
                taken = [self.pop_mark()]
                operands = operands[: operands.index(pickletools.markobject)]
            self.stack.append(VALUES[name](argument, *self.pop(len(operands)), *taken))
        elif isinstance(argument, int | float | str | bytes | bytearray):
            self.stack.append(argument)
        else:
            raise ValueError(f"the instruction {name}")

    def pop(self, count: int) -> list[Any]:
        """Take operands off the stack, none of them below the last mark."""
        start = len(self.stack) - count
        if start < (self.marks[-1] if self.marks else 0):
            raise IndexError
        taken = self.stack[start:]
        del self.stack[start:]
        return taken

    def pop_mark(self) -> list[Any]:
        """Take a mark and everything above it."""
        taken = self.pop(len(self.stack) - self.marks[-1])
        self.marks.pop()
        return taken

    def pop_one(self) -> None:
        """Take a value, or a mark if it is on top."""
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop(1)

    def push(self, *values: Any) -> None:
        """Put values on the stack."""
        self.stack += values

    def top(self) -> Any:
        """Return the value on top of the stack."""
        (value,) = self.pop(1)
        self.stack.append(value)
        return value

    def store(self, key: int) -> None:
        """Put the value on top into the memo."""
        self.memo[key] = self.top()


def _name(text: str) -> Record:
    name = text.replace(" ", ".", 1)  # pickletools joins module and name by a space
    for alias, current in ALIASES.items():
        if name.startswith(alias):
            name = current + name.removeprefix(alias)
    return Record(name)


def _join_name(_: Any, module: Any, name: Any) -> Record:
    if not isinstance(name, str) or not isinstance(module, str):
        raise ValueError("a class or function whose name is not a string")
    if len(name) + len(module) > MAX_NAME:
        raise ValueError(f"a name of more than {MAX_NAME:,} characters")
    return _name(f"{module} {name}")


def _call(_: Any, function: Any, arguments: Any) -> Record:
    """Record a call, and simplify calls of two functions that stand for calls of a class.

    `dill._dill._load_type(name)` returns a built-in type, and `copyreg._reconstructor(class,
    base, value)` an object, before protocol 2.
    """
    if not isinstance(arguments, tuple):
        raise ValueError(f"a call with a {_kind(arguments)} in place of arguments")
    name = function.name if isinstance(function, Record) else _kind(function)
    if isinstance(function, Record) and function.arguments is not None:
        match function.name, function.arguments:
            case "dill._dill._load_type", (str(kind),):
                name = f"builtins.{kind[:MAX_NAME]}"
            case "persistent id", (("module", Record(name=str(kind)), *_),):
                name = kind  # a class, as torch.save wrote it before version 1.6
            case _:
                name = "the result of a call"
    if name == "copyreg._reconstructor" and len(arguments) == 3:
        kind, _, value = arguments
        return _call(None, kind, () if value is None else (value,))
    return Record(name, arguments)


def _call_with_keywords(_: Any, function: Any, arguments: Any, keywords: Any) -> Record:
    return Record("a call with keyword arguments", (function, arguments, keywords))


def _extend(_: Any, target: Any, items: list[Any]) -> Any:
    if isinstance(target, list):
        target += items
    elif isinstance(target, Record) and target.arguments is not None:
        target.items = target.items or []
        target.items += items
    else:
        raise ValueError(f"items are appended to a {_kind(target)}")
    return target


def _set_items(_: Any, target: Any, flat: list[Any]) -> Any:
    if not isinstance(target, Record) or target.arguments is None:
        raise ValueError(f"items are set in a {_kind(target)}")
    if len(flat) % 2:
        raise ValueError("a key without a value")
    target.pairs = target.pairs or []
    target.pairs += zip(flat[::2], flat[1::2], strict=True)
    return target


def _set_state(_: Any, target: Any, state: Any) -> Any:
    if not isinstance(target, Record) or target.arguments is None or target.state is not None:
        raise ValueError(f"a {_kind(target)} is given a state, or a second one")
    target.state = (state,)
    return target


def _kind(node: Any) -> str:
    return node.name[:MAX_NAME] if isinstance(node, Record) else type(node).__name__


# instructions that return a value: of their argument, the operands, and the list above a mark
VALUES: dict[str, Callable[..., Any]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_LIST": lambda _: [],
    "EMPTY_TUPLE": lambda _: (),
    "EMPTY_DICT": lambda _: Record(DICT, ()),
    "EMPTY_SET": lambda _: Record(SET, ()),
    "LIST": lambda _, items: items,
    "TUPLE": lambda _, items: tuple(items),
    **dict.fromkeys(("TUPLE1", "TUPLE2", "TUPLE3"), lambda _, *items: items),
    "DICT": lambda _, flat: _set_items(None, Record(DICT, ()), flat),
    "FROZENSET": lambda _, items: Record(FROZENSET, (items,)),
    "APPEND": lambda _, target, item: _extend(None, target, [item]),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), _extend),
    "SETITEM": lambda _, target, key, value: _set_items(None, target, [key, value]),
    "SETITEMS": _set_items,
    "GLOBAL": _name,
    "STACK_GLOBAL": _join_name,
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), lambda code: Record(f"copyreg.extension {code}")),
    "PERSID": lambda key: Record(PERSISTENT, (key,)),
    "BINPERSID": lambda _, key: Record(PERSISTENT, (key,)),
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _call),
    "NEWOBJ_EX": _call_with_keywords,
    "INST": lambda name, items: _call(None, _name(name), tuple(items)),
    "OBJ": lambda _, items: _call(None, items[0], tuple(items[1:])),
    "BUILD": _set_state,
}
# instructions that move values between stack and memo
STACK_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, _: None),
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "POP": lambda machine, _: machine.pop_one(),
    "POP_MARK": lambda machine, _: machine.push() if machine.pop_mark() else None,
    "DUP": lambda machine, _: machine.push(machine.top()),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"), lambda machine, key: machine.push(machine.memo[key])
    ),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.store),
    "MEMOIZE": lambda machine, _: machine.store(len(machine.memo)),
}
