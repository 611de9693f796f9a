"""Values of pickled records, made within limits on their size, number and depth.

Only names with a handler are supported, and none of them is imported or called: the handler makes
the value itself. A record is evaluated every time it is met, so the result is a tree of bounded
size, whatever the memo of the pickle shares.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rosetta_core.zoo.weights.pickles.records import FROZENSET, SET, Record, record_pairs

__all__ = ["HANDLERS", "MAX_KEY", "Evaluator", "Handler", "printable", "unsupported"]

Handler = Callable[["Evaluator", Record], Any]

MAX_DEPTH = 100  # of nested values; the modules of a StyleGAN reach about 25
MAX_VALUES = 250_000  # a generator of 1024×1024 images has about a tenth of that
MAX_BITS = 128  # of an integer
MAX_DIMENSIONS = 32
MAX_KEY = 2**60  # integers below are their own hashes, so they do not collide
MAX_MIXED_KEYS = 1000  # keys that are floats or tuples, whose hashes may collide


class Evaluator:
    """Makes values of records, within limits on their number, size and depth.

    Args:
        handlers: returns the handler of a name, or None if calls of it are not supported.
        constants: values of names that are not called.
        size: size of the file in bytes; values of about four times that are made at most.
        storages: returns the elements of a storage outside the pickle, by its persistent id; None
            if there are none.
        unknown: returns the value of a record without a handler; None refuses it.
        max_values: largest number of values.
    """

    def __init__(
        self,
        handlers: Callable[[str], Handler | None],
        *,
        constants: Mapping[str, Any],
        size: int,
        storages: "Callable[[Evaluator, Any], Any] | None" = None,
        unknown: Handler | None = None,
        max_values: int = MAX_VALUES,
    ) -> None:
        self.handlers, self.constants = handlers, constants
        self.storages, self.unknown = storages, unknown
        self.bytes_left = 4 * size + 2**20
        self.max_values = self.values_left = max_values
        self.mixed_keys_left = MAX_MIXED_KEYS
        self.depth = self.prefix = 0  # of the current value: nesting, length of its module's name
        self.made: dict[int, tuple[Any, Any]] = {}  # nodes and the objects made of them, by id

    def value(self, node: Any) -> Any:
        """Return the value of a node.

        Raises:
            ValueError: it is too large, damaged, or of a name that is not supported.
        """
        self.depth += 1
        self.values_left -= 1
        if self.depth > MAX_DEPTH:
            raise ValueError(f"values nested deeper than {MAX_DEPTH}, or in themselves")
        if self.values_left < 0:
            raise ValueError(f"it unfolds into more than {self.max_values:,} values")
        if isinstance(node, Record):
            value = self._evaluate(node)
        elif isinstance(node, list):
            value = [self.value(item) for item in node]
        elif isinstance(node, tuple):
            value = tuple(self.value(item) for item in node)
        else:
            value = self._literal(node)
        self.depth -= 1
        return value

    def _evaluate(self, record: Record) -> Any:
        if record.arguments is None:
            if record.name in self.constants:
                return self.constants[record.name]
            if self.unknown is None:
                raise unsupported([record.name])
            return self.unknown(self, record)
        handler = self.handlers(record.name) or self.unknown
        if handler is None:
            raise unsupported([record.name])
        return handler(self, record)

    def _literal(self, node: Any) -> Any:
        if isinstance(node, int) and node.bit_length() > MAX_BITS:
            raise ValueError(f"an integer of {node.bit_length():,} bits")
        if isinstance(node, str | bytes | bytearray):
            self.spend(len(node))
        return bytes(node) if isinstance(node, bytearray) else node

    def spend(self, size: int) -> None:
        """Count bytes of values; ValueError if they are too many."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise ValueError("it unfolds into much more than the file's size")

    def once(self, node: Any, make: Callable[[], Any]) -> Any:
        """Return the object made of a node, which is made when the node is first met."""
        if id(node) not in self.made:
            self.made[id(node)] = node, make()
        return self.made[id(node)][1]

    def key(self, node: Any) -> Any:
        """Return the value of a node as a key: a string, a number, None, or a tuple of these."""
        value = self.value(node)
        if isinstance(value, float | tuple):
            self.mixed_keys_left -= 1
            if self.mixed_keys_left < 0:
                raise ValueError(f"more than {MAX_MIXED_KEYS:,} keys that are floats or tuples")
        for part in value if isinstance(value, tuple) else (value,):
            is_integer = isinstance(part, int) and abs(part) < MAX_KEY
            if not (part is None or is_integer or isinstance(part, str | float)):
                raise ValueError(f"a {type(part).__name__} as a key")
        return value

    def pairs(self, node: Any) -> list[tuple[Any, Any]]:
        """Return the keys and values of a dictionary as nodes."""
        pairs = record_pairs(node)
        self.values_left -= len(pairs)
        return pairs

    def arguments(self, record: Record, *, least: int, most: int | None = None) -> tuple[Any, ...]:
        """Return the argument nodes of a call; ValueError if their number is wrong."""
        arguments = record.arguments or ()
        if not least <= len(arguments) <= (most or least):
            raise ValueError(f"a call of {printable(record.name)} with {len(arguments)} arguments")
        return arguments

    def data(self, node: Any) -> bytes:
        """Return the value of a node that has to be bytes."""
        value = self.value(node)
        if not isinstance(value, bytes):
            raise ValueError(f"a {type(value).__name__} in place of bytes")
        return value

    def sizes(self, node: Any) -> tuple[int, ...]:
        """Return the value of a node that has to be a tuple of sizes."""
        value = self.value(node)
        if not isinstance(value, tuple) or len(value) > MAX_DIMENSIONS:
            raise ValueError("a shape that is not a tuple, or has too many dimensions")
        if not all(isinstance(size, int) and 0 <= size < 2**62 for size in value):
            raise ValueError("a shape with invalid sizes")
        return value


