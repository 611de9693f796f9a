"""Networks in the pickles of StyleGAN's authors, read as data.

PickledModule    a module of such a network: names, tensors, constructor arguments
read_pickled_network     the network under one key of a file
read_pickled_data    all of a pickle that holds nothing but data

An official file is a dictionary of networks. Each of their modules is a call of
`torch_utils.persistence._reconstruct_persistent_obj` with a dictionary of the text of a Python
module, a class's name, and the attributes of an object; the official reader runs the text. Here
it is never looked at. Plain torch modules among them are pickled by class and attributes.
"""

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.weights.safe_pickle.arrays import ARRAYS
from rosetta_core.zoo.weights.safe_pickle.graph import Call, Members, Pairs, parse
from rosetta_core.zoo.weights.safe_pickle.tensors import DTYPES, TENSORS
from rosetta_core.zoo.weights.safe_pickle.values import (
    PLAIN,
    Handler,
    Values,
    names_in,
    pairs_of,
    shown,
    unknown,
)

__all__ = ["PickledModule", "read_pickled_data", "read_pickled_network"]

TORCH_MODULES = "torch.nn.modules."
# named in a network's part, but not made: base classes, and hooks of modules
MENTIONED = {
    "builtins object",
    "dill._dill _load_type",
    "numpy ndarray",
    "torch.storage _load_from_bytes",
    "torch Tensor",
    "torch.nn.parameter Parameter",
    "torch.nn.utils.spectral_norm SpectralNorm",
    "torch.nn.utils.spectral_norm SpectralNormLoadStateDictPreHook",
    "torch.nn.utils.spectral_norm SpectralNormStateDictHook",
    *(f"torch {name}" for name in ("Size", "device")),
}
LONGEST_NAME = 256


@dataclass(frozen=True, kw_only=True)
class PickledModule:
    """A module of a network.

    Attributes:
        class_name: of the class that it was.
        positional: positional arguments of the constructor.
        arguments: keyword arguments of the constructor.
        attributes: what else was kept in it: numbers, texts, collections, numpy arrays.
        parameters: by name; None for those that are left out, such as a bias.
        buffers: by name, likewise.
        transient: names of buffers that are no part of the state dictionary.
        modules: the modules in it, by name, likewise.
    """

    class_name: str
    positional: tuple[Any, ...]
    arguments: dict[str, Any]
    attributes: dict[str, Any]
    parameters: dict[str, Tensor | None]
    buffers: dict[str, Tensor | None]
    transient: frozenset[str]
    modules: dict[str, "PickledModule | None"]

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors by their dotted names, in torch's order: own ones, then modules in turn."""
        kept = {name: x for name, x in self.buffers.items() if name not in self.transient}
        found = {name: x for name, x in (self.parameters | kept).items() if x is not None}
        for prefix, module in self.modules.items():
            if module is not None:
                found |= {f"{prefix}.{name}": x for name, x in module.state_dict().items()}
        return found


def read_pickled_network(path: Path, entry: str = "G_ema") -> PickledModule:
    """Read the network under one key of an official file, without running any of it.

    Tensors come out on the CPU, without gradients. What lies under other keys isn't made, and may
    name classes that aren't known.

    Raises:
        RosettaError: the file is damaged, has no network under the key, needs a class or function
            that isn't known, or unfolds into much more than its size.
    """
    with _refused(path), _opened(path) as file:
        whole = parse(file)
        if not isinstance(whole, Pairs | Call):
            raise ValueError("it is no dictionary of networks, as those of PyTorch are")
        found = pairs_of(whole)
        root = {key: value for key, value in found if isinstance(key, str)}
        if entry not in root:
            keys = ", ".join(shown(key) for key in list(root)[:8]) or "nothing"
            raise ValueError(f"it has no entry {entry!r}, but {keys}")
        module = _values(root[entry], size=file.size()).of(root[entry])
        if not isinstance(module, PickledModule):
            raise ValueError(f"its {entry} is a {type(module).__name__}, no network")
        return module


def read_pickled_data(path: Path) -> Any:
    """Read a pickle of data: collections, numbers, texts, numpy arrays, tensors, modules.

    Raises:
        RosettaError: the file is damaged, names a class or function that isn't known, or unfolds
            into much more than its size.
    """
    with _refused(path), _opened(path) as file:
        node = parse(file)
        return _values(node, size=file.size()).of(node)


