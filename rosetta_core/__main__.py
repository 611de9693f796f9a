"""`rosetta`, and `python -m rosetta_core`: the command line, which can be interrupted at any time.

main    the command line, once it was imported
"""

import sys

__all__ = ["main"]

INTERRUPTED = 130


def main() -> int:
    """Run the command line; return what it does, or 130 after a line if it was interrupted."""
    try:
        from rosetta_core.cli.main import main as cli_main

        return cli_main()
    except KeyboardInterrupt:
        print("rosetta: interrupted", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
