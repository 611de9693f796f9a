"""Retries of a stage that runs out of memory, with half the memory budget each time.

Results do not depend on the memory budget, except for the rounding of sums: units whose
correlations differ by less than 1e-6 can swap ranks. This module does not import torch.
"""

import gc
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from rosetta_core.config import Config
from rosetta_core.config.sections import GPU_BATCH
from rosetta_core.runtime.memory import out_of_memory_device, trim_freed_memory
from rosetta_core.runtime.progress import log
from rosetta_core.validation import parse_bytes

__all__ = ["retry_with_less_memory"]

Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")

RETRIES = 3


def retry_with_less_memory(
    stage: Callable[Concatenate[Config, Parameters], Result],
) -> Callable[Concatenate[Config, Parameters], Result]:
    """Decorate a stage so that it is retried up to three times when it runs out of memory.

    Each retry halves `memory_budget` and, if the GPU ran out, `activations.batch_size`.
    """

    @wraps(stage)
    def run(config: Config, *arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
        for _ in range(RETRIES):
            try:
                return stage(config, *arguments, **named)
            except Exception as error:
                device = out_of_memory_device(error)
                if device is None:
                    raise
            # the error and the frames that it refers to are released here
            config = _with_less_memory(config, halve_batch=device == "gpu")
            log.warning("out of memory; retrying with memory_budget: %s", config.memory_budget)
            _free_memory()
        return stage(config, *arguments, **named)

    return run


def _with_less_memory(config: Config, *, halve_batch: bool) -> Config:
    """Return the configuration with half the memory budget and, on request, half the batch size."""
    half = max(1, parse_bytes(config.memory_budget) // 2**21)
    changes: dict[str, Any] = {"memory_budget": f"{half} MiB"}
    if halve_batch:
        batch = max(1, (config.activations.batch_size or GPU_BATCH) // 2)
        changes["activations"] = config.activations.model_copy(update={"batch_size": batch})
    return config.model_copy(update=changes)


def _free_memory() -> None:
    """Free the memory of the failed attempt, on the host and on the GPU."""
    gc.collect()
    trim_freed_memory()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
