"""User-defined models: a function that returns a Generator or an Encoder."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from rosetta_core.errors import RosettaError
from rosetta_core.runtime.user_code import load_function, report_errors
from rosetta_core.zoo.network import Encoder, Generator, Network

__all__ = ["build", "takes_truncation"]

KEY = "target"  # key in the configuration


def build(
    target: str, *, arguments: Mapping[str, Any] | None = None, truncation: float = 1.0
) -> Network:
    """Call a function of the user.

    Args:
        target: the function, MODULE:NAME or FILE.py:NAME.
        arguments: keyword arguments of the function.
        truncation: truncation psi of a generator's latents; passed if the function has an argument
            `truncation`.

    Raises:
        RosettaError: there is no such function, or it fails or returns something else; or the
            truncation is not 1 and the function does not take it.
    """
    keywords = dict(arguments or {})
    if "truncation" in keywords:
        raise _error(target, "argument 'truncation' is set by sampling.truncation; remove it")
    function = load_function(target, key=KEY)
    truncates = _takes_truncation(function)
    with report_errors(target, key=KEY):
        built = function(**keywords, truncation=truncation) if truncates else function(**keywords)
    if not isinstance(built, Generator | Encoder):
        raise _error(
            target,
            f"returns a {type(built).__name__}; return a Generator or an Encoder of "
            "rosetta_core.zoo.network",
        )
    with report_errors(target, key=KEY):
        problem = _problem(built)
    if problem:
        raise _error(target, problem)
    if isinstance(built, Generator) and truncation != 1 and not truncates:
        raise _error(
            target,
            f"has no argument truncation, but sampling.truncation is {truncation:g}; add the "
            "argument",
        )
    return built


def takes_truncation(target: str) -> bool:
    """Return whether a function has an argument `truncation`.

    Raises:
        RosettaError: there is no such function.
    """
    return _takes_truncation(load_function(target, key=KEY))


def _takes_truncation(function: Callable[..., Any]) -> bool:
    try:
        return "truncation" in inspect.signature(function).parameters
    except ValueError:  # compiled function
        return False


def _problem(built: Generator | Encoder) -> str | None:
    """Return an error of the returned model that would be harder to understand later."""
    if not isinstance(built.network, nn.Module):
        return f"network is a {type(built.network).__name__}; give a torch.nn.Module"
    if isinstance(built.preset, str):
        return f"preset is {built.preset!r}; give a list of patterns"
    if not isinstance(built, Generator):
        return None
    latents = built.sample_latents([0])
    if tuple(latents.shape) != (1, built.latent_size):
        return (
            f"latents have shape {tuple(latents.shape[1:])}, but latent_size is {built.latent_size}"
        )
    for name, space in built.latent_spaces.items():
        for function in (space.from_z, space.generate):
            if _captures_network(function):
                return (
                    f"latent space {name!r}: a function refers to a network outside of it, which "
                    "a fine-tuned copy would share; make it a method of the network"
                )
    return None


def _captures_network(function: Any) -> bool:
    """Return whether a function, not a method, refers to a network or a tensor in its closure."""
    cells = (cell.cell_contents for cell in getattr(function, "__closure__", None) or ())
    values = (getattr(value, "__self__", value) for value in cells)
    return inspect.isfunction(function) and any(isinstance(v, nn.Module | Tensor) for v in values)


def _error(target: str, problem: str) -> RosettaError:
    return RosettaError(f"{KEY} {target!r}: {problem}")
