"""Entry point of `rosetta` and `python -m rosetta_core`, which can be interrupted at any time."""

import sys

__all__ = ["main"]

INTERRUPTED = 130


def main() -> int:
    """Run the command line; return its exit code, or 130 if it was interrupted."""
    try:
        from rosetta_core.cli.main import main as cli_main

        return cli_main()
    except KeyboardInterrupt:
        print("rosetta: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
