"""One forward pass of a network on one example: shapes of its layers' maps, and its cost.

Both functions also work on the meta device, where nothing is computed.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.generators.output import image_shape_problem
from rosetta_core.zoo.layers import Layer
from rosetta_core.zoo.network import Generator, Network

__all__ = ["measure_forward", "probe_layers"]


@torch.no_grad()
def probe_layers(
    model: Network, names: Sequence[str], *, skip_invalid: bool = False
) -> list[Layer]:
    """Return layers with their shapes, in the order in which they run.

    Args:
        model: network that is run once.
        names: dotted names of the layers.
        skip_invalid: leave out layers that run twice or never, or whose output cannot be converted
            to maps.

    Raises:
        RosettaError: there is such a layer, unless `skip_invalid`.
    """
    repeated = {name for name, output in model.trace().items() if output.runs > 1}
    if skip_invalid:
        names = [name for name in names if name not in repeated]
    elif first := next((name for name in names if name in repeated), None):
        raise RosettaError(
            f"layer {first!r}: runs more than once in a forward pass, so its units are "
            "ambiguous; choose the block around it"
        )
    layers: dict[str, Layer] = {}

    def receive(name: str, maps: Tensor) -> None:
        _, channels, height, width = maps.shape
        layers[name] = Layer(name, channels, height, width, model.margins.get(name, 0))

    with model.capture(names, receive=receive, skip_invalid=skip_invalid):
        model.network(*(part.to(model.device) for part in model.probe()))
    if not skip_invalid and (silent := [name for name in names if name not in layers]):
        raise RosettaError(f"layer {silent[0]!r}: never runs in a forward pass; choose another")
    return list(layers.values())


@torch.no_grad()
def measure_forward(model: Network) -> tuple[int, int]:
    """Return the pixels of a generated image (0 for an encoder) and the FLOPs of a forward pass.

    FLOPs are counted in matrix products and convolutions, for one image; a multiply-add counts as
    two.

    Raises:
        TypeError: a generator does not return images.
    """
    with FlopCounterMode(display=False) as counter:
        output = model.network(*(part.to(model.device) for part in model.probe()))
    if not isinstance(model, Generator):
        return 0, counter.get_total_flops()
    if problem := image_shape_problem(output):
        raise TypeError(f"a generator {problem}")
    return output.shape[2] * output.shape[3], counter.get_total_flops()
