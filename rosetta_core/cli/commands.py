"""What the verbs of the command line do: read the configuration, run a stage, print what it found.

VERBS       each verb's name, function, description, and the names of what it takes
WITHOUT     functions of verbs that read no configuration
"""

import argparse
import inspect
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

from rosetta_core.config import Config, default_yaml, json_schema, load_config, load_recipe
from rosetta_core.runs.lock import job_lock, run_lock
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.progress import log
from rosetta_core.runtime.terminal import NOTHING_LEARNED, red
from rosetta_core.stages.registry import STAGES
from rosetta_core.stages.tools.check import check_config
from rosetta_core.stages.tools.compare import compare_runs
from rosetta_core.stages.tools.export import export_run
from rosetta_core.stages.tools.figure import draw_figure
from rosetta_core.stages.tools.mine import mine
from rosetta_core.stages.tools.plan import plan_run
from rosetta_core.stages.tools.prepare import fetch_weights, list_layers
from rosetta_core.stages.tools.train import train_encoder
from rosetta_core.stages.tools.translate import translate_runs
from rosetta_core.stages.tools.verify import verify_run
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.sources import RandomWeights, parse_remote_weights

__all__ = ["VERBS", "WITHOUT"]

Run = Callable[[argparse.Namespace], int | None]  # the exit code, if not 0
DAMAGED = DIFFERENT = 1


def _stage(stage: Callable, *takes: str) -> Run:
    """Turn a stage into a verb that reads its configuration and says where the result lies."""

    def run(arguments: argparse.Namespace) -> None:
        config = load_config(arguments.config)
        with job_lock(RunPaths(config).run):
            result = stage(config, **{name: getattr(arguments, name) for name in takes})
        for path in result if isinstance(result, tuple) else (result,):
            log.info("wrote %s", path)

    return run


def _check(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config)
    for name, layers in check_config(config).items():
        units = sum(layer.channels for layer in layers)
        size = 2 * sum(layer.size for layer in layers) * config.sampling.images
        print(f"{name}: {len(layers)} layers, {units:,} units, {size / 2**30:.2f} GiB of maps")
    _warn_of_random_weights(*config.models)
    print(f"{arguments.config}: good")


def _plan(arguments: argparse.Namespace) -> None:
    from rosetta_core.cli.plan_report import report
    from rosetta_core.runs.rates import measure_rates

    config = load_config(arguments.config)
    check_config(config)
    rates = measure_rates(config)
    cores = arguments.threads or os.cpu_count() or 1
    print(report(config, plan_run(config, rates), rates, cores=cores))
    _warn_of_random_weights(*config.models)


def _mine(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config)
    check_config(config)
    with run_lock(RunPaths(config).run):
        log.info("wrote %s", mine(config))


def _list_layers(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config)
    layers = list_layers(config, model=arguments.model, all=arguments.all)
    width = max(5, *(len(layer.name) for layer in layers))
    margins = any(layer.margin for layer in layers)  # what is cut off; most networks have none
    cut = f"  {'margin':>6}" if margins else ""
    print(f"{'layer':<{width}}  {'units':>6}  {'map':>9}{cut}  {'bytes per image':>15}")
    for layer in layers:
        grid = f"{layer.height}×{layer.width}"
        cut = f"  {layer.margin:>6}" if margins else ""
        print(f"{layer.name:<{width}}  {layer.channels:>6}  {grid:>9}{cut}  {2 * layer.size:>15,}")
    units, size = sum(x.channels for x in layers), sum(2 * x.size for x in layers)
    print(f"{len(layers)} layers, {units:,} units, {size:,} bytes per image (float16)")
    _warn_of_random_weights(config.model(arguments.model))


def _warn_of_random_weights(*models: ModelSpec) -> None:
    for model in models:
        if isinstance(model.weights, RandomWeights):
            print(red(f"{model.name}: {NOTHING_LEARNED}", sys.stdout))


def _fetch(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config)
    for name in arguments.models or [model.name for model in config.models]:
        path = fetch_weights(config, model=name)
        print(f"{name}: {path or 'has no file of weights'}")


def _fetch_file(arguments: argparse.Namespace) -> None:
    from rosetta_core.zoo.weights.fetch import fetch

    fetch(parse_remote_weights(arguments.weights), arguments.path)
    log.info("wrote %s", arguments.path)


def _convert(arguments: argparse.Namespace) -> None:
    from rosetta_core.zoo.weights.convert import config_snippet, convert

    found = convert(arguments.source, arguments.target, entry=arguments.entry)
    print(f"# {found.tensors} tensors of {found.numbers:,} numbers in {found.path}")
    if found.family is None:
        print("# of no family that rosetta recognises: give `family` and `arguments` yourself")
        return
    if found.resolution:
        print(f"# a network of family {found.family}, {found.resolution}×{found.resolution}")
    print(config_snippet(found), end="")


