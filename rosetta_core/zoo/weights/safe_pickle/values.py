"""What a pickle's graph stands for: plain values, made without calling what the pickle names.

Values         turns nodes into values, within a budget
Handler        makes the value of a call of one known function
PLAIN          by "module name" the handlers of Python's own types and of EasyDict
names_in       every global that a node reaches
pairs_of       the nodes of a dictionary, of whatever class
canonical      one name for a global that goes by several
shown          a text out of a file, fit for one line
unknown        the error that names globals that aren't known

Only names in a table are understood. Each value is made from a node every time that the node is
met, so that what comes out is a tree of bounded size, whatever the memo of the pickle shares.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rosetta_core.zoo.weights.safe_pickle.graph import Call, Global, Members, Pairs, Persistent

__all__ = ["PLAIN", "Handler", "Values", "canonical", "names_in", "pairs_of", "shown", "unknown"]

Handler = Callable[["Values", Call], Any]

DEEPEST = 100  # nested values; a StyleGAN's modules reach about 25
MOST_VALUES = 250_000  # a generator of 1024×1024 pixels has about a tenth of that
WIDEST = 128  # bits of an integer
ORDERED = 2**60  # keys below are their own hashes, so that none collide

ALIASES = {"__builtin__": "builtins", "copy_reg": "copyreg", "torch.cuda": "torch"}


class Values:
    """Turns nodes into values.

    Args:
        known: finds the handler of a function by its canonical name; None if it isn't known.
        constants: by canonical name what is handed out for a global that isn't called.
        size: of the file in bytes; no more than about four times as many are handed out.
    """

    def __init__(
        self,
        known: Callable[[str], Handler | None],
        *,
        constants: Mapping[str, Any],
        size: int,
    ) -> None:
        self.known, self.constants = known, constants
        self.bytes_left = 4 * size + 2**20
        self.values_left = MOST_VALUES
        self.depth = self.prefix = 0  # of the value at hand: nesting, letters of its modules' names
        self.made: dict[int, tuple[Any, Any]] = {}  # by id a node that is one object, and its value

    def of(self, node: Any) -> Any:
        """Return the value of a node.

        Raises:
            ValueError: it needs a global that isn't known, is damaged, or is too large.
        """
        self.depth += 1
        self.values_left -= 1
        if self.depth > DEEPEST:
            raise ValueError(f"values nested deeper than {DEEPEST}, or in themselves")
        if self.values_left < 0:
            raise ValueError(f"it unfolds into more than {MOST_VALUES:,} values")
        value = self._of(node)
        self.depth -= 1
        return value

    def _of(self, node: Any) -> Any:
        match node:
            case Call():
                value = self._result(node)
            case list():
                value = [self.of(item) for item in node]
            case tuple():
                value = tuple(self.of(item) for item in node)
            case Pairs():
                value = _dictionary(self, node)
            case Members(items):
                value = {self.key(item) for item in items}
            case Global(name):
                value = self._constant(canonical(name))
            case Persistent():
                raise ValueError("a reference to something outside the file")
            case _:
                value = self._literal(node)
        return value

    def _constant(self, name: str) -> Any:
        if name not in self.constants:
            raise unknown([name])
        return self.constants[name]

    def once(self, node: Any, make: Callable[[], Any]) -> Any:
        """The value of a node that is made when it is first met, and is one object from then on."""
        if id(node) not in self.made:
            self.made[id(node)] = node, make()
        return self.made[id(node)][1]

    def spend(self, size: int) -> None:
        """Count bytes that are handed out; ValueError when they are too many."""
        self.bytes_left -= size
        if self.bytes_left < 0:
            raise ValueError("it unfolds into much more than the file's size")

    def _result(self, call: Call) -> Any:
        name = self.function(call.function)
        handler = self.known(name)
        if handler is None:
            raise unknown([name])
        return handler(self, call)

    def function(self, node: Any) -> str:
        """The canonical name of a function; dill names types by a call of its own."""
        match node:
            case Global(name):
                return canonical(name)
            case Call(Global("dill._dill _load_type"), (str(name),)):
                return f"builtins {name}"
        return "a function without a name"

    def _literal(self, node: Any) -> Any:
        if isinstance(node, int) and node.bit_length() > WIDEST:
            raise ValueError(f"an integer of {node.bit_length():,} bits")
        if isinstance(node, str | bytes | bytearray):
            self.spend(len(node))
        return bytes(node) if isinstance(node, bytearray) else node

    def key(self, node: Any) -> Any:
        """The value of a node that can be a key: a text, a number, or a tuple of those."""
        value = self.of(node)
        for part in value if isinstance(value, tuple) else (value,):
            integer = isinstance(part, int) and abs(part) < ORDERED
            if not (part is None or integer or isinstance(part, str | float)):
                raise ValueError(f"a {type(part).__name__} as a key")
        return value

    def pairs(self, node: Any) -> list[tuple[Any, Any]]:
        """The pairs of nodes of a dictionary, counted as they are handed out."""
        found = pairs_of(node)
        self.values_left -= len(found)
        return found

    def arguments(self, call: Call, *, least: int, most: int | None = None) -> tuple[Any, ...]:
        """The argument nodes of a call; ValueError unless there are as many as there must be."""
        found = call.arguments
        fits = isinstance(found, tuple) and least <= len(found) <= (most or least)
        if not fits or call.keywords:
            raise ValueError(f"a call of {shown(self.function(call.function))} with odd arguments")
        return found

    def raw(self, node: Any) -> bytes:
        """The value of a node that must be bytes."""
        value = self.of(node)
        if not isinstance(value, bytes):
            raise ValueError(f"a {type(value).__name__} in place of bytes")
        return value

    def sizes(self, node: Any) -> tuple[int, ...]:
        """The value of a node that must be a tuple of few integers, none negative."""
        value = self.of(node)
        if not isinstance(value, tuple) or len(value) > 32:
            raise ValueError("a shape that is none")
        for size in value:
            if not isinstance(size, int) or not 0 <= size < 2**62:
                raise ValueError("a shape of odd sizes")
        return value


def canonical(name: str) -> str:
    """The name of a global in today's Python and in the numpy of the official files."""
    module, _, rest = name.partition(" ")
    module = ALIASES.get(module, module).replace("numpy._core", "numpy.core")
    return f"{module} {rest}"


