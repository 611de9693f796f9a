"""Entry point of the command line: `rosetta COMMAND`, or `python -m rosetta_core COMMAND`."""

import errno
import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from rosetta_core import __version__
from rosetta_core.cli.command import INVALID, Command, Parser, fail, format_overview
from rosetta_core.cli.inspect_commands import INSPECT_COMMANDS
from rosetta_core.cli.run_commands import RUN_COMMANDS
from rosetta_core.cli.stage_commands import stage_commands
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.runtime.memory import exhaustion_message, keep_freed_memory

__all__ = ["all_commands", "main"]

EXHAUSTED = 1  # exit code when disk, memory or GPU fail
UNUSABLE = (  # errors of a path that the user gave
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
    *(errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG),
)


def all_commands() -> dict[str, Command]:
    """Return all commands by name, in the order of the help."""
    commands = (*RUN_COMMANDS, *INSPECT_COMMANDS, *stage_commands())
    return {command.name: command for command in commands}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments; None: those of the process.

    Returns:
        Exit code: 0; 1 if disk, memory or GPU fail, or if a command found damage or differences; 2
        for invalid input.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # in a locale such as C, × is printed as \xd7
            stream.reconfigure(errors="backslashreplace")
    command, arguments = _split(list(sys.argv[1:] if argv is None else argv))
    options = command.parser().parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    for verbose in ("fontTools", "httpx", "httpx2"):
        logging.getLogger(verbose).setLevel(logging.WARNING)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # warns of a read-only home
    logging.raiseExceptions = False  # on a full disk, logging fails too
    try:
        if options.threads:
            _set_threads(options.threads)
        keep_freed_memory()
        return command.run(options) or 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if message := exhaustion_message(error):
            return fail(message, EXHAUSTED)
        if isinstance(error, RosettaError):
            return fail(str(error), INVALID)
        if isinstance(error, OSError) and error.filename and error.errno in UNUSABLE:
            return fail(f"{error.filename}: cannot be used: {error.strerror}", INVALID)
        raise
    return 0


class _MainParser(Parser):
    """Parser of the options before a command."""

    def format_help(self) -> str:
        """Return the overview of all commands."""
        return format_overview(all_commands().values())


def _split(argv: list[str]) -> tuple[Command, list[str]]:
    """Return the command and its arguments; exit for --help, --version and invalid commands."""
    parser = _MainParser(prog="rosetta")
    parser.add_argument("--version", action="version", version=f"rosetta {__version__}")
    if not argv or argv[0].startswith("-"):
        parser.parse_args(argv)
        parser.error("the following arguments are required: COMMAND")
    commands = all_commands()
    if argv[0] not in commands:
        _unknown(parser, argv[0], list(commands))
    return commands[argv[0]], argv[1:]


def _unknown(parser: Parser, name: str, commands: list[str]) -> NoReturn:
    parser.error(f"unknown command {name!r}{did_you_mean(name, commands)}")


def _set_threads(threads: int) -> None:
    """Set the number of threads; libraries read it when they are imported, so before any stage."""
    for variable in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{variable}_NUM_THREADS"] = str(threads)
