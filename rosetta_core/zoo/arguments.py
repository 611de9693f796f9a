"""The arguments a network is built with: those of a published one, or one's own.

given        the arguments that were asked for, by name or one by one
completed    arguments with defaults for those that were left out
plain        arguments as a file holds them, with numpy's numbers made Python's
"""

import math
from collections.abc import Collection, Mapping
from numbers import Integral, Real
from typing import Any

from rosetta_core.errors import RosettaError, did_you_mean

__all__ = ["completed", "given", "plain"]


def given(
    architecture: str | None,
    arguments: Mapping[str, Any] | None,
    *,
    published: Mapping[str, Mapping[str, Any]],
    family: str,
) -> Mapping[str, Any]:
    """Return the arguments of a published network, or those that are given instead of its name.

    Raises:
        RosettaError: if not exactly one of the two is given, or no network has that name.
    """
    if (architecture is None) == (arguments is None):
        raise RosettaError(
            f"{family}: give either an architecture or the arguments to build one with; "
            f"architectures are {', '.join(published)}"
        )
    if arguments is not None:
        return arguments
    assert architecture is not None
    if architecture not in published:
        hint = did_you_mean(architecture, published)
        raise RosettaError(
            f"{family}: has no architecture {architecture!r}{hint}; it has {', '.join(published)}"
        )
    return published[architecture]


def completed(
    arguments: Any,
    *,
    sizes: Mapping[str, int],
    defaults: Mapping[str, Any],
    family: str,
    numbers: Collection[str] = (),
    optional: Collection[str] = (),
) -> dict[str, Any]:
    """Return the arguments and the defaults of those that were left out.

    Args:
        arguments: by name, as the constructor of the reference implementation takes them.
        sizes: by name the least of those that are whole numbers; those without a default must be
            there.
        defaults: of all others.
        family: for messages.
        numbers: names of those that are numbers above 0.
        optional: names of sizes and numbers that may be None.

    Raises:
        RosettaError: for one that is missing, unknown, or no number where one is needed.
    """
    if not isinstance(arguments, Mapping):
        raise RosettaError(f"{family}: the arguments are {arguments!r}; give them by name")
    known = list({**sizes, **defaults})
    for name in arguments:
        if name not in known:
            hint = did_you_mean(str(name), known) or f"; it takes {', '.join(known)}"
            raise RosettaError(f"{family}: takes no argument {name!r}{hint}")
    settled = {**defaults, **arguments}
    for name, least in sizes.items():
        if name not in settled:
            raise RosettaError(f"{family}: needs the argument {name!r}")
        size = settled[name]
        if size is None and name in optional:
            continue
        if not isinstance(size, Integral) or isinstance(size, bool) or size < least:
            raise RosettaError(f"{family}: {name} is {size!r}; give a whole number from {least} on")
        settled[name] = int(size)  # some files hold those of numpy
    for name in numbers:
        value = settled[name]
        if value is None and name in optional:
            continue
        number = isinstance(value, Real) and not isinstance(value, bool)
        if not number or not 0 < float(value) < math.inf:
            raise RosettaError(f"{family}: {name} is {value!r}; give a number above 0")
    return settled


def plain(value: Any) -> Any:
    """Turn numpy's numbers into Python's, in arguments as a file holds them."""
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    return value.item() if hasattr(value, "item") else value
