"""Commands of `rosetta`: their arguments, parsers and help.

A command is a record; its parser is built when it is called. Errors of the command line are one
line, `COMMAND: what is wrong; see rosetta COMMAND --help`, and exit with 2.
"""

import argparse
import re
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args

from rosetta_core.errors import MAX_LINE, one_line
from rosetta_core.runtime.failures import INVALID
from rosetta_core.runtime.progress import red

__all__ = [
    "Argument",
    "Command",
    "Parser",
    "argument",
    "fail",
    "format_overview",
    "number_or_id",
    "show",
]

MAX_THREADS = 4096
LABEL_WIDTH, NAME_WIDTH = 10, 18  # columns of the overview: groups, commands
Group = Literal["run", "inspect", "steer", "stages"]
GROUPS: tuple[Group, ...] = get_args(Group)
DESCRIPTION = (
    "Find the units that vision networks share. `snakemake --cores all` runs all stages in "
    "parallel and reruns what changed."
)
EXIT_CODES = (
    "exit codes: 0 success; 1 out of disk, memory or GPU, damage found, or runs differ; 2 invalid "
    "input"
)


def show(*lines: str, in_red: bool = False) -> None:
    """Print lines; control characters in them, newlines too, are escaped.

    Args:
        lines: lines of text, which may contain names and messages from outside.
        in_red: whether they are red in a terminal.
    """
    for line in lines:
        text = one_line(line)
        print(red(text, sys.stdout) if in_red else text)


def fail(message: str, code: int) -> int:
    """Print one line of error; return the exit code."""
    with suppress(OSError):  # stderr may be a log on a full disk
        print(f"rosetta: {one_line(message, longest=MAX_LINE)}", file=sys.stderr)
    return code


class Parser(argparse.ArgumentParser):
    """Parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the error and exit with 2."""
        command = self.prog.removeprefix("rosetta").strip()
        where = f"{command}: " if command else ""
        sys.exit(fail(f"{where}{message}; see {self.prog} --help", INVALID))


@dataclass(frozen=True)
class Argument:
    """An argument of a command, as `ArgumentParser.add_argument` takes it."""

    names: tuple[str, ...]
    options: Mapping[str, Any]


def argument(*names: str, **options: Any) -> Argument:
    """Return an argument of a command."""
    return Argument(names, options)


@dataclass(frozen=True)
class Command:
    """A command of `rosetta`.

    Attributes:
        name: name of the command.
        summary: what it does, from the verb on, without a full stop.
        run: function of the parsed arguments; returns the exit code, None for 0.
        group: group in the overview.
        arguments: its arguments.
        reads_config: whether it has the option --config.
    """

    name: str
    summary: str
    run: Callable[[argparse.Namespace], int | None]
    group: Group
    arguments: tuple[Argument, ...] = field(default=())
    reads_config: bool = True

    def parser(self) -> Parser:
        """Return the parser of the command's arguments."""
        description = f"{self.summary[0].upper()}{self.summary[1:]}."
        parser = Parser(prog=f"rosetta {self.name}", description=description)
        for each in self.arguments:
            parser.add_argument(*each.names, **each.options)
        if self.reads_config:
            parser.add_argument(
                "--config",
                type=Path,
                default=Path("config.yaml"),
                help="YAML configuration of the run (default: config.yaml)",
            )
        parser.add_argument(
            "--threads", type=_threads, metavar="N", help="number of CPU threads (default: all)"
        )
        return parser


def number_or_id(text: str) -> int | str:
    """Return the number of a concept, or its id, layer/channel."""
    if re.fullmatch(r"-?[0-9]{1,9}", text):
        return int(text)
    if "/" not in text:
        raise argparse.ArgumentTypeError(f"invalid int value: {text!r}")
    return text


def _threads(text: str) -> int:
    if not text.isdecimal() or len(text) > 4 or not 1 <= int(text) <= MAX_THREADS:
        raise argparse.ArgumentTypeError(f"{text!r} is invalid; give 1 to {MAX_THREADS}")
    return int(text)


def format_overview(commands: Iterable[Command]) -> str:
    """Return the help of `rosetta`: all commands in their groups, wrapped to the terminal."""
    width = max(60, shutil.get_terminal_size().columns - 2)
    commands = list(commands)
    lines = ["usage: rosetta [--version] COMMAND ...", *textwrap.wrap(DESCRIPTION, width), ""]
    for group in GROUPS:
        label = f"{group}:"
        if group == "stages":  # its label is longer than the column
            lines.append("stages (called by the workflow):")
            label = ""
        for command in commands:
            if command.group == group:
                name = f"{label:<{LABEL_WIDTH}}{command.name:<{NAME_WIDTH}}"
                indent = " " * len(name)
                lines += textwrap.wrap(
                    command.summary, width, initial_indent=name, subsequent_indent=indent
                )
                label = ""
    return "\n".join([*lines, *textwrap.wrap(EXIT_CODES, width)]) + "\n"
