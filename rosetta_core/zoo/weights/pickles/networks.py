"""Networks in the pickles of NVIDIA's StyleGAN2, StyleGAN3 and StyleGAN-XL, read as data.

An official file is a dictionary of networks. Each module of a network is a call of
`torch_utils.persistence._reconstruct_persistent_obj` with the source text of a Python module, the
name of a class in it, and the attributes of an object. The official reader executes the text; here
it is ignored. Modules of PyTorch among them are pickled by class and attributes.
"""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.weights.formats import describe_foreign_pickle
from rosetta_core.zoo.weights.pickles.records import (
    DICT,
    SET,
    Record,
    parse_pickle,
    record_pairs,
    referenced_names,
)
from rosetta_core.zoo.weights.pickles.tensors import ARRAY_HANDLERS, DTYPES
from rosetta_core.zoo.weights.pickles.values import (
    HANDLERS,
    Evaluator,
    Handler,
    printable,
    unsupported,
)

__all__ = [
    "PickledModule",
    "make_module",
    "mapped",
    "network_handler",
    "read_pickled_data",
    "read_pickled_network",
]

PERSISTENT_OBJECT = "torch_utils.persistence._reconstruct_persistent_obj"
TORCH_MODULES = "torch.nn.modules."
# names that a network may refer to although they are not evaluated: base classes, and hooks
IGNORED_NAMES = {
    "builtins.object",
    "dill._dill._load_type",
    "numpy.ndarray",
    "torch.storage._load_from_bytes",
    "torch.Tensor",
    "torch.nn.parameter.Parameter",
    "torch.nn.utils.spectral_norm.SpectralNorm",
    "torch.nn.utils.spectral_norm.SpectralNormLoadStateDictPreHook",
    "torch.nn.utils.spectral_norm.SpectralNormStateDictHook",
}
MAX_NAME = 256  # characters of the name of a class, a module or a tensor


@dataclass(frozen=True, kw_only=True)
class PickledModule:
    """A module of a pickled network.

    Attributes:
        class_name: name of its class.
        positional: positional arguments of the constructor.
        arguments: keyword arguments of the constructor.
        attributes: other public attributes: numbers, strings, collections, NumPy arrays.
        parameters: parameters by name; None for those that the module lacks, for example a bias.
        buffers: buffers by name; None as above.
        transient: names of buffers that are not part of the state dict.
        modules: submodules by name; None as above.
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
        """Return all tensors by dotted names, in PyTorch's order."""
        buffers = {name: x for name, x in self.buffers.items() if name not in self.transient}
        state = {name: x for name, x in (self.parameters | buffers).items() if x is not None}
        for prefix, module in self.modules.items():
            if module is not None:
                state |= {f"{prefix}.{name}": x for name, x in module.state_dict().items()}
        return state


def read_pickled_network(path: Path, entry: str = "G_ema") -> PickledModule:
    """Read one network of an official file; nothing in the file is executed.

    Tensors are on the CPU, without gradients. Networks under other keys are not evaluated, and may
    refer to any class.

    Args:
        path: the file.
        entry: key of the network.

    Raises:
        RosettaError: the file is damaged, has no network under the key, refers to a class or
            function that is not supported, or unfolds into much more than its size.
    """
    with _report_errors(path), mapped(path) as file:
        networks = {key: node for key, node in record_pairs(parse_pickle(file)) if _is_text(key)}
        if entry not in networks:
            keys = ", ".join(printable(key) for key in list(networks)[:8]) or "nothing"
            raise ValueError(f"it has no entry {entry!r}, but {keys}")
        module = _evaluate(networks[entry], size=file.size())
        if not isinstance(module, PickledModule):
            raise ValueError(f"its {entry} is a {type(module).__name__}, not a network")
        return module


def read_pickled_data(path: Path) -> Any:
    """Read a pickle of collections, numbers, strings, arrays, tensors and modules.

    Raises:
        RosettaError: the file is damaged, refers to a class or function that is not supported, or
            unfolds into much more than its size.
    """
    with _report_errors(path), mapped(path) as file:
        return _evaluate(parse_pickle(file), size=file.size())


def _evaluate(node: Any, *, size: int) -> Any:
    """Return the value of a node, if every name that it refers to is supported."""
    names = {name for name in referenced_names(node) if not _is_supported(name)}
    if names:
        raise unsupported(names)
    return Evaluator(network_handler, constants=DTYPES, size=size).value(node)


