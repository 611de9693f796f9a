"""The command line: `rosetta VERB`, the same as `python -m rosetta_core VERB`.

main    parse, run one stage, and say in one line what is wrong if something is
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rosetta_core import __version__, stages
from rosetta_core.config import (
    Config,
    Model,
    RandomWeights,
    default_yaml,
    json_schema,
    load_config,
    parse_fetched,
)
from rosetta_core.errors import RosettaError
from rosetta_core.freed_memory import keep_freed_memory
from rosetta_core.paths import RunPaths
from rosetta_core.progress import log
from rosetta_core.terminal import NOTHING_LEARNED, red

__all__ = ["main"]

BAD_INPUT = 2
_NAMES: dict[str, dict[str, Any]] = {  # of models and jobs, as verbs take them
    "model": {"metavar": "MODEL", "help": "its name in the configuration"},
    "models": {"metavar": "MODEL", "nargs": "+", "help": "their names"},
    "any_models": {"metavar": "MODEL", "nargs": "*", "help": "their names; default: all"},
    "job": {"metavar": "JOB", "help": "its name in the configuration"},
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 2 after one line about bad input."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    for talkative in ("fontTools", "httpx", "httpx2", "matplotlib"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    try:
        if arguments.threads:
            _use_threads(arguments.threads)
        keep_freed_memory()
        arguments.run(arguments)
    except RosettaError as error:
        print(f"rosetta: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("rosetta: interrupted", file=sys.stderr)
        return 130
    return 0


def _use_threads(threads: int) -> None:
    """Libraries read these when they are first imported, so before any stage runs."""
    for variable in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{variable}_NUM_THREADS"] = str(threads)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rosetta",
        description="Mine the units that a zoo of vision networks shares into a dictionary of "
        "concepts. The stages below are what the workflow runs; `snakemake --cores all` runs "
        "them all, in parallel, and again only where something changed.",
    )
    parser.add_argument("--version", action="version", version=f"rosetta {__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for name, run, about, takes in _VERBS:
        verb = verbs.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        verb.set_defaults(run=run)
        for key in takes:
            if key in _NAMES:
                verb.add_argument(key.removeprefix("any_"), **_NAMES[key])
        if "block" in takes:
            verb.add_argument("--block", type=int, metavar="I", help="of correlation.blocks")
        if "shard" in takes:
            verb.add_argument("--shard", required=True, help="of the images: 00000, 00001, …")
        if "weights" in takes:
            section = "a section `weights` of the configuration, as JSON"
            verb.add_argument("weights", metavar="WEIGHTS", help=section)
            verb.add_argument("path", metavar="PATH", type=Path, help="where to put the file")
        if "source" in takes:
            verb.add_argument("source", metavar="FILE", type=Path, help="a .pkl, .pt or .bin")
            verb.add_argument("target", metavar="OUT.safetensors", type=Path, help="where to")
            there = "key of the network in the file; default: G_ema of a .pkl, or all of the file"
            verb.add_argument("--entry", metavar="KEY", help=there)
        if "format" in takes:
            verb.add_argument("--format", choices=("csv", "json", "parquet"), default="csv")
            there = "default: the folder export of the run"
            verb.add_argument("--to", type=Path, metavar="DIR", help=there)
        if "figure" in takes:
            _add_figure_options(verb)
        if "all" in takes:
            verb.add_argument("--all", action="store_true", help="every layer that could be mined")
        if "markdown" in takes:
            there = "as it stands in docs/zoo.md, with licences, layers and map sizes"
            verb.add_argument("--markdown", action="store_true", help=there)
        if run not in (_fetch_file, _convert, _zoo, _defaults, _schema):
            path = Path("config.yaml")
            verb.add_argument("--config", type=Path, default=path, help=f"default: {path}")
        verb.add_argument("--threads", type=int, default=0, metavar="N", help="default: all CPUs")
    return parser


def _add_figure_options(verb: argparse.ArgumentParser) -> None:
    def numbers(option: str, about: str) -> None:
        verb.add_argument(option, type=int, nargs="+", metavar="I", help=about)

    numbers("--concepts", "which; default: the four strongest, or all with --image")
    about = "images per concept, the clearest; default: 4"
    verb.add_argument("--examples", type=int, default=4, metavar="N", help=about)
    numbers("--images", "the example images of every concept, in place of the clearest")
    about = "encoders that get a column beside the pivot's; default: all"
    verb.add_argument("--models", nargs="+", metavar="MODEL", help=about)
    about = "draw the concepts on this one image, for the pivot"
    verb.add_argument("--image", type=int, metavar="I", help=about)
    about = "draw what these steering jobs came to"
    verb.add_argument("--jobs", nargs="+", metavar="JOB", help=about)
    about = "where to, without suffix; default: in the folder figures of the run"
    verb.add_argument("--out", type=Path, metavar="PATH", help=about)


def _stage(stage: Callable, *takes: str) -> Callable[[argparse.Namespace], None]:
    """Turn a stage into a verb that reads its configuration and says where the result lies."""

    def run(arguments: argparse.Namespace) -> None:
        config = load_config(arguments.config)
        result = stage(config, **{name: getattr(arguments, name) for name in takes})
        for path in result if isinstance(result, tuple) else (result,):
            log.info("wrote %s", path)

    return run


def _check(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config)
    for name, layers in stages.check(config).items():
        units = sum(layer.channels for layer in layers)
        size = 2 * sum(layer.size for layer in layers) * config.sampling.images
        print(f"{name}: {len(layers)} layers, {units:,} units, {size / 2**30:.2f} GiB of maps")
    _warn_of_random_weights(*config.models)
    print(f"{arguments.config}: good")


def _plan(arguments: argparse.Namespace) -> None:
    from rosetta_core.mining.rates import measure_rates
    from rosetta_core.plan_report import report

    config = load_config(arguments.config)
    stages.check(config)
    rates = measure_rates(config)
    cores = arguments.threads or os.cpu_count() or 1
    print(report(config, stages.plan(config, rates), rates, cores=cores))
    _warn_of_random_weights(*config.models)


def _list_layers(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config)
    layers = stages.list_layers(config, model=arguments.model, all=arguments.all)
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


def _warn_of_random_weights(*models: Model) -> None:
    for model in models:
        if isinstance(model.weights, RandomWeights):
            print(red(f"{model.name}: {NOTHING_LEARNED}", sys.stdout))


def _fetch(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config)
    for name in arguments.models or [model.name for model in config.models]:
        path = stages.fetch(config, model=name)
        print(f"{name}: {path or 'has no file of weights'}")


def _fetch_file(arguments: argparse.Namespace) -> None:
    from rosetta_core.zoo.fetching import fetch

    fetch(parse_fetched(arguments.weights), arguments.path)
    log.info("wrote %s", arguments.path)


def _convert(arguments: argparse.Namespace) -> None:
    from rosetta_core.stages.convert import convert
    from rosetta_core.zoo.converting import snippet

    found = convert(arguments.source, arguments.target, entry=arguments.entry)
    print(f"# {found.tensors} tensors of {found.numbers:,} numbers in {found.path}")
    if found.family is None:
        print("# of no family that rosetta recognises: give `family` and `arguments` yourself")
        return
    if found.resolution:
        print(f"# a network of family {found.family}, {found.resolution}×{found.resolution}")
    print(snippet(found), end="")


def _zoo(arguments: argparse.Namespace) -> None:
    from rosetta_core.stages.zoo import zoo

    print(zoo(Path(Config().resources), markdown=arguments.markdown))


def _where(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config)
    paths = RunPaths(config)
    print(paths.dictionary / "index.html")
    if config.steering.jobs:
        print(paths.steering / "index.html")


def _defaults(_: argparse.Namespace) -> None:
    print(default_yaml(), end="")


def _schema(_: argparse.Namespace) -> None:
    print(json_schema(), end="")


_VERBS: list[tuple[str, Callable[[argparse.Namespace], None], str, tuple[str, ...]]] = [
    ("check", _check, "check a configuration before a run", ()),
    ("plan", _plan, "say what a run will take: units, operations, disk, memory, time", ()),
    ("list-layers", _list_layers, "list a model's layers, units and map sizes", ("model", "all")),
    ("mine", _stage(stages.mine), "run every stage in turn, without the workflow's cache", ()),
    ("fetch", _fetch, "fetch models' weights, for runs without a network", ("any_models",)),
    ("fetch-file", _fetch_file, "fetch one file of weights", ("weights",)),
    (
        "convert",
        _convert,
        "make a clean file of weights out of a StyleGAN pickle, without running it",
        ("source",),
    ),
    ("zoo", _zoo, "list the published models that a configuration can name", ("markdown",)),
    ("sample", _stage(stages.sample, "shard"), "draw the images of a shard", ("shard",)),
    (
        "activations",
        _stage(stages.activations, "model", "shard"),
        "write down a model's activation maps of a shard",
        ("model", "shard"),
    ),
    ("units", _stage(stages.units, "model"), "write the table of a model's units", ("model",)),
    (
        "correlations",
        _stage(stages.correlations, "models", "block"),
        "correlate the pivot's units with those of models",
        ("models", "block"),
    ),
    ("join", _stage(stages.join, "model"), "join the blocks of a pair's correlations", ("model",)),
    (
        "neighbours",
        _stage(stages.neighbours, "model"),
        "find nearest neighbours and best buddies of the pivot and a model",
        ("model",),
    ),
    ("concepts", _stage(stages.concepts), "find Rosetta neurons and concepts", ()),
    (
        "unit-examples",
        _stage(stages.unit_examples, "model"),
        "find the images that each unit of a model fires at",
        ("model",),
    ),
    (
        "concept-examples",
        _stage(stages.concept_examples),
        "find how strongly the concepts show on every image",
        (),
    ),
    (
        "steer",
        _stage(stages.steer, "job"),
        "run a job that inverts, shows, edits, tunes or evaluates",
        ("job",),
    ),
    ("steering-pages", _stage(stages.steering_pages), "write the page of those jobs", ()),
    ("dictionary", _stage(stages.dictionary), "write the dictionary's pages", ()),
    (
        "figure",
        _stage(stages.figure, "concepts", "examples", "images", "models", "image", "jobs", "out"),
        "draw a figure for a paper, as PDF and PNG: concepts across models, or on one image; jobs",
        ("figure",),
    ),
    (
        "export",
        _stage(stages.export, "format", "to"),
        "write the tables as CSV, JSON or Parquet, every unit with its name",
        ("format", "to"),
    ),
    ("costs", _stage(stages.costs), "gather what the jobs of a run took into one table", ()),
    ("where", _where, "print where the pages lie", ()),
    ("defaults", _defaults, "print the default configuration, explained", ()),
    ("schema", _schema, "print the configuration's schema", ()),
]
