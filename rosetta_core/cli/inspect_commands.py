"""Commands that read finished runs: pages, figures, exports, verification, comparisons."""

import argparse
import shlex
from contextlib import nullcontext
from pathlib import Path

from rosetta_core.cli.command import Command, argument
from rosetta_core.cli.stage_commands import locked
from rosetta_core.config import load_config
from rosetta_core.runs.lock import run_lock
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.tools.compare import compare_runs
from rosetta_core.stages.tools.export import export_run
from rosetta_core.stages.tools.figure import draw_figure
from rosetta_core.stages.tools.translate import translate_runs
from rosetta_core.stages.tools.verify import verify_run

__all__ = ["INSPECT_COMMANDS"]

DAMAGED = DIFFERENT = 1  # exit codes
RUNS = (
    argument("one", metavar="RUN_A", type=Path, help="folder of the first finished run"),
    argument("other", metavar="RUN_B", type=Path, help="folder of the second finished run"),
)


def _where(arguments: argparse.Namespace) -> None:
    for page in RunPaths(load_config(arguments.config)).pages:
        print(page)


def _verify(arguments: argparse.Namespace) -> int:
    from rosetta_core.runs.finished.location import run_config

    config = run_config(arguments.folder)
    paths = RunPaths(config)
    with run_lock(paths.run) if arguments.delete else nullcontext():
        result = verify_run(config, delete=arguments.delete)
    for problem in result.problems:
        print(problem)
    if result.targets:
        command = ["snakemake", "--cores", "all", "--configfile", paths.config, "--"]
        text = shlex.join(map(str, [*command, *result.targets]))
        print(f"deleted; regenerate with: {text}")
    elif result.problems:
        text = shlex.join(["rosetta", "verify", str(paths.run), "--delete"])
        print(f"to delete damaged artifacts: {text}")
    state = f"{len(result.problems)} damaged" if result.problems else "no damage"
    print(f"{result.artifacts} artifacts, {result.bytes:,} bytes checked: {state}")
    return DAMAGED if result.problems else 0


def _compare(arguments: argparse.Namespace) -> int:
    result = compare_runs(arguments.one, arguments.other)
    for difference in [*result.inputs, *result.results]:
        print(difference)
    print(f"{arguments.one} and {arguments.other}: {result.verdict}")
    return DIFFERENT if result.different else 0


def _translate(arguments: argparse.Namespace) -> None:
    result, page = translate_runs(arguments.one, arguments.other, to=arguments.to)
    for row in result.counts.itertuples():
        what = f"{row.level} of {row.model}" if row.model else row.level
        print(f"{what}: {row.n_observed:,} observed, {row.n_null:,.1f} under the null model")
    print(f"wrote {page}")


FIGURE_ARGUMENTS = (
    argument(
        "--concepts",
        type=int,
        nargs="+",
        metavar="I",
        help="concept numbers (default: the four strongest; all with --image)",
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
        "check all files of a run against their checksums; --delete removes damaged ones",
        _verify,
        group="inspect",
        arguments=(
            argument(
                "folder", metavar="RUN", type=Path, help="run folder, for example results/faces"
            ),
            argument(
                "--delete",
                action="store_true",
                help="delete damaged artifacts and print the command that regenerates them",
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
