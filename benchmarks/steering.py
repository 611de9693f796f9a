"""How far steering gets on the face zoo: `python benchmarks/steering.py`.

Needs a finished run (`results/faces`, or that of `--config CONFIG`). Prints four tables, all with
the defaults of the jobs but for what a table says (inversions take 300 steps, as the run's own, or
`--steps 300 500`):

- inversion: ten held-out images, by the matches of all encoders alone. How alike the maps become
  to those the encoders have, against random images; and how many results the judge's distance puts
  nearer to their image than to each of 20 others;
- shift: ten images, each a quarter of the side in three ways. How many moved that way by at least
  half of that, as `registration` sees it; and how many of ten pairs of unrelated images seem to;
- removal: ten images, six concepts. How many lost at least half of the activity of the concept's
  units while the other Rosetta neurons changed by less than a quarter of that;
- zoom: ten images, by two similarities. What magnification registration finds (the aim is 2), and
  what it finds between unrelated images.

Two processes of a thread each.
"""

import argparse
import multiprocessing
import time
from collections.abc import Iterable
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from stages import machine

from rosetta_core.config import Config, load_config
from rosetta_core.config.images import TargetImage
from rosetta_core.config.steering import Edit, Inversion
from rosetta_core.io.tables import read_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.memory import keep_freed_memory
from rosetta_core.stages.steered_networks import Networks
from rosetta_core.steering.jobs.edit_targets import Change
from rosetta_core.steering.jobs.editing import Source, edit
from rosetta_core.steering.jobs.inversion import invert
from rosetta_core.steering.metrics.random_baseline import lowest_activations
from rosetta_core.steering.metrics.registration import displacement, magnification
from rosetta_core.steering.optimise.latents import drawn_image, given_latents
from rosetta_core.zoo.encoders.preprocessing import to_pixels

ROOT = Path(__file__).resolve().parent.parent
PROCESSES = 2
HELD_OUT, DISTRACTORS = range(100, 110), range(200, 220)  # seeds
EDITED = 10  # seeds
CONCEPTS = range(6)
WAYS = {"right": (0.25, 0.0), "left": (-0.25, 0.0), "down": (0.0, 0.25)}  # right, down


@dataclass(frozen=True)
class Found:
    """What a job comes to: its best start's measures, and the image."""

    measures: dict[str, float]
    image: NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=ROOT / "config.yaml")
    parser.add_argument("--steps", type=int, nargs="+", default=[300], help="of inversions")
    parser.add_argument("--first", type=int, default=0, help="of the seeds that are edited")
    arguments = parser.parse_args()
    edited = range(arguments.first, arguments.first + EDITED)
    config = load_config(arguments.config)
    started = time.perf_counter()
    print(f"{machine()}; {PROCESSES} processes of a thread each\n")
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PROCESSES, spawned, initializer=prepare, initargs=(config,)) as pool:
        networks = Networks(config)
        torch.set_num_threads(1)
        images = {s: drawn_image(networks.pivot, s) for s in [*edited, *HELD_OUT, *DISTRACTORS]}
        inversion(pool, networks, images, counts=arguments.steps)
        shift(pool, images, edited)
        removal(pool, edited)
        zoom(pool, images, edited)
    print(f"\n{time.perf_counter() - started:.0f} s")


def inversion(
    pool: Executor, networks: Networks, images: dict[int, NDArray[np.uint8]], *, counts: list[int]
) -> None:
    """Print how well images are found again by their maps alone."""
    judge = networks.distance(networks.config.evaluation_distance)
    print(f"Inversion of {len(HELD_OUT)} images, recognised by {judge.name}\n")
    print("| steps | similarity of maps | of random images | twice that | recognised | PSNR, dB |")
    print("|---|---|---|---|---|---|")
    for steps in counts:
        jobs = [
            Inversion(name=f"seed-{seed}", image=TargetImage(seed=seed), steps=steps)
            for seed in HELD_OUT
        ]
        found = list(pool.map(run, jobs))
        reached, random, psnr = (
            every(found, key)
            for key in ("similarity after", "similarity of random images", "PSNR (dB)")
        )
        known = sum(
            recognised(networks, its.image, images[seed], [images[other] for other in DISTRACTORS])
            for its, seed in zip(found, HELD_OUT, strict=True)
        )
        print(f"| {steps} | {reached.mean():.3f} | {random.mean():.3f} | "
              f"**{(reached >= 2 * random).sum()} of {len(found)}** | "
              f"**{known} of {len(found)}** | {psnr.mean():.1f} |",
              flush=True)  # fmt: skip


@torch.no_grad()
def recognised(
    networks: Networks,
    image: NDArray[np.uint8],
    target: NDArray[np.uint8],
    others: Iterable[NDArray[np.uint8]],
) -> bool:
    """Whether the judge finds the image nearer to its target than to every other."""
    judge = networks.distance(networks.config.evaluation_distance)
    candidates = to_pixels(np.stack([target, *others]), device=networks.device)
    result = to_pixels(image[None], device=networks.device).expand(candidates.shape)
    return int(judge(result, judge.look_at(candidates)).argmin()) == 0


