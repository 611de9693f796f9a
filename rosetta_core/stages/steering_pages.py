"""The stage that writes the page of all steering jobs of a run."""

from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.runs.artifacts import finished_job
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.stage import Stage
from rosetta_core.zoo.weights.local import RandomWeights

__all__ = ["STAGE", "run"]


def run(config: Config) -> Path:
    """Write the page of all steering jobs; return its folder."""
    from rosetta_core.pages.steering_page import write_steering_page

    paths = RunPaths(config)
    return write_steering_page(
        paths.steering,
        [finished_job(config, name) for name in config.steering.jobs],
        run=config.run,
        pivot=config.pivot.name,
        encoders=[encoder.name for encoder in config.encoders],
        dictionary="../dictionary/index.html",
        untrained=[m.name for m in config.models if isinstance(m.weights, RandomWeights)],
    )


STAGE = Stage(
    "steering_pages",
    "write the page of the steering jobs",
    run,
    jobs=lambda config: [{}] if config.steering.jobs else [],
    settings=lambda config: [config.run],
    writes=lambda paths, job: [paths.steering],
    verified=False,
)
