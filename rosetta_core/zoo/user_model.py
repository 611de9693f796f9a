"""A model of the user's own: a function that returns a Generator or an Encoder.

build               what the function returns
takes_truncation    whether it has an argument of that name

docs/how-to/own-models.md says how to write one.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from rosetta_core.errors import RosettaError
from rosetta_core.runtime.user_code import load_function, report_errors
from rosetta_core.zoo.network import Encoder, Generator, Network

__all__ = ["build", "takes_truncation"]

KEY = "target"  # of the configuration


def build(
    target: str, *, arguments: Mapping[str, Any] | None = None, truncation: float = 1.0
) -> Network:
    """Call a function of the user's own for a network.

    Args:
        target: where it is, MODULE:NAME or FILE.py:NAME.
        arguments: that it is called with, by name.
        truncation: that a generator draws with; handed over if the function has an argument
            `truncation`.

    Raises:
        RosettaError: there is no such function, it raises something, returns something else, or
            a truncation is asked of a generator that takes none.
    """
    given = dict(arguments or {})
    if "truncation" in given:
        raise _wrong(target, "argument 'truncation' is set by sampling.truncation")
    function = load_function(target, key=KEY)
    truncates = _takes_truncation(function)
    with report_errors(target, key=KEY):
        built = function(**given, truncation=truncation) if truncates else function(**given)
    if not isinstance(built, Generator | Encoder):
        raise _wrong(
            target,
            f"returned a {type(built).__name__}; it has to return a Generator or an Encoder of "
            "rosetta_core.zoo.network",
        )
    with report_errors(target, key=KEY):
        problem = _problem(built)
    if problem:
        raise _wrong(target, problem)
    if isinstance(built, Generator) and truncation != 1 and not truncates:
        raise _wrong(target, f"takes no truncation, but sampling.truncation is {truncation:g}")
    return built


def takes_truncation(target: str) -> bool:
    """Whether a function has an argument `truncation`; RosettaError if there is no function."""
    return _takes_truncation(load_function(target, key=KEY))


def _takes_truncation(function: Callable[..., Any]) -> bool:
    try:
        return "truncation" in inspect.signature(function).parameters
    except ValueError:  # compiled
        return False


def _problem(built: Generator | Encoder) -> str | None:
    """What else would go wrong later, with less to say about it."""
    if not isinstance(built.network, nn.Module):
        return f"its network is a {type(built.network).__name__}, no torch.nn.Module"
    if isinstance(built.preset, str):
        return f"its preset is {built.preset!r}; give a list of patterns"
    if not isinstance(built, Generator):
        return None
    latents = built.sample_latents([0])
    if tuple(latents.shape) != (1, built.latent_size):
        return (
            f"draws latents {tuple(latents.shape[1:])}, but its latent_size is {built.latent_size}"
        )
    for name, space in built.latent_spaces.items():
        for function in (space.from_z, space.generate):
            if _holds_on(function):
                return (
                    f"a function of its latent space {name!r} draws with what stands outside of "
                    "it, so that a tuned copy couldn't; make it a method of the network"
                )
    return None


def _holds_on(function: Any) -> bool:
    """Whether a plain function keeps a network or weights, which a copy of it would share."""
    cells = (cell.cell_contents for cell in getattr(function, "__closure__", None) or ())
    kept = (getattr(value, "__self__", value) for value in cells)
    return inspect.isfunction(function) and any(isinstance(v, nn.Module | Tensor) for v in kept)


def _wrong(target: str, problem: str) -> RosettaError:
    return RosettaError(f"{KEY} {target!r}: {problem}")
