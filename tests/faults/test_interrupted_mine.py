"""`rosetta mine` interrupted in every stage: one line, nothing half-written (make test-faults)."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Checkout, tiny

from rosetta_core.config import parse_config
from rosetta_core.stages import costs
from rosetta_core.stages.registry import jobs_of

CONFIG = tiny(steering={})
STAGES = list(dict.fromkeys(s.name for s, _ in jobs_of(parse_config(CONFIG)) if s != costs.STAGE))
LONG = ("sample", "activations", "correlations", "null_models")  # are still at work after 0.1 s
# says which stage starts, since the command does not
ANNOUNCE = """
import sys
from dataclasses import replace
from rosetta_core.stages.tools import mine
from rosetta_core.__main__ import main
jobs_of = mine.jobs_of
def announced(config):
    for stage, job in jobs_of(config):
        print("stage", stage.name, flush=True)
        yield stage, job
mine.jobs_of = announced
sys.exit(main())
"""


@pytest.mark.parametrize("number", range(len(STAGES)), ids=STAGES)
def test_an_interrupted_stage_is_one_line(finished: Checkout, tmp_path: Path, number: int) -> None:
    way = (signal.SIGINT, signal.SIGTERM)[number % 2]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(CONFIG))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # background shells ignore it
    with subprocess.Popen(
        [sys.executable, "-c", ANNOUNCE, "mine", "--config", "c.yaml", "--threads", "1"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "log").open("w"),
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == f"stage {STAGES[number]}\n":
                time.sleep(0.1 if STAGES[number] in LONG else 0)
                process.send_signal(way)
                break
        process.stdout.read()
    word, code = {signal.SIGINT: ("interrupted", 130), signal.SIGTERM: ("terminated", 143)}[way]
    assert process.returncode == code
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert log.endswith(f"rosetta: {word}\n")
    assert not list((tmp_path / "results").rglob("*.part"))
    run = tmp_path / "results" / CONFIG["run"]
    for table in (run / "tables").rglob("*.parquet"):
        assert table.read_bytes() == (finished.run / table.relative_to(run)).read_bytes()