def printable(text: str, *, longest: int = 120) -> str:
    """Return text from a file such that it fits one line of a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:longest])


def unsupported(names: Iterable[str]) -> ValueError:
    """Return the error for names that are not supported, with the first three of them."""
    first = ", ".join(printable(name) for name in sorted(names)[:3])
    return ValueError(f"it needs {first}, which rosetta does not support")


def _dictionary(values: Evaluator, record: Record) -> dict[Any, Any]:
    return {values.key(key): values.value(value) for key, value in values.pairs(record)}


def _items(values: Evaluator, record: Record) -> list[Any]:
    items: list[Any] = []
    for initial in values.arguments(record, least=0, most=1):
        if isinstance(initial, Record) and initial.name in (SET, FROZENSET):
            items += _items(values, initial)
        elif isinstance(initial, list | tuple):
            items += initial
        else:
            raise ValueError("a collection made of something else")
    return items + (record.items or [])


def _set(values: Evaluator, record: Record) -> set[Any]:
    return {values.key(item) for item in _items(values, record)}


def _list(values: Evaluator, record: Record) -> list[Any]:
    return [values.value(item) for item in _items(values, record)]


def _tuple(values: Evaluator, record: Record) -> tuple[Any, ...]:
    return tuple(_list(values, record))


def _bytes(values: Evaluator, record: Record) -> bytes:
    """Bytes before protocol 3: no argument, or a string of as many characters."""
    arguments = values.arguments(record, least=0, most=2)
    value = values.value(arguments[0]) if arguments else b""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str) or arguments[1:] not in (("latin1",), ("latin-1",)):
        raise ValueError("bytes made of something else")
    return value.encode("latin-1")


HANDLERS: Mapping[str, Handler] = {
    "_codecs.encode": _bytes,
    "builtins.bytearray": _bytes,
    "builtins.bytes": _bytes,
    "builtins.dict": _dictionary,
    "builtins.frozenset": _set,
    "builtins.list": _list,
    "builtins.set": _set,
    "builtins.tuple": _tuple,
    "collections.OrderedDict": _dictionary,
    "collections.defaultdict": _dictionary,
    "dnnlib.EasyDict": _dictionary,
    "dnnlib.util.EasyDict": _dictionary,
}
