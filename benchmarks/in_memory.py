"""Mining in memory: `python benchmarks/in_memory.py [RUN]`.

Prints three tables:

- five lines: seconds from the start of Python to a concept plotted, with 256 images and two small
  networks;
- memory: peak of resident memory above the imports and networks, for growing memory budgets;
- tables: differences from the tables of RUN, a finished run of the workflow, if it is given.

Weights are looked for in `resources`, and downloaded if they are missing.
"""

import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil

import rosetta_core as rosetta

IMAGES = 256
NEAR = 1e-6  # correlations closer than this may swap


def main() -> None:
    five_lines()
    memory()
    if len(sys.argv) > 1:
        tables(Path(sys.argv[1]))


def five_lines() -> None:
    """Print the seconds of each of the notebook's first lines."""
    marks = [("start", psutil.Process().create_time())]

    def mark(step: str) -> None:
        marks.append((step, time.time()))

    pivot, encoder = rosetta.load_model("dcgan"), rosetta.load_model("dino_faces")
    mark("import, load two networks")
    samples = rosetta.sample(pivot, IMAGES)
    mark(f"draw {IMAGES} images")
    mined = rosetta.mine(pivot, [encoder], samples)
    mark("mine")
    mined.plot_concept(0)
    mark("plot a concept")
    print("| step | seconds |\n|---|---|")
    for (_, before), (step, after) in pairwise(marks):
        print(f"| {step} | {after - before:.1f} |")
    print(f"| all | **{marks[-1][1] - marks[0][1]:.1f}** |\n")


def memory() -> None:
    """Print the peak of memory while 20 times the budget of maps is mined."""
    pivot, encoder = rosetta.load_model("dcgan"), rosetta.load_model("mobilenet_v2")
    rosetta.mine(pivot, [encoder], rosetta.sample(pivot, 8), memory_budget="64 MiB")  # warm
    print("| budget | maps | of the budget | peak | of the budget |\n|---|---|---|---|---|")
    for budget in (256, 512):
        count = 8
        units = rosetta.mine(pivot, [encoder], rosetta.sample(pivot, count)).units()
        image = 4 * int((units["height"] * units["width"]).sum())  # float32
        count = 20 * budget * 2**20 // image + 1
        samples = rosetta.sample(pivot, count)
        with Peak() as peak:
            rosetta.mine(pivot, [encoder], samples, memory_budget=f"{budget} MiB")
        maps = count * image / 2**20
        print(f"| {budget} MiB | {maps:,.0f} MiB ({count} images) | {maps / budget:.0f}× | "
              f"{peak.bytes / 2**20:.0f} MiB | {peak.bytes / 2**20 / budget:.0%} |")  # fmt: skip
    print()


class Peak:
    """Largest resident memory within the context, above that at its start.

    Attributes:
        bytes: the difference.
    """

    def __enter__(self) -> "Peak":
        self._base = self._largest = resident()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self.bytes = self._largest - self._base

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self._largest = max(self._largest, resident())


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def tables(folder: Path) -> None:
    """Print how the tables mined in memory differ from those of a run."""
    run = rosetta.open_run(folder)
    pivot, *encoders = (run.model(name) for name in run.models)
    samples = rosetta.sample(pivot, len(run.image_table), seed=run.config.sampling.seed)
    assert (samples.pixels == run.images()).all()
    mined = rosetta.mine(pivot, encoders, samples, k=run.config.neighbours.k)
    print("| model | neighbours | largest difference of corr | others, of them near ties |")
    print("|---|---|---|---|")
    key = ["side", "unit", "rank"]
    for name in run.models:
        pair = mined.neighbours(name).merge(run.neighbours(name), on=key, suffixes=("", "_run"))
        differences = np.abs(pair["corr"] - pair["corr_run"])
        other = pair["neighbour"] != pair["neighbour_run"]
        near = int((differences[other] < NEAR).sum())
        print(f"| {name} | {len(pair):,} of {len(run.neighbours(name)):,} | "
              f"{differences.max():.1e} | {int(other.sum())}, {near} |")  # fmt: skip
    same = mined.concepts["pivot_ids"].equals(run.concepts["pivot_ids"])
    print(f"\nconcepts: {len(mined.concepts)}, {'the same' if same else 'others'}")


if __name__ == "__main__":
    main()