def _values(node: Any, *, size: int) -> Values:
    """The values under a node, of which every global is known."""
    if names := {name for name in names_in(node) if not _mentioned(name)}:
        raise unknown(names)
    return Values(_handler, constants=DTYPES, size=size)


def _mentioned(name: str) -> bool:
    return bool(_handler(name)) or name in DTYPES or name in MENTIONED


def _handler(name: str) -> Handler | None:
    if name.startswith(TORCH_MODULES) and len(name) < LONGEST_NAME:
        return _torch_module
    return HANDLERS.get(name)


def _persistent(values: Values, call: Call) -> PickledModule:
    """_reconstruct_persistent_obj({type, version, module_src, class_name, state})."""
    (about,) = values.arguments(call, least=1)
    described = _texts(values.pairs(about))
    name = described.get("class_name")
    if described.get("type") != "class" or not isinstance(name, str):
        raise ValueError("a persistent object that is no class")
    return _module(values, name, described.get("state"))


def _torch_module(values: Values, call: Call) -> PickledModule:
    """A module of torch: its class, and its attributes as the state."""
    name = values.function(call.function).partition(" ")[2]
    return _module(values, name, call.state[0] if call.state else None)


def _module(values: Values, class_name: str, state: Any) -> PickledModule:
    found = _texts(values.pairs(state)) if state is not None else {}
    if not {"_parameters", "_buffers", "_modules"} <= set(found):
        raise ValueError(f"{shown(class_name)} is no network: it has no parameters and no modules")
    plain = {name: node for name, node in found.items() if not name.startswith("_")}
    positional = values.of(found.get("_init_args", ()))
    arguments = values.of(found.get("_init_kwargs", Pairs([])))
    transient = values.of(found.get("_non_persistent_buffers_set", Members([])))
    if not isinstance(positional, tuple | list) or not isinstance(arguments, dict):
        raise ValueError(f"{shown(class_name)} has odd constructor arguments")
    if not isinstance(transient, set):
        raise ValueError(f"{shown(class_name)} has an odd set of buffers")
    return PickledModule(
        class_name=str(values.of(class_name)),
        positional=tuple(positional),
        arguments=arguments,
        attributes={name: values.of(node) for name, node in plain.items()},
        parameters=_named(values, found["_parameters"], Tensor),
        buffers=_named(values, found["_buffers"], Tensor),
        transient=frozenset(transient),
        modules=_named(values, found["_modules"], PickledModule),
    )


def _named(values: Values, node: Any, kind: type) -> dict[str, Any]:
    """Tensors or modules by name, each of which may be None."""
    found = {}
    for name, part in values.pairs(node):
        if not isinstance(name, str) or len(name) > LONGEST_NAME or "." in name:
            raise ValueError("a tensor or module with an odd name")
        values.prefix += len(name) + 1
        values.spend(values.prefix)  # what its full name takes
        found[name] = values.of(part)
        values.prefix -= len(name) + 1
        if found[name] is not None and not isinstance(found[name], kind):
            raise ValueError(f"{shown(name)} is no {kind.__name__}")
    return found


def _texts(pairs: list[tuple[Any, Any]]) -> dict[str, Any]:
    """The nodes of pairs by their keys, which must be texts."""
    for key, _ in pairs:
        if not isinstance(key, str):
            raise ValueError("an attribute whose name is no text")
    return dict(pairs)


@contextmanager
def _opened(path: Path) -> Iterator[mmap.mmap]:
    """The file in memory, of which a read takes no more than there is."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as opened:
        yield opened


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Say in one line why a file can't be read."""
    try:
        yield
    except FileNotFoundError:
        raise RosettaError(f"{path}: no such file") from None
    except (ValueError, OSError, RecursionError) as error:
        reason = shown(str(error), longest=300)
        raise RosettaError(f"{path}: cannot be read as a pickled network ({reason})") from None


HANDLERS: dict[str, Callable[[Values, Call], Any]] = {
    **PLAIN,
    **ARRAYS,
    **TENSORS,
    "torch_utils.persistence _reconstruct_persistent_obj": _persistent,
}
