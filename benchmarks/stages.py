"""Time every stage of a run and print a table: `make bench`.

`python benchmarks/stages.py CONFIG` times another configuration.

Runs the workflow from scratch in a temporary folder (weights that lie in the resources folder are
used, not fetched), then reads what Snakemake measured of each job and what the jobs' logs say of
their loops. The networks alone are timed in the same session: one thread, no hooks, 64 of the
images, scaled to all of them.
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

from rosetta_core import stages
from rosetta_core.config import Config, load_config, to_json
from rosetta_core.mining.grids import common_grids
from rosetta_core.mining.sampling import Samples
from rosetta_core.paths import RunPaths
from rosetta_core.zoo.images import prepare
from rosetta_core.zoo.loading import load
from rosetta_core.zoo.network import Encoder

ROOT = Path(__file__).resolve().parent.parent
LOOP = re.compile(r": \d+ of \d+ \w+ in ([\d.]+) s")
STAGES = ["sample", "activations", "correlations", "neighbours", "concepts", "dictionary"]
PROBED = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", nargs="?", type=Path, default=ROOT / "config.yaml")
    given = load_config(parser.parse_args().config)
    with tempfile.TemporaryDirectory() as folder:
        config = given.model_copy(
            update={
                "results": f"{folder}/results",
                "resources": str(Path(given.resources).absolute()),
            }
        )
        for model in config.models:
            if not RunPaths(config).weights(model).is_file():
                stages.fetch(config, model=model.name)
        wall = run(config, Path(folder))
        run_folder = RunPaths(config).run
        table = pd.DataFrame([summarise(run_folder, stage) for stage in STAGES]).set_index("stage")
        alone = forward_seconds(config)
    print(f"\n{machine()}; n = {config.sampling.images}, {len(config.models)} models, "
          f"the whole run {wall:.0f} s\n")  # fmt: skip
    print("| stage | jobs | seconds, jobs added up | of these in loops | peak memory of a job |")
    print("|---|---|---|---|---|")
    for stage, row in table.iterrows():
        loops = f"{row['loops']:.1f}" if row["loops"] else "–"
        print(f"| {stage} | {row['jobs']} | {row['seconds']:.1f} | {loops} | {row['rss']:.0f} MB |")
    print(f"| the networks alone, one thread | | | {alone:.1f} | |\n")
    corr, forward = table.loc["correlations", "loops"], table.loc["activations", "loops"]
    ours, enlarged = products(config)
    rate = peak()
    print(f"correlations / activations: {corr / forward:.2f}")
    print(f"correlations / networks alone: {corr / alone:.2f}")
    print(f"products: {ours:.0f} GFLOP, {ours / rate:.1f} s at one thread's {rate:.0f} GFLOP/s; "
          f"with both maps enlarged {enlarged / ours:.1f} times as many")  # fmt: skip


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
    """What Snakemake and the logs say of a stage's jobs."""
    jobs = [pd.read_csv(p, sep="\t") for p in (run_folder / "benchmarks" / stage).glob("*.tsv")]
    logs = [path.read_text() for path in (run_folder / "logs" / stage).glob("*.log")]
    return {
        "stage": stage,
        "jobs": str(len(jobs)),
        "seconds": sum(job["s"].iloc[0] for job in jobs),
        "rss": max(pd.to_numeric(job["max_rss"], errors="coerce").max() for job in jobs),
        "loops": sum(float(seconds) for log in logs for seconds in LOOP.findall(log)),
    }


@torch.no_grad()
def forward_seconds(config: Config) -> float:
    """Seconds that the networks alone take for all images, one thread."""
    torch.set_num_threads(1)
    paths, total = RunPaths(config), 0.0
    samples = Samples([paths.samples(config.shards[0])])
    for model in config.models:
        loaded = load(model, paths.weights(model), device=torch.device("cpu"))
        if isinstance(loaded, Encoder):
            inputs = prepare(torch.from_numpy(samples.images(range(PROBED))), loaded.input)
        else:
            inputs = torch.from_numpy(samples.latents(range(PROBED)))
        loaded.network(inputs[:1])
        started = time.perf_counter()
        for one in inputs.split(1):
            loaded.network(one)
        total += (time.perf_counter() - started) * config.sampling.images / len(inputs)
    return total


def products(config: Config) -> tuple[float, float]:
    """Operations of all products, in GFLOP: at the smaller grids, and with both maps enlarged."""
    layers = stages.check(config)
    ours = enlarged = 0
    for f in layers[config.pivot.name]:
        for g in (layer for model in layers.values() for layer in model):
            small, large = common_grids(f.grid, g.grid)
            pairs = 2 * config.sampling.images * f.channels * g.channels
            ours += pairs * small[0] * small[1]
            enlarged += pairs * large[0] * large[1]
    return ours / 1e9, enlarged / 1e9


def peak() -> float:
    """GFLOP a second of one thread in a large float32 product."""
    torch.set_num_threads(1)
    square = torch.rand(3072, 3072)
    square @ square
    started = time.perf_counter()
    square @ square
    return 2 * 3072**3 / (time.perf_counter() - started) / 1e9


def machine() -> str:
    """The machine in a few words."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), "CPU")
    return (
        f"{name}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
