"""The stages of a run, one module each, and the commands beside them (`tools`).

    from rosetta_core import stages

    stages.sample.run(config, shard="00000")
    stages.neighbours.run(config, model="mobilenet_v2")

A stage is imported when it is named, so that a job imports only what its stage needs.
"""

from importlib import import_module
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
