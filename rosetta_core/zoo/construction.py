"""Building networks with the constructors of libraries.

constructed      call a constructor; its complaints become errors of one line
needs_nothing    refuse an architecture and arguments, for families of one network
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from rosetta_core.errors import RosettaError

__all__ = ["constructed", "needs_nothing"]

# these would download weights or read them in the library's own way
OF_WEIGHTS = ("pretrained", "checkpoint_path", "weights", "weights_backbone")
# what constructors raise over arguments that they did not expect
COMPLAINTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def constructed(
    constructor: Callable[..., nn.Module], arguments: Mapping[str, Any] | None, *, what: str
) -> nn.Module:
    """Build a network with arguments of the user's own.

    Args:
        constructor: of the library.
        arguments: by name, as the library's documentation has them.
        what: is built, for messages: "timm's resnet50".

    Raises:
        RosettaError: for an argument that asks for weights, and for any that the library refuses.
    """
    for name in arguments or {}:
        if name in OF_WEIGHTS:
            raise RosettaError(f"{what}: argument {name!r} is of weights; name those in `weights`")
    try:
        return constructor(**(arguments or {}))
    except COMPLAINTS as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RosettaError(
            f"{what}: cannot be built with arguments {dict(arguments or {})} ({reason})"
        ) from error


def needs_nothing(
    architecture: str | None, arguments: Mapping[str, Any] | None, *, family: str
) -> None:
    """RosettaError if an architecture or arguments were given to a family of one network."""
    if architecture is not None or arguments:
        given = (
            repr(architecture) if architecture is not None else f"arguments {dict(arguments or {})}"
        )
        raise RosettaError(f"{family}: is one network, so leave out {given}")
