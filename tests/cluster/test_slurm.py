"""Runs on a real SLURM: tables as of a local run, whatever was cancelled or killed on the way.

`make test-cluster`, as root: SLURM is installed where it is missing, started on this machine's
loopback, and stopped again.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from checkout import Checkout, copy_checkout
from conftest import NO_JOBS, ROOT, STEERING, tiny

from rosetta_core.config import Config, parse_config
from rosetta_core.runs.plan import job_resources
from rosetta_core.stages.tools.plan import plan_run

HERE = Path(__file__).parent
PARTITIONS = """
partitions:
  cpu: {max_runtime: 60, max_threads: 8}
  gpu: {max_runtime: 60, max_threads: 8, max_gpu: 1}
"""
FIELDS = "JobID:|,State:|,Comment:|,MinMemory:|,NumCPUs:|,Partition:|,tres-per-job:"
CANCELLED = "activations_wildcards_mtcnn_onet_00001"
HOUR = 3600  # a run that takes longer hangs


class Job(NamedTuple):
    """What SLURM knows of a job; the comment is rule_RULE_wildcards_VALUES, or rule_GROUP_RULES."""

    number: str
    state: str
    comment: str
    memory: str
    cpus: str
    partition: str
    cards: str


@dataclass
class OnSlurm:
    """A run of Snakemake that submits to SLURM."""

    checkout: Checkout
    process: subprocess.Popen
    output: Path

    @property
    def text(self) -> str:
        return self.output.read_text()

    @property
    def jobs(self) -> list[Job]:
        """Its jobs in order of submission, with those that ended."""
        said = self.text.partition("SLURM run ID: ")[2].split()
        if not said:
            return []
        ask = ["squeue", "--states=all", "--noheader", f"--Format={FIELDS}", f"--name={said[0]}"]
        found = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
        jobs = [Job(*line.split("|")) for line in found.splitlines()]
        return sorted(jobs, key=lambda job: int(job.number))

    def until(self, comment: str, state: str) -> Job:
        """Wait for a job to be in a state."""
        for _ in range(HOUR):
            assert self.process.poll() is None, self.text
            for job in self.jobs:
                if comment in job.comment and job.state == state:
                    return job
            time.sleep(1)
        raise AssertionError(f"no job {comment} was {state}\n{self.text}")

    def finish(self) -> int:
        """Wait for its end; return the exit code."""
        try:
            return self.process.wait(timeout=HOUR)
        finally:
            self.process.terminate()


def start(folder: Path, content: dict[str, Any], partitions: Path, *arguments: str) -> OnSlurm:
    """Start a run with the profile as it is shipped, which asks after its jobs more often."""
    checkout = made(folder, content)
    output = folder / "snakemake.out"
    command = [sys.executable, "-m", "snakemake", "--configfile", "tiny.yaml"]
    command += ["--workflow-profile", "profiles/slurm", "--slurm-partition-config", str(partitions)]
    command += ["--slurm-init-seconds-before-status-checks", "2", *arguments]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with output.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PATH": path},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    return OnSlurm(checkout, process, output)


def made(folder: Path, content: dict[str, Any]) -> Checkout:
    """A checkout with a configuration."""
    folder.mkdir()
    shutil.copy(HERE / "hungry.py", folder)
    checkout = copy_checkout(folder)
    checkout.configure(content)
    return checkout


def locally(folder: Path, content: dict[str, Any]) -> Checkout:
    """What a local run makes."""
    checkout = made(folder, content)
    checkout.snakemake("--cores", "2")
    return checkout


def with_hungry() -> dict[str, Any]:
    """A small zoo: an encoder of its own takes more memory than anybody can tell."""
    content = tiny(steering=NO_JOBS)
    own = {"name": "hungry", "family": "python", "target": "hungry.py:build"}
    return {**content, "encoders": [*content["encoders"][2:], own]}


def whole_zoo() -> dict[str, Any]:
    """The default configuration."""
    default = Config().model_dump(mode="json")
    return default | {"run": "tiny", "resources": str(ROOT / "resources"), "device": "cpu"}


def tables(checkout: Checkout) -> dict[str, bytes]:
    """The bytes of every Parquet file of a run, by its path."""
    files = sorted(checkout.run.rglob("*.parquet"))
    return {str(file.relative_to(checkout.run)): file.read_bytes() for file in files}


def assert_same_tables(checkout: Checkout, expected: Checkout) -> None:
    found, wanted = tables(checkout), tables(expected)
    assert "tables/rosetta.parquet" in found
    assert found.keys() == wanted.keys()
    assert [name for name in wanted if found[name] != wanted[name]] == []


@pytest.fixture(scope="session")
def partitions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A SLURM of one node; the value is the file of its partitions."""
    folder = tmp_path_factory.mktemp("slurm")
    command, lab = str(HERE / "slurm.sh"), f"/tmp/rosetta-slurm-{os.getpid()}"
    done = subprocess.run([command, "start", lab], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(done.stderr)
    try:
        (folder / "partitions.yaml").write_text(PARTITIONS)
        yield folder / "partitions.yaml"
    finally:
        subprocess.run([command, "stop", lab], check=True)


@pytest.fixture(scope="module")
def disturbed(
    partitions: Path, weights: Config, tmp_path_factory: pytest.TempPathFactory
) -> OnSlurm:
    """A finished run; one job was cancelled on the way, others took more memory than asked for."""
    run = start(tmp_path_factory.mktemp("disturbed") / "checkout", with_hungry(), partitions)
    job = run.until(CANCELLED, "RUNNING")
    while not (run.checkout.run / "logs/activations/mtcnn_onet.00001.log").exists():
        assert run.process.poll() is None, run.text
        time.sleep(0.1)  # until the stage itself is at work
    subprocess.run(["scancel", job.number], check=True)
    assert run.finish() == 0, run.text
    return run


def test_another_slurm_is_left_alone(tmp_path: Path) -> None:
    etc, lab = tmp_path / "etc", tmp_path / "lab"
    etc.mkdir()
    (etc / "slurm.conf").write_text("ClusterName=theirs\n")
    inside = f"mkdir -p /etc/slurm; mount --bind {etc} /etc/slurm; {HERE}/slurm.sh $1 {lab}"
    for verb in ("start", "stop"):
        command = ["unshare", "--mount", "sh", "-c", inside, "sh", verb]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        assert "slurm.conf is of another SLURM" in done.stderr
    assert [path.read_text() for path in etc.iterdir()] == ["ClusterName=theirs\n"]
    assert not lab.exists()


def test_tables_are_those_of_a_local_run(disturbed: OnSlurm, tmp_path: Path) -> None:
    assert_same_tables(disturbed.checkout, locally(tmp_path / "local", with_hungry()))


def test_a_cancelled_job_is_submitted_again(disturbed: OnSlurm) -> None:
    states = [job.state for job in disturbed.jobs if CANCELLED in job.comment]
    assert states == ["CANCELLED", "COMPLETED"]


def test_a_job_killed_for_memory_gets_twice_as_much(
    disturbed: OnSlurm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(disturbed.checkout.folder)  # where hungry.py is
    [stage] = [x for x in plan_run(parse_config(with_hungry())).stages if x.name == "activations"]
    asked = job_resources(stage)["mem_mb"]
    for shard in ("00000", "00001"):
        rule = f"rule_activations_wildcards_hungry_{shard}"
        jobs = [job for job in disturbed.jobs if job.comment == rule]
        assert [job.memory for job in jobs] == [f"{asked}M", f"{2 * asked}M"]
        assert jobs[0].state in ("FAILED", "OUT_OF_MEMORY")
        assert jobs[1].state == "COMPLETED"


def test_jobs_ask_for_cpus_and_no_card(disturbed: OnSlurm) -> None:
    for job in disturbed.jobs:
        assert (job.partition, job.cards) == ("cpu", "N/A")
        if job.comment.startswith(("rule_sample", "rule_activations", "rule_correlations")):
            assert job.cpus == "4"


def test_small_jobs_share_a_submission(disturbed: OnSlurm) -> None:
    comments = [job.comment for job in disturbed.jobs]
    small = [text for text in comments if "units_units" in text or "neighbours" in text]
    assert len(small) == 2, "three tables of units; three of neighbours, and the concepts"
    mined = 2 + 6 + 3 + 2  # samples, activations, correlations, and the small ones
    told = 2 + 1 + 1 + 1  # chance of each encoder; agreement, significance and layers
    shown = 3 + 1 + 1  # examples of each model and of concepts; the pages
    assert len(set(comments)) == mined + told + shown  # without groups there are five more


def test_logs_are_kept(disturbed: OnSlurm) -> None:
    for job in disturbed.jobs:
        logs = list((disturbed.checkout.folder / "results/slurm").rglob(f"{job.number}.log"))
        assert len(logs) == 1, job
    assert list((disturbed.checkout.run / "logs").rglob("*.log"))


def test_stages_that_use_a_card_ask_for_one(
    partitions: Path, weights: Config, tmp_path: Path
) -> None:
    """The node's card is none: where this machine has no CUDA, the job says so in one line."""
    content = {**with_hungry(), "device": "auto"}
    arguments = ["--config", "device=cuda", "--retries", "0", "--until", "sample"]
    run = start(tmp_path / "checkout", content, partitions, *arguments)
    here = torch.cuda.is_available()
    assert run.finish() == (0 if here else 1), run.text
    assert {(job.partition, job.cards) for job in run.jobs} == {("gpu", "gres:gpu:1")}
    assert here or "device: 'cuda' is not available" in run.text


def test_steering_ends_where_it_does_on_this_machine(partitions: Path, tmp_path: Path) -> None:
    content = tiny(steering=STEERING)
    run = start(tmp_path / "on_slurm", content, partitions)
    assert run.finish() == 0, run.text
    assert "evaluations/table/table.parquet" in tables(run.checkout)
    assert_same_tables(run.checkout, locally(tmp_path / "local", content))


def test_the_whole_face_zoo(partitions: Path, tmp_path: Path) -> None:
    run = start(tmp_path / "on_slurm", whole_zoo(), partitions)
    assert run.finish() == 0, run.text
    assert "evaluations/table-1-short/table.parquet" in tables(run.checkout)
    assert_same_tables(run.checkout, locally(tmp_path / "local", whole_zoo()))
