"""Speed of this machine, measured in a few seconds for `rosetta plan`."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from rosetta_core.config import Config
from rosetta_core.io.stores.store import create_array, new_store, open_group, read_array
from rosetta_core.mining.correlation.accumulator import CorrelationAccumulator
from rosetta_core.mining.correlation.channel_blocks import split_layers
from rosetta_core.mining.correlation.matmul import matmul_transposed
from rosetta_core.mining.sources.in_memory import InMemoryActivations
from rosetta_core.mining.sources.live import raw_moments
from rosetta_core.runs.plan import Rates
from rosetta_core.runtime.devices import resolve_device
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.zoo.loading import build
from rosetta_core.zoo.network import Encoder

__all__ = ["measure_rates"]

MATRIX_SIDE = 2048  # rows and columns of the multiplied matrices
SHAPE = (64, 32, 56, 56)  # (n, c, h, w) of the maps that are stored, read and reduced
PIVOT_SIDES = (4, 8, 16, 32)  # sides of the pivot's maps, to which these maps are reduced
TIME_LIMIT = 5.0  # seconds after which no further repetition starts


@torch.no_grad()
def measure_rates(config: Config) -> Rates:
    """Measure the speed of one thread or of the GPU: products, forward passes, stores, reductions.

    Networks have random weights, so nothing needs to be fetched. The fastest of a few repetitions
    is returned, because other processes slow single repetitions down.
    """
    device = resolve_device(config.device)
    rng = np.random.default_rng(0)
    maps = np.maximum(rng.standard_normal(SHAPE), 0).astype(np.float16)
    output = torch.from_numpy(maps[:1].astype(np.float32)).contiguous(
        memory_format=torch.channels_last
    )  # (1, c, h, w)
    with TorchThreadPool(1) as workers, tempfile.TemporaryDirectory() as folder:
        matrix = torch.rand(MATRIX_SIDE, MATRIX_SIDE, device=device)
        store = Path(folder) / "maps.zarr"
        with new_store(store) as group:
            written = create_array(group, "maps", shape=SHAPE, shard=SHAPE, dtype="float16")
            writing = _seconds(lambda: written.__setitem__(..., maps), device)
        stored = open_group(store)
        pivot = InMemoryActivations(
            {str(side): np.ones((SHAPE[0], 1, side, side), np.float16) for side in PIVOT_SIDES}
        )
        encoder = InMemoryActivations({"maps": maps})
        accumulator = CorrelationAccumulator(
            pivot,
            [encoder],
            rows=split_layers(pivot.layers),
            columns=split_layers(encoder.layers, model=0),
            device=device,
            memory_budget=2**30,
            workers=workers,
        )
        return Rates(
            products=2
            * MATRIX_SIDE**3
            / _seconds(lambda: matmul_transposed(matrix, matrix), device),
            networks={
                model.name: _forward_seconds(config, model.name, device) for model in config.models
            },
            hooked=_seconds(lambda: (output.half(), raw_moments(output)), device) / output.numel(),
            written=writing / maps.size,
            read=_seconds(lambda: read_array(stored, "maps"), device) / maps.size,
            reduced=_seconds(lambda: accumulator.add(range(SHAPE[0])), device) / maps.size,
        )


def _forward_seconds(config: Config, name: str, device: torch.device) -> float:
    """Return the seconds of a model's forward pass of one image."""
    model = build(config.model(name))
    model.network.to(device)
    inputs = [tensor.to(device) for tensor in model.probe()]
    if isinstance(model, Encoder):
        inputs = [inputs[0].contiguous(memory_format=torch.channels_last)]
    return _seconds(lambda: model.network(*inputs), device)


def _seconds(work: Callable[[], object], device: torch.device, repetitions: int = 3) -> float:
    """Return the least time of `work`, after a warm-up; fewer repetitions if it takes long."""
    times: list[float] = []
    while len(times) <= repetitions and sum(times) < TIME_LIMIT:
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times)
