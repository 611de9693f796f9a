"""Entry point of the command line: `rosetta COMMAND`, or `python -m rosetta_core COMMAND`."""

import io
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import NoReturn

from rosetta_core import __version__
from rosetta_core.cli.command import Command, Parser, fail, format_overview
from rosetta_core.cli.inspect_commands import INSPECT_COMMANDS
from rosetta_core.cli.run_commands import RUN_COMMANDS
from rosetta_core.cli.score_command import SCORE_COMMAND
from rosetta_core.cli.stage_commands import stage_commands
from rosetta_core.errors import did_you_mean, one_line
from rosetta_core.runtime.failures import TERMINATED, explain_failure
from rosetta_core.runtime.memory import keep_freed_memory
from rosetta_core.runtime.progress import EscapeFilter

__all__ = ["all_commands", "main"]


def all_commands() -> dict[str, Command]:
    """Return all commands by name, in the order of the help."""
    commands = (*RUN_COMMANDS, *INSPECT_COMMANDS, SCORE_COMMAND, *stage_commands())
    return {command.name: command for command in commands}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: arguments; None: those of the process.

    Returns:
        Exit code: 0; 1 if disk, memory, GPU or installation fail, or if a command found damage or
        differences; 2 for invalid input; 143 if it was terminated.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # in a locale such as C, × is printed as \xd7
            stream.reconfigure(errors="backslashreplace")
    command, arguments = _split(list(sys.argv[1:] if argv is None else argv))
    options = command.parser().parse_args(arguments)
    _configure_messages()
    try:
        with _terminable():
            if options.threads:
                _set_threads(options.threads)
            keep_freed_memory()
            return command.run(options) or 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except _TerminatedError:
        return fail("terminated", TERMINATED)
    except Exception as error:
        if explained := explain_failure(error):
            return fail(*explained)
        sys.excepthook = _print_traceback
        raise
    return 0


def _configure_messages() -> None:
    """Send log lines and warnings to stderr, one line each and without control characters."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(EscapeFilter())
    for verbose in ("fontTools", "httpx", "httpx2"):
        logging.getLogger(verbose).setLevel(logging.WARNING)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # warns of a read-only home
    logging.raiseExceptions = False  # on a full disk, logging fails too
    warnings.formatwarning = lambda message, kind, *_: one_line(f"{kind.__name__}: {message}\n")
    warnings.filterwarnings("ignore", module=r"PIL\.")  # of damaged tags in images


class _TerminatedError(BaseException):
    """SIGTERM, as an exception, so that temporary files are deleted."""


@contextmanager
def _terminable() -> Iterator[None]:
    """Raise an exception when SIGTERM arrives in the block."""

    def terminate(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _TerminatedError

    try:
        before = signal.signal(signal.SIGTERM, terminate)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _print_traceback(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print a traceback whose lines have no control characters."""
    lines = "".join(traceback.format_exception(kind, error, trace)).split("\n")
    print("\n".join(map(one_line, lines)), file=sys.stderr)


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
