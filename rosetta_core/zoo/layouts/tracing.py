"""Shapes of all modules' outputs for one image and for two.

The axis that grows with the number of images holds them. Modules that work on a known axis, such as
a convolution or a linear layer, fix the axis of the channels of all outputs of the same shape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rosetta_core.errors import RosettaError, describe_exception

__all__ = ["Shape", "TracedOutput", "describe_problem", "trace_outputs"]

Shape = tuple[int, ...]

CHANNELS_SECOND = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._NormBase,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.GroupNorm,
    nn.PReLU,
    nn.Upsample,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
)


@dataclass
class TracedOutput:
    """Output of a module in a forward pass of one image and in one of two.

    Attributes:
        order: place of the module's first run in the pass.
        single: shape for one image.
        pair: shape for two images; None if it did not run.
        runs: number of runs in the pass of one image.
        problem: reason why the output cannot be converted to maps.
        channels: axis of the channels that the module works on, if its class fixes it.
        converted: whether the user's `to_maps` converted the output.
    """

    order: int
    single: Shape = ()
    pair: Shape | None = None
    runs: int = 1
    problem: str | None = None
    channels: Literal["second", "last"] | None = None
    converted: bool = False


@torch.no_grad()
def trace_outputs(
    network: nn.Module,
    run: Callable[[int], Any],
    *,
    convert: Callable[[str, Any], Any],
    example: str = "image",
) -> dict[str, TracedOutput]:
    """Return the outputs of all modules that run, by their dotted names.

    Args:
        network: the network.
        run: runs the network on a number of examples.
        convert: converts a layer's name and output to a tensor, as the user's `to_maps` does.
        example: word for an input, for errors: image or latent.

    Raises:
        RosettaError: the network fails on two examples.
    """
    traced: dict[str, TracedOutput] = {}
    images = 1

    def hook_for(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            if images == 1 and name in traced:
                traced[name].runs += 1
                return
            entry = traced.setdefault(name, TracedOutput(len(traced)))
            raw = output
            try:
                output = convert(name, raw)
            except RosettaError as error:
                entry.problem = str(error).removeprefix(f"layer {name!r}: ")
                return
            if problem := describe_problem(output):
                entry.problem = problem
            elif images == 1:
                entry.single = tuple(output.shape)
                entry.converted = output is not raw
                entry.channels = "second" if entry.converted else _channels_of(module, output)
            elif entry.pair is None:
                entry.pair = tuple(output.shape)

        return hook

    handles = [
        module.register_forward_hook(hook_for(name))
        for name, module in network.named_modules()
        if not isinstance(module, torch.jit.ScriptModule)  # takes no hooks
    ]
    try:
        for images in (1, 2):
            _run(run, images, example)
    finally:
        for handle in handles:
            handle.remove()
    return traced


def _run(run: Callable[[int], Any], images: int, example: str) -> None:
    """Run a network; report what it raises only for two examples."""
    if images == 1:
        run(images)
        return
    try:
        run(images)
    except RosettaError:
        raise
    except Exception as error:
        raise RosettaError(
            f"the network runs on one {example} but fails on two ({describe_exception(error)}); it "
            f"has to take any number of {example}s"
        ) from error


def describe_problem(output: Any) -> str | None:
    """Return why an output cannot be converted to maps, whatever its shape, or None."""
    if not isinstance(output, Tensor):
        return f"output is a {type(output).__name__}, not a tensor"
    if output.is_complex():
        return f"output is complex ({_dtype(output)})"
    if output.is_quantized:
        return f"output is quantised ({_dtype(output)})"
    if not output.is_floating_point():
        return f"output has no real numbers ({_dtype(output)})"
    if output.is_sparse or output.is_nested:
        return "output is a sparse or nested tensor"
    return None


def _dtype(output: Tensor) -> str:
    return str(output.dtype).removeprefix("torch.")


def _channels_of(module: nn.Module, output: Tensor) -> Literal["second", "last"] | None:
    """Return the axis of the channels of a module's output, if its class fixes it."""
    if isinstance(module, nn.Linear):
        return "last"
    if isinstance(module, CHANNELS_SECOND):
        return "second" if output.ndim > 2 else None
    weight = getattr(module, "weight", None)
    if "norm" in type(module).__name__.lower() and isinstance(weight, Tensor) and weight.ndim == 1:
        fits = [axis for axis in (1, output.ndim - 1) if output.shape[axis] == len(weight)]
        if len(set(fits)) == 1:
            return "second" if fits[0] == 1 else "last"
    return None
