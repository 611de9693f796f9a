"""The command line: `rosetta VERB`, the same as `python -m rosetta_core VERB`.

main    parse, run one stage, and say in one line what is wrong if something is
"""

import argparse
import errno
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from rosetta_core import __version__
from rosetta_core.cli.commands import VERBS, WITHOUT
from rosetta_core.errors import RosettaError, one_line
from rosetta_core.runtime.freed_memory import keep_freed_memory
from rosetta_core.runtime.memory import exhaustion
from rosetta_core.stages.sweep import LARGEST_K
from rosetta_core.stages.sweep_curves import KS

__all__ = ["main"]

GAVE_OUT, BAD_INPUT = 1, 2
MOST_THREADS = 4096
UNUSABLE = (  # paths that can't be what they are given for
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG),
)
_NAMES: dict[str, dict[str, Any]] = {  # of models, jobs and recipes, as verbs take them
    "model": {"metavar": "MODEL", "help": "its name in the configuration"},
    "models": {"metavar": "MODEL", "nargs": "+", "help": "their names"},
    "any_models": {"metavar": "MODEL", "nargs": "*", "help": "their names; default: all"},
    "recipe": {"metavar": "RECIPE", "type": Path, "help": "YAML, as in configs/train"},
    "folder": {"metavar": "RUN", "type": Path, "help": "its folder, as results/faces"},
    "one": {"metavar": "RUN_A", "type": Path, "help": "the folder of a finished run"},
    "other": {"metavar": "RUN_B", "type": Path, "help": "that of another"},
    "job": {"metavar": "JOB", "help": "its name in the configuration"},
}
_FLAGS = {
    "all": "every layer that could be mined",
    "delete": "delete what is damaged, and say how to make it again",
    "markdown": "as it stands in docs/reference/model-zoo.md, with licences, layers and map sizes",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, what a verb does, or a number after one line of error.

    2 stands for bad input; 1 for a disk, memory or a GPU that gave out.
    """
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    for talkative in ("fontTools", "httpx", "httpx2", "matplotlib"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    logging.raiseExceptions = False  # on a full disk the log can't be written either
    try:
        if arguments.threads:
            _use_threads(arguments.threads)
        keep_freed_memory()
        return arguments.run(arguments) or 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if said := exhaustion(error):
            return _fail(said, GAVE_OUT)
        if isinstance(error, RosettaError):
            return _fail(str(error), BAD_INPUT)
        if isinstance(error, OSError) and error.filename and error.errno in UNUSABLE:
            return _fail(f"{error.filename}: cannot be used: {error.strerror}", BAD_INPUT)
        raise
    return 0


def _fail(said: str, code: int) -> int:
    with suppress(OSError):  # a full disk, where this goes to a log
        print(f"rosetta: {one_line(said)}", file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        verb = self.prog.removeprefix("rosetta").strip()
        said = f"{verb}: {message}" if verb else message
        sys.exit(_fail(f"{said}; see {self.prog} --help", BAD_INPUT))


def _threads(text: str) -> int:
    if not text.isdecimal() or len(text) > 4 or not 1 <= int(text) <= MOST_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MOST_THREADS}")
    return int(text)


def _use_threads(threads: int) -> None:
    """Libraries read these when they are first imported, so before any stage runs."""
    for variable in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{variable}_NUM_THREADS"] = str(threads)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
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
            elif key in _FLAGS:
                verb.add_argument(f"--{key}", action="store_true", help=_FLAGS[key])
        if "block" in takes:
            verb.add_argument("--block", type=int, metavar="I", help="of correlation.blocks")
        if "shard" in takes:
            verb.add_argument("--shard", required=True, help="of the images: 00000, 00001, …")
        if "null" in takes:
            verb.add_argument(
                "--null",
                required=True,
                help="null model: permute_images, roll_positions or untrained",
            )
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
        if "to" in takes:
            _add_output_options(verb, format="format" in takes)
        if "images" in takes and "figure" not in takes:
            about = "numbers of images to try; default: 64, 128, … and all"
            verb.add_argument("--images", type=int, nargs="+", metavar="N", help=about)
        if "largest_k" in takes:
            about = f"nearest neighbours to keep per unit; default: {LARGEST_K}"
            verb.add_argument("--largest-k", type=int, default=LARGEST_K, metavar="K", help=about)
        if "k" in takes:
            about = f"numbers of nearest neighbours to try; default: {', '.join(map(str, KS))}"
            verb.add_argument("--k", type=int, nargs="+", default=KS, metavar="K", help=about)
        if "figure" in takes:
            _add_figure_options(verb)
        if run not in WITHOUT:
            path = Path("config.yaml")
            verb.add_argument("--config", type=Path, default=path, help=f"default: {path}")
        verb.add_argument("--threads", type=_threads, metavar="N", help="default: all CPUs")
    return parser


def _add_output_options(verb: argparse.ArgumentParser, *, format: bool) -> None:
    there = "default: translations/RUN_A--RUN_B beside RUN_A"
    if format:
        verb.add_argument("--format", choices=("csv", "json", "parquet"), default="csv")
        there = "default: the folder export of the run"
    verb.add_argument("--to", type=Path, metavar="DIR", help=there)


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
