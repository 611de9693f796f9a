"""Time every stage of a run and print a table: `make bench`.

`python benchmarks/stages.py CONFIG` times another configuration.

Runs the workflow from scratch in a temporary folder (weights in the resources folder are used, not
downloaded), reads the time and memory of each job from Snakemake's benchmarks and the time of its
loops from its log, and repeats the run without stores. Forward passes alone are timed in the same
session: one image at a time, one thread per core, without hooks, on 64 images, scaled to all.
Ratios are of core seconds: the seconds of the loops times the cores of a job.
"""

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

from rosetta_core.config import Config, load_config
from rosetta_core.config.steering import Steering
from rosetta_core.mining.sampling.samples import Samples
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.plan import pair_operations
from rosetta_core.runtime.machine import cpu_name
from rosetta_core.runtime.threads import TorchThreadPool
from rosetta_core.stages.tools.check import check_config
from rosetta_core.stages.tools.prepare import fetch_weights
from rosetta_core.validation import to_json
from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.loading import load
from rosetta_core.zoo.network import Encoder

ROOT = Path(__file__).resolve().parent.parent
LOOP = re.compile(r": \d+ of \d+ \w+ in ([\d.]+) s")
STAGES = ["sample", "activations", "units", "correlations", "neighbours", "concepts"]
STAGES += ["unit_examples", "concept_examples", "layers", "dictionary"]
PROBED = 64  # images of the forward passes that are timed alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?", type=Path, default=ROOT / "config.yaml")
    given = load_config(parser.parse_args().config)
    with tempfile.TemporaryDirectory() as folder:
        config = given.model_copy(
            update={
                "results": f"{folder}/results",
                "steering": Steering(),  # mining alone
                "resources": str(Path(given.resources).absolute()),
            }
        )
        for model in config.models:
            if not RunPaths(config).weights(model).is_file():
                fetch_weights(config, model=model.name)
        print(f"{machine()}; n = {config.sampling.images}, {len(config.models)} models")
        table = report(config, Path(folder))
        activations = config.activations.model_copy(update={"store": "none"})
        live_config = config.model_copy(update={"activations": activations, "run": "live"})
        live = report(live_config, Path(folder))
        alone = forward_seconds(config)
        rate = peak()
    correlations, activations = table["correlations"], table["activations"]
    ours, enlarged = products(config)
    print(f"\nnetworks alone: {alone:.1f} core seconds")
    print(f"correlations / activations: {correlations / activations:.2f}")
    print(f"correlations / networks alone: {correlations / alone:.2f}")
    print(f"without stores, time added to the networks / networks alone: "
          f"{live['correlations'] / alone - 1:.2f}")  # fmt: skip
    print(f"products: {ours:.0f} GFLOP, {ours / rate:.1f} s at {rate:.0f} GFLOP/s, "
          f"{ours / rate / alone:.2f} of the networks alone; "
          f"with both maps resized {enlarged / ours:.1f} times as many")  # fmt: skip


def report(config: Config, folder: Path) -> dict[str, float]:
    """Run the workflow, print the costs of its stages, return the core seconds of their loops."""
    wall = run(config, folder)
    stages = [name for name in STAGES if (RunPaths(config).run / "benchmarks" / name).exists()]
    table = pd.DataFrame([summarise(RunPaths(config).run, s) for s in stages]).set_index("stage")
    print(f"\nactivations.store: {config.activations.store}; the whole run {wall:.0f} s\n")
    print("| stage | jobs | seconds, all jobs | seconds in loops | peak memory of a job |")
    print("|---|---|---|---|---|")
    for stage, row in table.iterrows():
        loops = f"{row['loops']:.1f}" if row["loops"] else "–"
        print(f"| {stage} | {row['jobs']} | {row['seconds']:.1f} | {loops} | {row['rss']:.0f} MB |")
    return (table["loops"] * table["cores"]).to_dict()


def run(config: Config, folder: Path) -> float:
    """Run the workflow from scratch; return its wall time in seconds."""
    path = folder / "config.yaml"
    path.write_text(to_json(config))  # JSON is YAML
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
    command += ["--configfile", str(path), "--directory", str(folder), "--cores", "all"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    started = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def summarise(run_folder: Path, stage: str) -> dict:
    """Return the costs of a stage's jobs, from Snakemake's benchmarks and the logs."""
    jobs = [pd.read_csv(p, sep="\t") for p in (run_folder / "benchmarks" / stage).glob("*.tsv")]
    logs = [path.read_text() for path in (run_folder / "logs" / stage).glob("*.log")]
    cores = max(1, (os.cpu_count() or 1) // len(jobs))  # of each job
    return {
        "stage": stage,
        "jobs": str(len(jobs)),
        "seconds": sum(job["s"].iloc[0] for job in jobs),
        "rss": max(pd.to_numeric(job["max_rss"], errors="coerce").max() for job in jobs),
        "loops": sum(float(seconds) for log in logs for seconds in LOOP.findall(log)),
        "cores": cores,
    }


@torch.no_grad()
def forward_seconds(config: Config) -> float:
    """Return the core seconds of the forward passes alone, for all images."""
    paths, total, cores = RunPaths(config), 0.0, os.cpu_count() or 1
    samples = Samples([paths.samples(config.shards[0])])
    for model in config.models:
        loaded = load(model, paths.weights(model), device=torch.device("cpu"))
        if isinstance(loaded, Encoder):
            inputs = preprocess(torch.from_numpy(samples.images(range(PROBED))), loaded.input)
        else:
            inputs = torch.from_numpy(samples.latents(range(PROBED)))
        with TorchThreadPool(cores) as workers:
            list(workers.map(loaded.network, inputs[: 2 * cores].split(1)))
            started = time.perf_counter()
            list(workers.map(loaded.network, inputs.split(1)))
            seconds = time.perf_counter() - started
        total += cores * seconds * config.sampling.images / len(inputs)
    return total


def products(config: Config) -> tuple[float, float]:
    """Return the GFLOP of all products: at the smaller grids, and with both maps resized."""
    layers = check_config(config)
    pivot = layers[config.pivot.name]
    pairs = [pair_operations(pivot, other) for other in layers.values()]
    smaller, enlarged = (sum(numbers) for numbers in zip(*pairs, strict=True))
    return smaller * config.sampling.images / 1e9, enlarged * config.sampling.images / 1e9


def peak() -> float:
    """Return the GFLOP/s of one thread in a large float32 product."""
    torch.set_num_threads(1)
    square = torch.rand(3072, 3072)
    square @ square
    started = time.perf_counter()
    square @ square
    return 2 * 3072**3 / (time.perf_counter() - started) / 1e9


def machine() -> str:
    """Return the processor, cores, system and Python version."""
    cores = f"{os.cpu_count()} cores"
    return f"{cpu_name()}, {cores}, {platform.system()}, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
