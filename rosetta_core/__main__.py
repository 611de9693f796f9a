"""`python -m rosetta_core`: the command line."""

import sys

from rosetta_core.cli import main

sys.exit(main())
