"""Commands of the stages, derived from their records, and of single downloads.

An argument of a stage's function becomes an argument of its command; `OPTIONS` describes them.
"""

import argparse
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rosetta_core.cli.command import Argument, Command, argument
from rosetta_core.config import load_config
from rosetta_core.runs.lock import job_lock
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.progress import log
from rosetta_core.stages.registry import STAGES
from rosetta_core.stages.stage import Stage
from rosetta_core.zoo.weights.sources import parse_remote_weights

__all__ = ["locked", "stage_commands"]

OPTIONS = {
    "model": argument("model", metavar="MODEL", help="name of the model in the configuration"),
    "models": argument("models", metavar="MODEL", nargs="+", help="names of the models"),
    "job": argument("job", metavar="JOB", help="name of the job in the configuration"),
    "shard": argument("--shard", required=True, help="shard of the images: 00000, 00001, …"),
    "block": argument(
        "--block", type=int, metavar="I", help="number of the block, below correlation.blocks"
    ),
    "null": argument("--null", required=True, help="null model, see significance.nulls"),
    "images": argument(
        "--images",
        type=int,
        nargs="+",
        metavar="N",
        help="numbers of images to try (default: 64, 128, … and all)",
    ),
    "largest_k": argument(
        "--largest-k",
        type=int,
        metavar="K",
        help="nearest neighbours to store per unit (default: %(default)s)",
    ),
    "k": argument(
        "--k",
        type=int,
        nargs="+",
        metavar="K",
        help="numbers of nearest neighbours to try (default: %(default)s)",
    ),
}


def stage_commands() -> list[Command]:
    """Return the commands of all stages, in the order in which they run."""
    return [*map(_command, STAGES.values()), FETCH_FILE]


def _command(stage: Stage) -> Command:
    parameters = [
        parameter
        for parameter in inspect.signature(stage.run).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]
    return Command(
        stage.command,
        stage.summary,
        locked(stage.run, *(parameter.name for parameter in parameters), runs_stages=True),
        group="steer" if stage.name == "steer" else "stages",
        arguments=tuple(map(_argument, parameters)),
    )


def _argument(parameter: inspect.Parameter) -> Argument:
    """Return the argument of a parameter, with the parameter's default."""
    option = OPTIONS[parameter.name]
    if parameter.default is parameter.empty:
        return option
    return Argument(option.names, {**option.options, "default": parameter.default})


def locked(
    function: Callable[..., Any], *names: str, runs_stages: bool = False
) -> Callable[[argparse.Namespace], None]:
    """Wrap a function of the configuration as a command that holds the job lock of its run.

    Args:
        function: takes the configuration and keyword arguments; returns the paths that it wrote.
        names: keyword arguments, taken from the command line.
        runs_stages: whether it computes a part of the run, which saved results refuse.
    """

    def run(arguments: argparse.Namespace) -> None:
        config = load_config(arguments.config)
        if runs_stages:
            config.check_runnable()
        with job_lock(RunPaths(config).run):
            result = function(config, **{name: getattr(arguments, name) for name in names})
        for path in result if isinstance(result, tuple) else (result,):
            log.info("wrote %s", path)

    return run


def _fetch_file(arguments: argparse.Namespace) -> None:
    from rosetta_core.zoo.weights.fetch import fetch

    fetch(parse_remote_weights(arguments.weights), arguments.path)
    log.info("wrote %s", arguments.path)


FETCH_FILE = Command(
    "fetch-file",
    "download one file of weights",
    _fetch_file,
    group="stages",
    arguments=(
        argument("weights", metavar="WEIGHTS", help="section `weights` of a model, as JSON"),
        argument("path", metavar="PATH", type=Path, help="output file"),
    ),
    reads_config=False,
)
