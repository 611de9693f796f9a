"""Files that once broke a reader, and a few that fuzzing starts from (make fuzz has more)."""

import random

import pytest
from fuzz_targets import SEEDS, TARGETS, change, originals, run_target

KEPT = [path for path in sorted(SEEDS.rglob("*")) if path.is_file()]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_broke_a_reader_once_does_not_again(path) -> None:
    run_target(path.parent.name, path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_the_first_changes_are_read_or_refused(name: str) -> None:
    files, chance = originals(name), random.Random(0)
    for _ in range(20):
        run_target(name, change(chance.choice(files), chance, files))


def test_a_target_notices_what_is_not_one_line(monkeypatch) -> None:
    for error in (KeyError("a"), RecursionError(), MemoryError()):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setitem(TARGETS, "yaml", fail)
        with pytest.raises(type(error)):
            run_target("yaml", b"a")
