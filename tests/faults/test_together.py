"""Several runs at once, in one folder and with one folder of weights."""

from pathlib import Path

import yaml
from checkout import copy_checkout
from conftest import Checkout, tiny
from start import PATIENCE, Start


def tables(run: Path) -> dict[str, bytes]:
    found = (run / "tables").rglob("*.parquet")
    return {str(path.relative_to(run)): path.read_bytes() for path in found}


def test_two_runs_of_one_folder_at_once(finished: Checkout, tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout", of=finished.folder)
    for name in ("one", "two"):
        content = yaml.safe_dump(tiny(run=name, steering={}))
        (checkout.folder / f"{name}.yaml").write_text(content)
    starts = [Start(checkout, tmp_path / f"{n}.log", config=f"{n}.yaml") for n in ("one", "two")]
    for start in starts:
        assert start.process.wait(PATIENCE) == 0, start.log.read_text()
    for name in ("one", "two"):
        assert tables(checkout.folder / "results" / name) == tables(finished.run)


def test_the_same_run_twice_at_once(finished: Checkout, tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout", of=finished.folder)
    checkout.configure(tiny(steering={}))
    first = Start(checkout, tmp_path / "first.log")
    assert first.await_job()
    second = checkout.snakemake("--cores", "2", check=False)
    assert second.returncode == 2
    (said,) = [line for line in second.stderr.splitlines() if line.startswith("rosetta: ")]
    assert f"run is locked by process {first.process.pid} (" in said
    assert first.process.wait(PATIENCE) == 0, first.log.read_text()
    assert tables(checkout.run) == tables(finished.run)