def _is_supported(name: str) -> bool:
    return network_handler(name) is not None or name in DTYPES or name in IGNORED_NAMES


def network_handler(name: str) -> Handler | None:
    """Return the handler of a class or function in a pickled network; None if it has none."""
    if name == PERSISTENT_OBJECT:
        return _persistent_module
    if name.startswith(TORCH_MODULES) and len(name) < MAX_NAME:
        return _torch_module
    return HANDLERS.get(name) or ARRAY_HANDLERS.get(name)


def _persistent_module(values: Evaluator, record: Record) -> PickledModule:
    """A call with {type, version, module_src, class_name, state}."""
    (description,) = values.arguments(record, least=1)
    fields = _attributes(values, description)
    name = fields.get("class_name")
    if fields.get("type") != "class" or not isinstance(name, str):
        raise ValueError("a persistent object that is not of a class")
    return make_module(values, name, fields.get("state"))


def _torch_module(values: Evaluator, record: Record) -> PickledModule:
    """A module of PyTorch, with its attributes as the state."""
    return make_module(values, record.name.rpartition(".")[2], *(record.state or (None,)))


def make_module(values: Evaluator, class_name: str, state: Any) -> PickledModule:
    """Return a module of its attributes, a record of a dictionary.

    Raises:
        ValueError: they are not attributes of a module.
    """
    fields = _attributes(values, state) if state is not None else {}
    if not {"_parameters", "_buffers", "_modules"} <= set(fields):
        raise ValueError(f"{printable(class_name)} is not a network, it has no parameters")
    positional = values.value(fields.get("_init_args", ()))
    arguments = values.value(fields.get("_init_kwargs", Record(DICT, ())))
    transient = values.value(fields.get("_non_persistent_buffers_set", Record(SET, ())))
    if not isinstance(positional, tuple | list) or not isinstance(arguments, dict):
        raise ValueError(f"{printable(class_name)} has invalid constructor arguments")
    if not isinstance(transient, set):
        raise ValueError(f"{printable(class_name)} has an invalid set of buffers")
    public = {name: node for name, node in fields.items() if not name.startswith("_")}
    return PickledModule(
        class_name=str(values.value(class_name)),
        positional=tuple(positional),
        arguments=arguments,
        attributes={name: values.value(node) for name, node in public.items()},
        parameters=_members(values, fields["_parameters"], Tensor),
        buffers=_members(values, fields["_buffers"], Tensor),
        transient=frozenset(transient),
        modules=_members(values, fields["_modules"], PickledModule),
    )


def _members(values: Evaluator, node: Any, kind: type) -> dict[str, Any]:
    """Return the tensors or submodules of a module by name; None where it lacks them."""
    members = {}
    for name, part in values.pairs(node):
        if not _is_text(name) or len(name) > MAX_NAME or "." in name:
            raise ValueError("a tensor or module with an invalid name")
        values.prefix += len(name) + 1
        values.spend(values.prefix)  # size of its dotted name
        members[name] = values.value(part)
        values.prefix -= len(name) + 1
        if members[name] is not None and not isinstance(members[name], kind):
            raise ValueError(f"{printable(name)} is not a {kind.__name__}")
    return members


def _attributes(values: Evaluator, node: Any) -> dict[str, Any]:
    """Return the nodes of a dictionary by key."""
    pairs = values.pairs(node)
    if not all(_is_text(key) for key, _ in pairs):
        raise ValueError("an attribute whose name is not a string")
    return dict(pairs)


def _is_text(node: Any) -> bool:
    return isinstance(node, str)


@contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """Map a file into memory."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        yield mapped


@contextmanager
def _report_errors(path: Path) -> Iterator[None]:
    """Convert errors of reading a file."""
    try:
        yield
    except FileNotFoundError:
        raise RosettaError(f"{path}: no such file; correct the path") from None
    except RosettaError:
        raise
    except (ValueError, OSError, RecursionError) as error:
        if foreign := describe_foreign_pickle(path):
            raise RosettaError(f"{path}: {foreign}") from None
        reason = printable(str(error), longest=300)
        raise RosettaError(
            f"{path}: cannot be read as a pickled network ({reason}); give another file"
        ) from None
