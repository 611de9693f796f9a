"""Commands that read finished runs: pages, figures, exports, verification, comparisons."""

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from rosetta_core.cli.command import Command, argument, number_or_id, show
from rosetta_core.cli.stage_commands import locked
from rosetta_core.config import Config, load_config
from rosetta_core.errors import RosettaError
from rosetta_core.runs.lock import run_lock
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.tools.compare import compare_runs, describe_concepts
from rosetta_core.stages.tools.export import export_run
from rosetta_core.stages.tools.figure import draw_figure
from rosetta_core.stages.tools.translate import translate_runs
from rosetta_core.stages.tools.verify import delete_damaged, sign_run, verify_run

__all__ = ["INSPECT_COMMANDS"]

DAMAGED = DIFFERENT = 1  # exit codes
RUNS = (
    argument("one", metavar="RUN_A", type=Path, help="folder of the first finished run"),
    argument("other", metavar="RUN_B", type=Path, help="folder of the second finished run"),
)


def _where(arguments: argparse.Namespace) -> None:
    for page in RunPaths(load_config(arguments.config)).pages:
        show(str(page))


def _verify(arguments: argparse.Namespace) -> int:
    from rosetta_core.runs.finished.location import run_config, run_folder

    _check_verify_options(arguments)
    secret = public = None
    if arguments.sign or arguments.key:
        from rosetta_core.runs.provenance.signatures import (
            check_signature,
            read_public_key,
            read_secret_key,
        )

        folder = run_folder(arguments.folder)
        secret = read_secret_key(arguments.sign) if arguments.sign else None
        public = read_public_key(arguments.key) if arguments.key else None
        if public:  # before anything of the run is read
            show(f"signature of {folder.name}: valid ({check_signature(folder, public)})")
    config = run_config(arguments.folder)
    saved = config.origin == "memory"  # no stage can write its files again
    if saved and arguments.delete:
        raise RosettaError(
            f"--delete: run {config.run!r} was mined in memory and cannot be regenerated; mine and "
            "save it again"
        )
    paths = RunPaths(config)
    with run_lock(paths.run) if arguments.delete or arguments.sign else nullcontext():
        result = verify_run(config, everything=bool(secret or public))
        problems = result.problems
        if public:
            problems += [
                f"{path}: is not listed in {paths.provenance.name}; remove it, or sign again"
                for path in result.unlisted
            ]
        for problem in problems:
            show(problem)
        if arguments.delete and result.damaged:
            _delete(config, result.damaged, yes=arguments.yes)
        elif result.damaged and not saved:
            text = shlex.join(["rosetta", "verify", str(paths.run), "--delete"])
            show(f"to delete damaged artifacts: {text}")
        state = f"{len(problems)} damaged" if problems else "no damage"
        show(f"{result.artifacts} artifacts, {result.bytes:,} bytes checked: {state}")
        if secret and problems:
            show("not signed, because of the damage")
        elif secret:
            show(f"wrote {sign_run(config, secret, result.unlisted)}")
    return DAMAGED if problems else 0


def _check_verify_options(arguments: argparse.Namespace) -> None:
    if arguments.sign and (arguments.key or arguments.delete):
        raise RosettaError("--sign: cannot be combined with --key or --delete; remove one of them")
    if arguments.yes and not arguments.delete:
        raise RosettaError("--yes: has no effect without --delete; remove it")
    if arguments.delete and not arguments.yes and not sys.stdin.isatty():
        raise RosettaError(
            "--delete: asks before it deletes, and there is no terminal to ask in; add --yes"
        )


def _delete(config: Config, damaged: Mapping[Path, Sequence[Path]], *, yes: bool) -> None:
    """Print what would be deleted, ask, delete it, and print how to regenerate it."""
    parts = [part for parts in damaged.values() for part in parts if os.path.lexists(part)]
    for part in parts:
        show(f"to delete: {part}")
    question = f"Delete these {len(parts)} files and folders? [y/N] "
    if parts and not yes and input(question).strip().lower() not in ("y", "yes"):
        show("nothing was deleted")
        return
    delete_damaged(config, damaged)
    command = ["snakemake", "--cores", "all", "--configfile", RunPaths(config).config, "--"]
    show(f"deleted; regenerate with: {shlex.join(map(str, [*command, *damaged]))}")


