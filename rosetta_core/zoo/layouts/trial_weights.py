"""Random weights under which every layer does something, and comparisons of passes over them.

Networks begin with factors of 0 or 1e-6, and with statistics of no images; with these, a layer
would seem to do nothing, whatever its layout.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from rosetta_core.errors import RosettaError, describe_exception

__all__ = ["calibrate_norms", "differ", "report_failures", "sample", "vary_constants"]

TOLERANCE = {torch.float32: 1e-2, torch.float64: 1e-6}  # difference in standard deviations
SAMPLE = 4096  # activations of an example that are compared between passes


@torch.no_grad()
def vary_constants(network: nn.Module) -> None:
    """Replace constant parameters by random values: factors by 0.5 to 1.5, others by noise."""
    generator = torch.Generator("cpu").manual_seed(0)
    for parameter in network.parameters():
        if not parameter.is_floating_point() or parameter.numel() < 2 or parameter.is_meta:
            continue
        first = parameter.flatten()[0]
        if not bool((parameter == first).all()):
            continue
        values = torch.rand(parameter.shape, generator=generator, device="cpu")
        is_factor = parameter.numel() == max(parameter.shape) and bool(first != 0)
        parameter.copy_(values + 0.5 if is_factor else 0.2 * (values - 0.5))


@torch.no_grad()
def calibrate_norms(network: nn.Module, run: Callable[[], object]) -> None:
    """Give batch normalisations the statistics of a run, so that signals survive.

    Args:
        network: the network.
        run: runs it on a batch.
    """
    norms = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is not None
    ]
    if not norms:
        return
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    try:
        run()
    finally:
        for norm in norms:
            norm.eval()


@contextmanager
def report_failures(examples: str) -> Iterator[None]:
    """Report what a network raises on examples, in one line."""
    try:
        yield
    except RosettaError:
        raise
    except Exception as error:
        raise RosettaError(
            f"the network fails on {examples} ({describe_exception(error)}); correct its forward"
        ) from error


def sample(maps: Tensor) -> Tensor:
    """Return evenly spaced activations of the first example."""
    values = maps[0].flatten()
    return values[:: max(1, len(values) // SAMPLE)].clone()


def differ(first: Tensor, second: Tensor) -> bool:
    """Return whether activations differ by more than rounding."""
    scale = first.float().std(correction=0) + first.float().abs().mean() * 1e-3
    allowed = TOLERANCE.get(first.dtype, 0.1) * scale
    return bool(((first.float() - second.float()).abs() > allowed).any())
