"""Models of saved results whose networks were given in memory, and which cannot be built.

The configuration of such a model has its name, its class, its layers and its preprocessing; its
units are in the tables of the result, and its maps in the stores if they were saved.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

from rosetta_core.errors import RosettaError

__all__ = ["build"]


def build(
    name: str, *, arguments: Mapping[str, Any] | None = None, truncation: float = 1.0
) -> NoReturn:
    """Refuse to build a network, since only its description was saved.

    Args:
        name: name of the model.
        arguments: unused.
        truncation: unused.

    Raises:
        RosettaError: always.
    """
    raise RosettaError(
        f"{name}: its network was given in memory and was not saved; mine with it again, or, for "
        "its maps, save the result with activations=True"
    )