def shift(pool: Executor, images: dict[int, NDArray[np.uint8]], edited: range) -> None:
    """Print how many images moved the right way, and by how much."""
    print(f"\nShift of {len(edited)} images by a quarter of the side\n")
    print("| way | by half or more | pixels, median | asked for | unrelated images |")
    print("|---|---|---|---|---|")
    for way, (right, down) in WAYS.items():
        jobs = [
            Edit(name=f"{way}-{seed}", kind="shift", source_seed=seed, dx=right, dy=down)
            for seed in edited
        ]
        found = list(pool.map(run, jobs))
        axis, sign = ("down", 1) if down else ("right", int(np.sign(right)))
        moved = sign * every(found, f"moved {axis} (pixels)")
        asked = sign * every(found, f"asked for, {axis} (pixels)")
        chance = [sign * getattr(displacement(*pair), axis) for pair in unrelated(images, edited)]
        print(f"| {way} | **{(moved >= asked / 2).sum()} of {len(found)}** | "
              f"{np.median(moved):.1f} | {asked[0]:.0f} | "
              f"{(np.array(chance) >= asked[0] / 2).sum()} of {len(chance)} |",
              flush=True)  # fmt: skip


def removal(pool: Executor, edited: range) -> None:
    """Print how many images lost a concept and kept the rest."""
    print(f"\nRemoval from {len(edited)} images\n")
    print("| concept | half gone, others within a quarter | its units' change | the others' |")
    print("|---|---|---|---|")
    for concept in CONCEPTS:
        jobs = [
            Edit(name=f"remove-{concept}-{seed}", kind="remove", source_seed=seed, concept=concept)
            for seed in edited
        ]
        found = list(pool.map(run, jobs))
        chosen = every(found, "change of the chosen units (share)")
        others = every(found, "change of the others (share)")
        both = (chosen <= -0.5) & (others < -chosen / 4)
        print(f"| {concept} | **{both.sum()} of {len(found)}** | {chosen.mean():.0%} | "
              f"{others.mean():.0%} |", flush=True)  # fmt: skip


def zoom(pool: Executor, images: dict[int, NDArray[np.uint8]], edited: range) -> None:
    """Print what magnification is reached, by similarity."""
    print(f"\nZoom into {len(edited)} images\n")
    print("| similarity | magnified by, median | quartiles | agreement |\n|---|---|---|---|")
    for similarity in ("image", "distance"):
        jobs = [
            Edit(name=f"zoom-{seed}", kind="zoom", source_seed=seed, similarity=similarity)
            for seed in edited
        ]
        found = list(pool.map(run, jobs))
        show_scales(
            similarity,
            every(found, "magnified by"),
            every(found, "agreement of the magnified images"),
        )
    chance = [magnification(*pair) for pair in unrelated(images, edited)]
    show_scales(
        "unrelated images",
        np.array([its.scale for its in chance]),
        np.array([its.agreement for its in chance]),
    )


def show_scales(name: str, scales: NDArray[np.float64], agreements: NDArray[np.float64]) -> None:
    """Print a row of magnifications."""
    low, middle, high = np.quantile(scales, [0.25, 0.5, 0.75])
    print(f"| {name} | {middle:.2f} | {low:.2f}–{high:.2f} | {agreements.mean():.2f} |",
          flush=True)  # fmt: skip


def unrelated(
    images: dict[int, NDArray[np.uint8]], edited: range
) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Pairs of images of different seeds, as many as are edited."""
    seeds = [*edited, edited[0]]
    return [(images[one], images[other]) for one, other in pairwise(seeds)]


def every(found: list[Found], key: str) -> NDArray[np.float64]:
    """A measure of all jobs."""
    return np.array([its.measures[key] for its in found])


def prepare(config: Config) -> None:
    """Load what jobs need, once in each process."""
    torch.set_num_threads(1)
    keep_freed_memory()
    global NETWORKS, LOWEST  # noqa: PLW0603
    NETWORKS = Networks(config)
    LOWEST = lowest_activations(NETWORKS.pivot, Edit(name="any", kind="zoom", source_seed=0))


def run(job: Inversion | Edit) -> Found:
    """Run a job in one of the processes."""
    networks, config = NETWORKS, NETWORKS.config
    judge = networks.distance(config.evaluation_distance)
    if isinstance(job, Inversion):
        seen = networks.seen([encoder.name for encoder in config.encoders], pairs=job.pairs)
        outcome = invert(
            networks.pivot,
            job,
            drawn_image(networks.pivot, job.image.seed or 0),
            seen=seen,
            perceptual=networks.distance(config.loss_distance),
            judge=judge,
        )
    else:
        change = None
        if job.concept is not None:
            concepts = read_table(RunPaths(config).concepts)
            units = np.array(concepts["pivot_units"].iloc[job.concept], np.int64)
            change = Change(np.unique(units), f"concept {job.concept}", LOWEST)
        latent = given_latents(
            networks.pivot, [job.source_seed or 0], space=job.space, classes=None
        )
        source = Source(latent, f"seed {job.source_seed}")
        outcome = edit(networks.pivot, job, source, change=change, judge=judge)
    measures = {m.metric: m.value for m in outcome.measures if m.best}
    return Found(measures, outcome.after[0])


if __name__ == "__main__":
    main()
