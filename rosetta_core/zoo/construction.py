"""Constructor arguments of networks: resolved, completed with defaults, passed to libraries."""

import math
from collections.abc import Callable, Collection, Mapping
from numbers import Integral, Real
from typing import Any

from torch import nn

from rosetta_core.errors import RosettaError, did_you_mean

__all__ = [
    "CONSTRUCTOR_ERRORS",
    "construct",
    "fill_defaults",
    "refuse_arguments",
    "resolve_arguments",
    "to_builtin",
]

# arguments of libraries that would download weights, or read them in the library's own way
WEIGHT_ARGUMENTS = ("pretrained", "checkpoint_path", "weights", "weights_backbone")
# errors that constructors raise for unexpected arguments
CONSTRUCTOR_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def resolve_arguments(
    architecture: str | None,
    arguments: Mapping[str, Any] | None,
    *,
    published: Mapping[str, Mapping[str, Any]],
    family: str,
) -> Mapping[str, Any]:
    """Return the arguments of a published architecture, or the arguments given in its place.

    Args:
        architecture: name of a published architecture.
        arguments: constructor arguments, by name.
        published: constructor arguments of all published architectures, by their names.
        family: name of the family, for errors.

    Raises:
        RosettaError: not exactly one of the first two is given, or the architecture is unknown.
    """
    names = ", ".join(published)
    if (architecture is None) == (arguments is None):
        raise RosettaError(
            f"{family}: needs either an architecture or arguments; architectures are {names}"
        )
    if arguments is not None:
        return arguments
    assert architecture is not None
    if architecture not in published:
        hint = did_you_mean(architecture, published)
        raise RosettaError(
            f"{family}: unknown architecture {architecture!r}{hint}; choose from {names}"
        )
    return published[architecture]


def fill_defaults(
    arguments: Any,
    *,
    sizes: Mapping[str, int],
    defaults: Mapping[str, Any],
    family: str,
    numbers: Collection[str] = (),
    optional: Collection[str] = (),
) -> dict[str, Any]:
    """Return all arguments of a constructor: the given ones and the defaults of the others.

    Args:
        arguments: given arguments, by the names of the reference implementation.
        sizes: integer arguments and their minima; those without a default are required.
        defaults: default values, by name.
        family: name of the family, for errors.
        numbers: arguments that have to be numbers above 0.
        optional: sizes and numbers that may be None.

    Raises:
        RosettaError: an argument is missing, unknown or of the wrong kind.
    """
    if not isinstance(arguments, Mapping):
        raise RosettaError(f"{family}: arguments are {arguments!r}; give a mapping of names")
    known = list({**sizes, **defaults})
    for name in arguments:
        if name not in known:
            hint = did_you_mean(str(name), known) or f"; it takes {', '.join(known)}"
            raise RosettaError(f"{family}: unknown argument {name!r}{hint}")
    complete = {**defaults, **arguments}
    for name, minimum in sizes.items():
        if name not in complete:
            raise RosettaError(f"{family}: argument {name!r} is missing; give it")
        value = complete[name]
        if value is None and name in optional:
            continue
        if not isinstance(value, Integral) or isinstance(value, bool) or value < minimum:
            raise RosettaError(f"{family}: {name} is {value!r}; give an integer from {minimum} on")
        complete[name] = int(value)  # some files hold NumPy integers
    for name in numbers:
        value = complete[name]
        if value is None and name in optional:
            continue
        is_number = isinstance(value, Real) and not isinstance(value, bool)
        if not is_number or not 0 < float(value) < math.inf:
            raise RosettaError(f"{family}: {name} is {value!r}; give a number above 0")
    return complete


def to_builtin(value: Any) -> Any:
    """Convert NumPy scalars to Python numbers, in nested mappings of arguments too."""
    if isinstance(value, Mapping):
        return {str(name): to_builtin(item) for name, item in value.items()}
    return value.item() if hasattr(value, "item") else value


def construct(
    constructor: Callable[..., nn.Module], arguments: Mapping[str, Any] | None, *, name: str
) -> nn.Module:
    """Call a library's constructor with the user's arguments.

    Args:
        constructor: returns the network.
        arguments: keyword arguments, as the library documents them.
        name: name of the network, for errors, for example "timm's resnet50".

    Raises:
        RosettaError: an argument would load weights, or the library refuses the arguments.
    """
    arguments = dict(arguments or {})
    for argument in arguments:
        if argument in WEIGHT_ARGUMENTS:
            raise RosettaError(
                f"{name}: argument {argument!r} loads weights; give them in `weights` instead"
            )
    try:
        return constructor(**arguments)
    except RosettaError:
        raise
    except CONSTRUCTOR_ERRORS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RosettaError(
            f"{name}: cannot be built with arguments {arguments} ({reason}); correct them"
        ) from error


def refuse_arguments(
    architecture: str | None, arguments: Mapping[str, Any] | None, *, family: str
) -> None:
    """Raise a RosettaError if an architecture or arguments are given to a single-network family."""
    if architecture is not None or arguments:
        value = (
            repr(architecture) if architecture is not None else f"arguments {dict(arguments or {})}"
        )
        raise RosettaError(f"{family}: has a single network; remove {value}")
