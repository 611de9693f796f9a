"""How fast this machine is, measured in a few seconds.

measure_rates     what `plan` needs to estimate times
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import zarr

from rosetta_core.config import Config
from rosetta_core.io.zarr_store import create_array, read_array
from rosetta_core.mining.correlation.accumulator import CorrelationAccumulator
from rosetta_core.mining.correlation.channel_blocks import parts
from rosetta_core.mining.correlation.matmul import multiply
from rosetta_core.mining.sources.base import InMemoryActivations
from rosetta_core.mining.sources.live import raw_moments
from rosetta_core.runs.plan import Rates
from rosetta_core.runtime.devices import resolve_device
from rosetta_core.runtime.workers import Workers
from rosetta_core.zoo.loading import build
from rosetta_core.zoo.network import Encoder

__all__ = ["measure_rates"]

SQUARE = 2048  # side of the matrices that are multiplied
SHAPE = (64, 32, 56, 56)  # of the maps that are stored, read and reduced
LONG = 5.0  # seconds after which a try is the last
PIVOT = (4, 8, 16, 32)  # grids that they are reduced to


@torch.no_grad()
def measure_rates(config: Config) -> Rates:
    """Measure one thread, or the GPU, at products, the run's networks, stores and reductions.

    Networks have random weights: none need be fetched. The best of a few tries counts, because
    other work slows single tries down.
    """
    device = resolve_device(config.device)
    rng = np.random.default_rng(0)
    maps = np.maximum(rng.standard_normal(SHAPE), 0).astype(np.float16)
    tensor = torch.from_numpy(maps[:1].astype(np.float32)).contiguous(
        memory_format=torch.channels_last
    )
    with Workers(1) as workers, tempfile.TemporaryDirectory() as folder:
        square = torch.rand(SQUARE, SQUARE, device=device)
        group = zarr.open_group(Path(folder) / "maps.zarr", mode="w")
        array = create_array(group, "maps", shape=SHAPE, shard=SHAPE, dtype="float16")
        pivot = InMemoryActivations(
            {str(s): np.ones((SHAPE[0], 1, s, s), np.float16) for s in PIVOT}
        )
        pooling = CorrelationAccumulator(
            pivot,
            [stored := InMemoryActivations({"maps": maps})],
            rows=parts(pivot.layers),
            columns=parts(stored.layers, model=0),
            device=device,
            memory_budget=2**30,
            workers=workers,
        )
        return Rates(
            products=2 * SQUARE**3 / _seconds(lambda: multiply(square, square), device),
            networks={
                model.name: _forward_seconds(config, model.name, device) for model in config.models
            },
            hooked=_seconds(lambda: (tensor.half(), raw_moments(tensor)), device) / tensor.numel(),
            written=_seconds(lambda: array.__setitem__(..., maps), device) / maps.size,
            read=_seconds(lambda: read_array(group, "maps"), device) / maps.size,
            reduced=_seconds(lambda: pooling.add(range(SHAPE[0])), device) / maps.size,
        )


def _forward_seconds(config: Config, name: str, device: torch.device) -> float:
    built = build(config.model(name))
    built.network.to(device)
    probe = [part.to(device) for part in built.probe()]
    if isinstance(built, Encoder):
        probe = [probe[0].contiguous(memory_format=torch.channels_last)]
    return _seconds(lambda: built.network(*probe), device)


def _seconds(work: Callable[[], object], device: torch.device, tries: int = 3) -> float:
    """The least time of a few tries, after one to warm up; of one, where that takes long."""
    times: list[float] = []
    while len(times) <= tries and sum(times) < LONG:
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times)