def _compare(arguments: argparse.Namespace) -> int:
    result = compare_runs(arguments.one, arguments.other)
    for difference in [*result.inputs, *result.results]:
        show(str(difference))
    if result.results:
        show(*describe_concepts(arguments.one, arguments.other))
    show(f"{arguments.one} and {arguments.other}: {result.verdict}")
    return DIFFERENT if result.different else 0


def _translate(arguments: argparse.Namespace) -> None:
    result, page = translate_runs(arguments.one, arguments.other, to=arguments.to)
    for row in result.counts.itertuples():
        what = f"{row.level} of {row.model}" if row.model else row.level
        show(f"{what}: {row.n_observed:,} observed, {row.n_null:,.1f} under the null model")
    show(f"wrote {page}")


FIGURE_ARGUMENTS = (
    argument(
        "--concepts",
        type=number_or_id,
        nargs="+",
        metavar="CONCEPT",
        help="concept numbers or ids, for example 3 or layer3/17 (default: the four strongest; all "
        "with --image)",
    ),
    argument(
        "--examples",
        type=int,
        default=4,
        metavar="N",
        help="images per concept, those with the highest concept score (default: 4)",
    ),
    argument(
        "--images",
        type=int,
        nargs="+",
        metavar="I",
        help="example images of every concept, in place of --examples",
    ),
    argument(
        "--models",
        nargs="+",
        metavar="MODEL",
        help="encoders with a column next to the pivot (default: all)",
    ),
    argument("--image", type=int, metavar="I", help="draw the concepts on this image"),
    argument("--jobs", nargs="+", metavar="JOB", help="draw the results of these steering jobs"),
    argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="output path without suffix (default: in the run's folder figures)",
    ),
)

INSPECT_COMMANDS = (
    Command("where", "print the paths of a run's pages", _where, group="inspect"),
    Command(
        "figure",
        "draw paper figures (PDF, PNG) of concepts, of one image, or of steering jobs",
        locked(draw_figure, "concepts", "examples", "images", "models", "image", "jobs", "out"),
        group="inspect",
        arguments=FIGURE_ARGUMENTS,
    ),
    Command(
        "export",
        "write the tables as CSV, JSON or Parquet",
        locked(export_run, "format", "to"),
        group="inspect",
        arguments=(
            argument(
                "--format",
                choices=("csv", "json", "parquet"),
                default="csv",
                help="file format (default: csv)",
            ),
            argument(
                "--to",
                type=Path,
                metavar="DIR",
                help="output folder (default: the run's folder export)",
            ),
        ),
    ),
    Command(
        "verify",
        "check all files of a run against their checksums; delete damaged ones; sign a run",
        _verify,
        group="inspect",
        arguments=(
            argument(
                "folder", metavar="RUN", type=Path, help="run folder, for example results/faces"
            ),
            argument(
                "--delete",
                action="store_true",
                help="delete damaged artifacts inside the run, after a question, and print the "
                "command that regenerates them",
            ),
            argument("--yes", action="store_true", help="delete without a question"),
            argument(
                "--sign",
                type=Path,
                metavar="KEY",
                help="sign the provenance of an undamaged run with a secret key of minisign",
            ),
            argument(
                "--key",
                type=Path,
                metavar="PUB",
                help="verify the signature with a public key of minisign, and that it covers every "
                "file",
            ),
        ),
        reads_config=False,
    ),
    Command(
        "compare",
        "list the differences between two runs; exit code 1 if results differ",
        _compare,
        group="inspect",
        arguments=RUNS,
        reads_config=False,
    ),
    Command(
        "translate",
        "match the concepts of two runs through shared encoder units",
        _translate,
        group="inspect",
        arguments=(
            *RUNS,
            argument(
                "--to",
                type=Path,
                metavar="DIR",
                help="output folder (default: translations/RUN_A--RUN_B next to RUN_A)",
            ),
        ),
        reads_config=False,
    ),
)
