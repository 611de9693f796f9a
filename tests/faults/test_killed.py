"""A run that is killed again and again ends as one that wasn't (make test-faults)."""

import base64
import random
import time
from collections import Counter
from pathlib import Path

from checkout import copy_checkout
from conftest import Checkout, tiny
from start import PATIENCE, Start

KILLS = 40
STAGES = 4  # of which jobs have to be at work at a strike, at least
WAYS = ("job", "snakemake", "all of it", "terminate", "ctrl-c")
SHARES = {"samples": "*/*.zarr", "activations": "*/*.zarr", "correlations": "*.zarr"}
BYTES = {".parquet", ".json", ""}  # stores' chunks have no suffix; pictures' follow from the rest


def finished_pieces(checkout: Checkout, outputs: list[Path]) -> dict[Path, tuple[int, int]]:
    """The outputs that Snakemake has noted as finished, and what tells each from a later one."""
    names = (checkout.folder / ".snakemake" / "incomplete").rglob("*")
    begun = {base64.b64decode(path.name).decode() for path in names if path.is_file()}
    found = {}
    for path in outputs:
        place = checkout.run / path
        if place.exists() and str(place.relative_to(checkout.folder)) not in begun:
            found[path] = (place.stat().st_ino, place.stat().st_mtime_ns)
    return found


def outputs_of(run: Path) -> list[Path]:
    tables = list((run / "tables").rglob("*.parquet"))
    stores = [path for folder, glob in SHARES.items() for path in (run / folder).glob(glob)]
    return [path.relative_to(run) for path in [*tables, *stores]]


def contents(run: Path) -> dict[str, bytes]:
    """What a run found, byte for byte: tables, stores, and what steering came to."""
    roots = ("tables", *SHARES, "examples", "inversions", "shows", "edits", "tunings")
    return {
        str(path.relative_to(run)): path.read_bytes()
        for root in roots
        for path in sorted((run / root).rglob("*"))
        if path.is_file() and not path.name.startswith(".") and path.suffix in BYTES
    }


def refused_while_jobs_are_left(checkout: Checkout, start: Start) -> bool:
    """Start again at once; say whether that was refused because of jobs of the start before."""
    if not start.jobs():
        return False
    done = checkout.snakemake("--cores", "2", check=False)
    refused = done.returncode == 2 and "jobs of an earlier start are still running" in done.stderr
    assert refused or done.returncode == 0  # unless they had ended by then
    return refused


def test_a_run_that_is_killed_forty_times(finished: Checkout, tmp_path: Path) -> None:
    outputs = outputs_of(finished.run)
    expected = contents(finished.run)
    assert len(outputs) > 25
    chance = random.Random(1)
    ways = [WAYS[i % len(WAYS)] for i in range(KILLS)]
    chance.shuffle(ways)
    struck: Counter[str] = Counter()
    refused = runs = 0
    while ways:
        runs += 1
        checkout = copy_checkout(tmp_path / str(runs), of=finished.folder)
        checkout.configure(tiny())
        made: dict[Path, tuple[int, int]] = {}
        complete = False
        while not complete:
            start = Start(checkout, tmp_path / f"{runs}.log")
            while ways and start.await_job():
                time.sleep(chance.uniform(0, 5))
                if not start.ended:
                    way = ways.pop()
                    struck.update(start.strike(way))
                    print(f"{len(ways)} left; {way}; at work were {dict(struck)}", flush=True)
            start.process.wait(PATIENCE)
            log = start.log.read_text()
            assert "Traceback" not in log, log
            complete = start.process.returncode == 0
            assert complete or ways or start.process.returncode != 2, log
            refused += refused_while_jobs_are_left(checkout, start)
            for job in start.jobs():
                job.wait(PATIENCE)
            now = finished_pieces(checkout, outputs)
            assert {path: now.get(path) for path in made} == made, "a finished piece was made again"
            made |= now
        assert checkout.planned() == []
        assert contents(checkout.run) == expected
        assert not list(checkout.run.rglob("*.part"))
    assert refused
    assert len(struck) >= STAGES, "the moments fell on few stages"


def test_a_job_killed_for_memory_is_one_line_and_the_others_go_on(
    finished: Checkout, tmp_path: Path
) -> None:
    """The kernel's out-of-memory killer sends SIGKILL, and a job cannot say so itself."""
    checkout = copy_checkout(tmp_path / "checkout", of=finished.folder)
    checkout.configure(tiny(steering={}))
    start = Start(checkout, tmp_path / "first.log")
    killed = None
    while killed is None and start.await_job():
        encoders = [job for job in start.jobs() if job.info["cmdline"][3] == "activations"]
        if encoders:
            killed = encoders[0].info["cmdline"][4]
            encoders[0].kill()
    assert killed is not None
    assert start.process.wait(PATIENCE) == 1
    log = start.log.read_text()
    assert "Traceback" not in log
    said = [line for line in log.splitlines() if line.startswith("rosetta: ")]
    assert (
        len(said) == 1 and "killed (SIGKILL), probably by the kernel for memory; lower" in said[0]
    )
    others = [path for path in checkout.run.glob("activations/*/*.json") if killed not in str(path)]
    assert len(others) >= STAGES
    again = Start(checkout, tmp_path / "second.log")
    assert again.process.wait(PATIENCE) == 0, again.log.read_text()
    assert contents(checkout.run).keys() <= contents(finished.run).keys()