def shown(text: str, *, longest: int = 120) -> str:
    """A text out of a file, fit for one line of a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:longest])


def unknown(names: Iterable[str]) -> ValueError:
    """The error that names the first globals that aren't known."""
    first = [shown(name.replace(" ", ".", 1)) for name in sorted(names)[:3]]
    return ValueError(f"it needs {', '.join(first)}, which rosetta doesn't know")


def names_in(node: Any) -> set[str]:
    """Return the canonical names of all globals that a node reaches."""
    found, seen, waiting = set(), {id(node)}, [node]
    while waiting:
        node = waiting.pop()
        parts: list[Any] = []
        match node:
            case Global(name):
                found.add(canonical(name))
            case Call():
                parts = [node.function, node.arguments, node.keywords, node.state, node.items]
                parts += [part for pair in node.pairs or () for part in pair]
            case Pairs(pairs):
                parts = [part for pair in pairs for part in pair]
            case Members(items):
                parts = items
            case Persistent(key):
                parts = [key]
            case list() | tuple():
                parts = list(node)
        for part in parts:
            if id(part) not in seen:
                seen.add(id(part))
                waiting.append(part)
    return found


def pairs_of(node: Any) -> list[tuple[Any, Any]]:
    """The pairs of a node that is a dictionary, of whatever class; ValueError if it is none."""
    if isinstance(node, Pairs):
        return node.pairs
    if not isinstance(node, Call) or not isinstance(node.function, Global):
        raise ValueError("something in place of a dictionary")
    arguments = node.arguments if isinstance(node.arguments, tuple) else ()
    match canonical(node.function.name):
        case "copyreg _reconstructor":  # (class, base class, the base's value)
            arguments = arguments[2:]
        case "collections defaultdict":  # (what makes a missing value,)
            arguments = ()
    given = [pair for part in arguments if isinstance(part, Pairs) for pair in part.pairs]
    return given + (node.pairs or [])


def _dictionary(values: Values, call: Call | Pairs) -> dict[Any, Any]:
    return {values.key(key): values.of(value) for key, value in values.pairs(call)}


def _sequence(values: Values, call: Call) -> list[Any]:
    found: list[Any] = []
    for given in values.arguments(call, least=0, most=1):
        if not isinstance(given, list | tuple | Members):
            raise ValueError("a collection made of something else")
        found += given.items if isinstance(given, Members) else given
    return found + (call.items or [])


def _set(values: Values, call: Call) -> set[Any]:
    return {values.key(item) for item in _sequence(values, call)}


def _list(values: Values, call: Call) -> list[Any]:
    return [values.of(item) for item in _sequence(values, call)]


def _tuple(values: Values, call: Call) -> tuple[Any, ...]:
    return tuple(_list(values, call))


def _bytes(values: Values, call: Call) -> bytes:
    """Bytes before protocol 3: nothing, or a text of as many letters."""
    arguments = values.arguments(call, least=0, most=2)
    value = values.of(arguments[0]) if arguments else b""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str) or arguments[1:] not in (("latin1",), ("latin-1",)):
        raise ValueError("bytes made of something else")
    return value.encode("latin-1")


def _instance(values: Values, call: Call) -> Any:
    """An object before protocol 2: copyreg._reconstructor(class, base, the base's value)."""
    kind, _, value = values.arguments(call, least=3)
    given = () if value is None else (value,)
    return values.of(Call(kind, given, None, call.state, call.items, call.pairs))


PLAIN: dict[str, Handler] = {
    "_codecs encode": _bytes,
    "builtins bytearray": _bytes,
    "builtins bytes": _bytes,
    "builtins dict": _dictionary,
    "builtins frozenset": _set,
    "builtins list": _list,
    "builtins set": _set,
    "builtins tuple": _tuple,
    "collections OrderedDict": _dictionary,
    "collections defaultdict": _dictionary,
    "copyreg _reconstructor": _instance,
    "dnnlib EasyDict": _dictionary,
    "dnnlib.util EasyDict": _dictionary,
}
