"""The command line: `rosetta VERB`, the same as `python -m rosetta_core VERB`.

main    parse, run one stage, and say in one line what is wrong if something is
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rosetta_core import __version__
from rosetta_core.errors import RosettaError
from rosetta_core.freed_memory import keep_freed_memory
from rosetta_core.verbs import VERBS, WITHOUT

__all__ = ["main"]

BAD_INPUT = 2
_NAMES: dict[str, dict[str, Any]] = {  # of models, jobs and recipes, as verbs take them
    "model": {"metavar": "MODEL", "help": "its name in the configuration"},
    "models": {"metavar": "MODEL", "nargs": "+", "help": "their names"},
    "any_models": {"metavar": "MODEL", "nargs": "*", "help": "their names; default: all"},
    "recipe": {"metavar": "RECIPE", "type": Path, "help": "YAML, as in configs/train"},
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
    for name, run, about, takes in VERBS:
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
            verb.add_argument(
                "source", metavar="FILE", type=Path, help="a .pkl, .pt or .bin; read, not run"
            )
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
        if run not in WITHOUT:
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