def _zoo(arguments: argparse.Namespace) -> None:
    from rosetta_core.zoo.listing import as_markdown, as_text, entries

    found = entries(Path(Config().resources))
    print(as_markdown(found) if arguments.markdown else as_text(found))


def _train(arguments: argparse.Namespace) -> None:
    print(train_encoder(load_recipe(arguments.recipe)))


def _verify(arguments: argparse.Namespace) -> int:
    from rosetta_core.runs.run import run_config

    config = run_config(arguments.folder)
    paths = RunPaths(config)
    with run_lock(paths.run) if arguments.delete else nullcontext():
        found = verify_run(config, delete=arguments.delete)
    for problem in found.problems:
        print(problem)
    if found.targets:
        command = ["snakemake", "--cores", "all", "--configfile", paths.config, "--"]
        said = shlex.join(map(str, [*command, *found.targets]))
        print(f"deleted; make them again with: {said}")
    elif found.problems:
        said = shlex.join(["rosetta", "verify", str(paths.run), "--delete"])
        print(f"to delete what is damaged: {said}")
    state = f"{len(found.problems)} damaged" if found.problems else "all good"
    print(f"{found.pieces} pieces, {found.bytes:,} bytes checked: {state}")
    return DAMAGED if found.problems else 0


def _compare(arguments: argparse.Namespace) -> int:
    found = compare_runs(arguments.one, arguments.other)
    for difference in [*found.inputs, *found.results]:
        print(difference)
    print(f"{arguments.one} and {arguments.other}: {found.verdict}")
    return DIFFERENT if found.different else 0


def _translate(arguments: argparse.Namespace) -> None:
    found, page = translate_runs(arguments.one, arguments.other, to=arguments.to)
    for row in found.counts.itertuples():
        what = f"{row.level} of {row.model}" if row.model else row.level
        print(f"{what}: {row.n_observed:,} found, {row.n_null:,.1f} by chance")
    print(f"wrote {page}")


def _where(arguments: argparse.Namespace) -> None:
    for page in RunPaths(load_config(arguments.config)).pages:
        print(page)


def _defaults(_: argparse.Namespace) -> None:
    print(default_yaml(), end="")


def _schema(_: argparse.Namespace) -> None:
    print(json_schema(), end="")


def _stage_rows() -> Iterator[tuple[str, Run, str, tuple[str, ...]]]:
    """Yield the commands of stages, from their records."""
    for stage in STAGES.values():
        parameters = inspect.signature(stage.run).parameters.values()
        takes = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        yield stage.command, _stage(stage.run, *takes), stage.summary, takes


VERBS: list[tuple[str, Run, str, tuple[str, ...]]] = [
    ("check", _check, "check a configuration before a run", ()),
    ("plan", _plan, "say what a run will take: units, operations, disk, memory, time", ()),
    ("list-layers", _list_layers, "list a model's layers, units and map sizes", ("model", "all")),
    ("mine", _mine, "run every stage in turn, without the workflow's cache", ()),
    ("fetch", _fetch, "fetch models' weights before a run, or for one offline", ("any_models",)),
    ("fetch-file", _fetch_file, "fetch one file of weights", ("weights",)),
    (
        "convert",
        _convert,
        "make a clean file of weights out of a StyleGAN pickle, and print how to name it",
        ("source",),
    ),
    ("zoo", _zoo, "list the models that a configuration can name", ("markdown",)),
    ("train", _train, "teach an encoder without labels, as a recipe says", ("recipe",)),
    *_stage_rows(),
    (
        "figure",
        _stage(draw_figure, "concepts", "examples", "images", "models", "image", "jobs", "out"),
        "draw a figure for a paper, as PDF and PNG: concepts across models, or on one image; jobs",
        ("figure",),
    ),
    (
        "export",
        _stage(export_run, "format", "to"),
        "write the tables as CSV, JSON or Parquet, every unit with its name",
        ("format", "to"),
    ),
    (
        "verify",
        _verify,
        "look for damage in a finished run, and delete what has to be made again",
        ("folder", "delete"),
    ),
    (
        "compare",
        _compare,
        "say where two finished runs differ, and whether it matters",
        ("one", "other"),
    ),
    (
        "translate",
        _translate,
        "join the concepts of two finished runs by the encoder units that they share",
        ("one", "other", "to"),
    ),
    ("where", _where, "print where the pages lie", ()),
    ("defaults", _defaults, "print the default configuration, explained", ()),
    ("schema", _schema, "print the configuration's schema", ()),
]

WITHOUT = (
    *(_fetch_file, _convert, _zoo, _train, _verify, _compare, _translate),
    *(_defaults, _schema),
)
