"""Commands that prepare and start runs: check, plan, mine, weights, layers, training, defaults."""

import argparse
import os
from pathlib import Path

from rosetta_core.cli.command import Command, argument, show
from rosetta_core.config import Config, default_yaml, json_schema, load_config, load_recipe
from rosetta_core.io.cached_text import can_be_written, user_cache
from rosetta_core.runs.lock import run_lock
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.progress import NOTHING_LEARNED, log
from rosetta_core.stages.tools.check import check_config
from rosetta_core.stages.tools.mine import mine
from rosetta_core.stages.tools.plan import plan_run
from rosetta_core.stages.tools.prepare import fetch_weights, list_layers
from rosetta_core.stages.tools.train import train_encoder
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.local import RandomWeights

__all__ = ["RUN_COMMANDS"]


def _check(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config)
    for name, layers in check_config(config).items():
        units = sum(layer.channels for layer in layers)
        size = 2 * sum(layer.size for layer in layers) * config.sampling.images
        show(f"{name}: {len(layers)} layers, {units:,} units, {size / 2**30:.2f} GiB of maps")
    _warn_random_weights(*config.models)
    cache = user_cache()
    if cache and not can_be_written(cache.absolute()):
        log.warning(
            "%s: cannot be written, and Snakemake cannot start without its cache there; set "
            "XDG_CACHE_HOME to another folder",
            cache,
        )
    show(f"{arguments.config}: valid")


def _plan(arguments: argparse.Namespace) -> None:
    from rosetta_core.cli.plan_report import format_plan
    from rosetta_core.stages.tools.machine_rates import measure_rates

    config = load_config(arguments.config)
    check_config(config)
    rates = measure_rates(config)
    cores = arguments.threads or os.cpu_count() or 1
    show(*format_plan(config, plan_run(config, rates), rates, cores=cores).rstrip("\n").split("\n"))
    _warn_random_weights(*config.models)


def _mine(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config)
    check_config(config)
    with run_lock(RunPaths(config).run):
        log.info("wrote %s", mine(config))


def _fetch(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config)
    for name in arguments.models or [model.name for model in config.models]:
        path = fetch_weights(config, model=name)
        show(f"{name}: {path or 'has no file of weights'}")


def _list_layers(arguments: argparse.Namespace) -> None:
    config = load_config(arguments.config)
    layers = list_layers(config, model=arguments.model, all=arguments.all)
    width = max(5, *(len(layer.name) for layer in layers))
    has_margins = any(layer.margin for layer in layers)  # cropped borders; rare
    margin = f"  {'margin':>6}" if has_margins else ""
    show(f"{'layer':<{width}}  {'units':>6}  {'map':>9}{margin}  {'bytes per image':>15}")
    for layer in layers:
        size = f"{layer.height}×{layer.width}"
        margin = f"  {layer.margin:>6}" if has_margins else ""
        show(
            f"{layer.name:<{width}}  {layer.channels:>6}  {size:>9}{margin}  {2 * layer.size:>15,}"
        )
    units, total = sum(x.channels for x in layers), sum(2 * x.size for x in layers)
    show(f"{len(layers)} layers, {units:,} units, {total:,} bytes per image (float16)")
    _warn_random_weights(config.model(arguments.model))


def _warn_random_weights(*models: ModelSpec) -> None:
    for model in models:
        if isinstance(model.weights, RandomWeights):
            show(f"{model.name}: {NOTHING_LEARNED}", in_red=True)


def _zoo(arguments: argparse.Namespace) -> None:
    from rosetta_core.zoo.listing import as_markdown, as_text, entries

    models = entries(Path(Config().resources))
    text = as_markdown(models) if arguments.markdown else as_text(models)
    show(*text.rstrip("\n").split("\n"))


def _convert(arguments: argparse.Namespace) -> None:
    from rosetta_core.zoo.weights.convert import config_snippet, convert

    result = convert(arguments.source, arguments.target, entry=arguments.entry)
    show(f"# {result.tensors} tensors with {result.numbers:,} numbers in {result.path}")
    if result.family is None:
        show("# unknown family: set `family` and `arguments` yourself")
        return
    if result.resolution:
        show(f"# family {result.family}, {result.resolution}×{result.resolution}")
    show(*config_snippet(result).rstrip("\n").split("\n"))


def _train(arguments: argparse.Namespace) -> None:
    show(str(train_encoder(load_recipe(arguments.recipe))))


def _defaults(_: argparse.Namespace) -> None:
    show(*default_yaml().rstrip("\n").split("\n"))


def _schema(_: argparse.Namespace) -> None:
    show(*json_schema().rstrip("\n").split("\n"))


RUN_COMMANDS = (
    Command("check", "validate a configuration and build its models", _check, group="run"),
    Command("plan", "estimate units, FLOPs, disk, memory and time of a run", _plan, group="run"),
    Command(
        "mine", "run all stages in sequence, without Snakemake and its cache", _mine, group="run"
    ),
    Command(
        "fetch",
        "download the weights of a configuration",
        _fetch,
        group="run",
        arguments=(
            argument("models", metavar="MODEL", nargs="*", help="names of models (default: all)"),
        ),
    ),
    Command(
        "list-layers",
        "list a model's layers with units, map sizes and bytes per image",
        _list_layers,
        group="run",
        arguments=(
            argument("model", metavar="MODEL", help="name of the model in the configuration"),
            argument("--all", action="store_true", help="list all layers that can be mined"),
        ),
    ),
    Command(
        "zoo",
        "list the built-in model names",
        _zoo,
        group="run",
        arguments=(
            argument(
                "--markdown",
                action="store_true",
                help="print the table of docs/reference/model-zoo.md, with licences, layers and "
                "map sizes",
            ),
        ),
        reads_config=False,
    ),
    Command(
        "convert",
        "convert a StyleGAN pickle or torch.save file to safetensors",
        _convert,
        group="run",
        arguments=(
            argument(
                "source",
                metavar="FILE",
                type=Path,
                help="checkpoint (.pkl, .pt or .bin); its code is never run",
            ),
            argument("target", metavar="OUT.safetensors", type=Path, help="output file"),
            argument(
                "--entry",
                metavar="KEY",
                help="key of the network in the file (default: G_ema of a .pkl, else the whole "
                "file)",
            ),
        ),
        reads_config=False,
    ),
    Command(
        "train",
        "train a self-supervised encoder from a recipe",
        _train,
        group="run",
        arguments=(
            argument("recipe", metavar="RECIPE", type=Path, help="YAML recipe, see configs/train"),
        ),
        reads_config=False,
    ),
    Command(
        "defaults",
        "print the default configuration",
        _defaults,
        group="run",
        reads_config=False,
    ),
    Command(
        "schema",
        "print the JSON schema of the configuration",
        _schema,
        group="run",
        reads_config=False,
    ),
)
