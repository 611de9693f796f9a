"""Readers of files by strangers, with files that hypothesis changes (make fuzz).

Each target has FUZZ_SECONDS, 12 by default. What breaks one is printed by hypothesis and belongs
into tests/data/fuzz, which tests/io/test_fuzz_seeds.py reads in every run of the tests.
"""

import os
import random
import time
from pathlib import Path

import pytest
from fuzz_targets import SEEDS, TARGETS, change, originals, run_target
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

TIME = float(os.environ.get("FUZZ_SECONDS", "12"))


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_has_only_errors_of_one_line(name: str) -> None:
    files = originals(name)
    ends, cases = time.monotonic() + TIME, 0

    @settings(max_examples=50, deadline=None, database=None, suppress_health_check=HealthCheck)
    @given(
        original=st.sampled_from(files),
        chance=st.integers(0, 2**32).map(random.Random),
        text=st.none() | st.binary(max_size=200) | st.text(max_size=200).map(str.encode),
    )
    def check(original: bytes, chance: random.Random, text: bytes | None) -> None:
        nonlocal cases
        cases += 1
        content = change(original if text is None else text, chance, files)
        try:
            run_target(name, content)
        except BaseException:
            keep(name, content)
            raise

    first = int(os.environ.get("FUZZ_SEED", "0"))
    number = first
    while time.monotonic() < ends:
        seed(number)(check)()
        number += 1
    print(f"{name}: {cases:,} files")
    assert cases >= 50


def keep(name: str, content: bytes) -> None:
    """Write what broke a target where `make fuzz` leaves it."""
    folder = Path("build/fuzz") / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "last").write_bytes(content)
    print(f"{folder / 'last'}: broke the target; keep it in {SEEDS / name}")
