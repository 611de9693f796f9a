"""Mining of units that vision networks share, into a dictionary of concepts.

In memory:

    import rosetta_core as rosetta

    pivot = rosetta.load_model("dcgan")
    encoders = [rosetta.load_model("mobilenet_v2"), rosetta.load_model("dino_faces")]
    mined = rosetta.mine(pivot, encoders, rosetta.sample(pivot, 256))
    mined.plot_concept(0)

A run of the workflow:

    run = rosetta.open_run("results/faces")  # tables, images and maps: run.concepts, run.maps(…)
    config = rosetta.load_config("config.yaml")
    rosetta.stages.concepts.run(config)  # one stage; stages.tools.mine.mine(config) runs all

Names are imported on first use: importing everything takes seconds, and the package itself imports
neither torch nor pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rosetta_core import stages
    from rosetta_core.api.arrays import best_buddies, concepts, correlate, rosetta_neurons
    from rosetta_core.api.images import ImageSet, images, sample
    from rosetta_core.api.mined import Mined
    from rosetta_core.api.mining import mine
    from rosetta_core.api.models import Model, load_model, wrap
    from rosetta_core.api.runs import Run, open_run
    from rosetta_core.api.scoring.scores import Scores
    from rosetta_core.api.steering.functions import edit, invert, show, tune
    from rosetta_core.api.steering.results import SteeringResult, TuningResult
    from rosetta_core.config import Config, load_config
    from rosetta_core.errors import RosettaError
    from rosetta_core.zoo.model_spec import Input

    __version__: str

__all__ = [
    "Config",
    "ImageSet",
    "Input",
    "Mined",
    "Model",
    "RosettaError",
    "Run",
    "Scores",
    "SteeringResult",
    "TuningResult",
    "__version__",
    "best_buddies",
    "concepts",
    "correlate",
    "edit",
    "images",
    "invert",
    "load_config",
    "load_model",
    "mine",
    "open_run",
    "rosetta_neurons",
    "sample",
    "show",
    "stages",
    "tune",
    "wrap",
]

_MODULES = {
    "Config": "config",
    "ImageSet": "api.images",
    "Input": "zoo.model_spec",
    "Mined": "api.mined",
    "Model": "api.models",
    "RosettaError": "errors",
    "Run": "api.runs",
    "Scores": "api.scoring.scores",
    "SteeringResult": "api.steering.results",
    "TuningResult": "api.steering.results",
    "best_buddies": "api.arrays",
    "concepts": "api.arrays",
    "correlate": "api.arrays",
    "edit": "api.steering.functions",
    "images": "api.images",
    "invert": "api.steering.functions",
    "load_config": "config",
    "load_model": "api.models",
    "mine": "api.mining",
    "open_run": "api.runs",
    "rosetta_neurons": "api.arrays",
    "sample": "api.images",
    "show": "api.steering.functions",
    "tune": "api.steering.functions",
    "wrap": "api.models",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name == "__version__":
        return import_module("importlib.metadata").version("rosetta-core")
    if name == "stages":
        return import_module("rosetta_core.stages")
    if name in _MODULES:
        return getattr(import_module(f"rosetta_core.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
