"""Quality of inversions and edits on the face zoo: `python benchmarks/steering.py`.

Needs a finished run (`results/faces`, or that of `--config CONFIG`). Prints four tables. Jobs have
their default settings, except where a table says otherwise; inversions take 300 steps, or those of
`--steps 300 500`:

- inversion: ten held-out images, guided by the pairs of all encoders alone. The similarity of maps
  to those of the encoders, against random images; and the number of results that are nearer to
  their target than to each of 20 other images, by the evaluation distance;
- shift: ten images, each shifted by a quarter of the side in three directions. The number of them
  displaced by at least half of that, found by registration; and the number among ten pairs of
  unrelated images;
- removal: ten images, six concepts. The number of images where the concept's units lost at least
  half of their activity, and the other Rosetta neurons changed by less than a quarter of that;
- zoom: ten images, two similarities. The magnification found by registration (target: 2), and that
  of unrelated images.

Two processes with one thread each.
"""

import argparse
import multiprocessing
import time
from collections.abc import Iterable
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from stages import machine

from rosetta_core.config import Config, load_config
from rosetta_core.config.edits import Edit
from rosetta_core.config.images import TargetImage
from rosetta_core.config.steering import Inversion
from rosetta_core.io.tables import read_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.memory import keep_freed_memory
from rosetta_core.stages.steering.networks import SteeringNetworks
from rosetta_core.steering.jobs.editing import EDITS, EditSource, edit
from rosetta_core.steering.jobs.inversion import invert
from rosetta_core.steering.metrics.random_baseline import minimum_activations
from rosetta_core.steering.metrics.registration import displacement, magnification
from rosetta_core.steering.optimise.latents import generate_image, latents_from_seeds
from rosetta_core.steering.optimise.settings import GuidedSettings, OptimisationSettings
from rosetta_core.zoo.encoders.preprocessing import to_pixels

ROOT = Path(__file__).resolve().parent.parent
PROCESSES = 2
HELD_OUT, DISTRACTORS = range(100, 110), range(200, 220)  # seeds
EDITED = 10  # seeds
CONCEPTS = range(6)
DIRECTIONS = {"right": (0.25, 0.0), "left": (-0.25, 0.0), "down": (0.0, 0.25)}  # dx, dy


@dataclass(frozen=True)
class Measured:
    """Metrics of the best restart of a job, and its image."""

    metrics: dict[str, float]
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
        networks = SteeringNetworks(config)
        torch.set_num_threads(1)
        images = {
            s: generate_image(networks.generator, s) for s in [*edited, *HELD_OUT, *DISTRACTORS]
        }
        inversion(pool, networks, images, counts=arguments.steps)
        shift(pool, images, edited)
        removal(pool, edited)
        zoom(pool, images, edited)
    print(f"\n{time.perf_counter() - started:.0f} s")


def inversion(
    pool: Executor,
    networks: SteeringNetworks,
    images: dict[int, NDArray[np.uint8]],
    *,
    counts: list[int],
) -> None:
    """Print how well images are recovered from their maps alone."""
    distance = networks.distance(networks.config.evaluation_distance)
    print(f"Inversion of {len(HELD_OUT)} images, recognised by {distance.name}\n")
    print("| steps | similarity of maps | of random images | twice that | recognised | PSNR, dB |")
    print("|---|---|---|---|---|---|")
    for steps in counts:
        jobs = [
            Inversion(name=f"seed-{seed}", image=TargetImage(seed=seed), steps=steps)
            for seed in HELD_OUT
        ]
        results = list(pool.map(run, jobs))
        reached, random, psnr = (
            values(results, key)
            for key in ("similarity after", "similarity of random images", "PSNR (dB)")
        )
        distractors = [images[seed] for seed in DISTRACTORS]
        known = sum(
            recognised(networks, result.image, images[seed], distractors)
            for result, seed in zip(results, HELD_OUT, strict=True)
        )
        print(f"| {steps} | {reached.mean():.3f} | {random.mean():.3f} | "
              f"**{(reached >= 2 * random).sum()} of {len(results)}** | "
              f"**{known} of {len(results)}** | {psnr.mean():.1f} |",
              flush=True)  # fmt: skip


@torch.no_grad()
def recognised(
    networks: SteeringNetworks,
    image: NDArray[np.uint8],
    target: NDArray[np.uint8],
    others: Iterable[NDArray[np.uint8]],
) -> bool:
    """Whether the image is nearer to its target than to every other image."""
    distance = networks.distance(networks.config.evaluation_distance)
    candidates = to_pixels(np.stack([target, *others]), device=networks.device)
    result = to_pixels(image[None], device=networks.device).expand(candidates.shape)
    return int(distance(result, distance.features(candidates)).argmin()) == 0


def shift(pool: Executor, images: dict[int, NDArray[np.uint8]], edited: range) -> None:
    """Print the number of images that moved as asked, and their displacement."""
    print(f"\nShift of {len(edited)} images by a quarter of the side\n")
    print("| direction | by half or more | median, pixels | target | unrelated images |")
    print("|---|---|---|---|---|")
    for direction, (dx, dy) in DIRECTIONS.items():
        jobs = [
            Edit(name=f"{direction}-{seed}", kind="shift", source_seed=seed, dx=dx, dy=dy)
            for seed in edited
        ]
        results = list(pool.map(run, jobs))
        axis, name = ("dy", "downwards") if dy else ("dx", "to the right")
        sign = np.sign(dx + dy)
        moved = sign * values(results, f"displacement {name} (pixels)")
        target = sign * values(results, f"target displacement {name} (pixels)")
        baseline = [sign * getattr(displacement(*pair), axis) for pair in unrelated(images, edited)]
        print(f"| {direction} | **{(moved >= target / 2).sum()} of {len(results)}** | "
              f"{np.median(moved):.1f} | {target[0]:.0f} | "
              f"{(np.array(baseline) >= target[0] / 2).sum()} of {len(baseline)} |",
              flush=True)  # fmt: skip


def removal(pool: Executor, edited: range) -> None:
    """Print the number of images that lost a concept and kept the rest."""
    print(f"\nRemoval from {len(edited)} images\n")
    print("| concept | half lost, others within a quarter | change of its units | of the others |")
    print("|---|---|---|---|")
    for concept in CONCEPTS:
        jobs = [
            Edit(name=f"remove-{concept}-{seed}", kind="remove", source_seed=seed, concept=concept)
            for seed in edited
        ]
        results = list(pool.map(run, jobs))
        chosen = values(results, "relative change of the selected units")
        others = values(results, "relative change of the other Rosetta neurons")
        both = (chosen <= -0.5) & (others < -chosen / 4)
        print(f"| {concept} | **{both.sum()} of {len(results)}** | {chosen.mean():.0%} | "
              f"{others.mean():.0%} |", flush=True)  # fmt: skip


def zoom(pool: Executor, images: dict[int, NDArray[np.uint8]], edited: range) -> None:
    """Print the magnification by similarity."""
    print(f"\nZoom into {len(edited)} images\n")
    print("| similarity | magnification, median | quartiles | agreement |\n|---|---|---|---|")
    for similarity in ("image", "distance"):
        jobs = [
            Edit(name=f"zoom-{seed}", kind="zoom", source_seed=seed, similarity=similarity)
            for seed in edited
        ]
        results = list(pool.map(run, jobs))
        show_scales(
            similarity,
            values(results, "magnification"),
            values(results, "agreement after registration"),
        )
    baseline = [magnification(*pair) for pair in unrelated(images, edited)]
    show_scales(
        "unrelated images",
        np.array([one.scale for one in baseline]),
        np.array([one.agreement for one in baseline]),
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


def values(jobs: list[Measured], key: str) -> NDArray[np.float64]:
    """A metric of all jobs."""
    return np.array([job.metrics[key] for job in jobs])


def prepare(config: Config) -> None:
    """Load what jobs need, once in each process."""
    torch.set_num_threads(1)
    keep_freed_memory()
    global NETWORKS, MINIMUM  # noqa: PLW0603
    NETWORKS = SteeringNetworks(config)
    MINIMUM = minimum_activations(NETWORKS.generator)


def run(job: Inversion | Edit) -> Measured:
    """Run a job in one of the processes."""
    networks, config = NETWORKS, NETWORKS.config
    generator, distance = networks.generator, networks.distance(config.evaluation_distance)
    if isinstance(job, Inversion):
        views = networks.views([encoder.name for encoder in config.encoders], pairs=job.pairs)
        result = invert(
            generator,
            generate_image(generator, job.image.seed or 0),
            views,
            loss_distance=networks.distance(config.loss_distance),
            evaluation_distance=distance,
            settings=settings_of(job, GuidedSettings),
        )
    else:
        parameters = job.parameters
        if job.concept is not None:
            concepts = read_table(RunPaths(config).concepts)
            units = np.array(concepts["pivot_units"].iloc[job.concept], np.int64)
            del parameters["concept"], parameters["units"]
            parameters |= {
                "selected": np.unique(units),
                "label": f"concept {job.concept}",
                "minimum": MINIMUM,
            }
        seed = job.source_seed or 0
        latent = latents_from_seeds(generator, [seed], space=job.space, classes=None)
        result = edit(
            generator,
            EditSource(latent, f"seed {seed}"),
            EDITS[job.kind](**parameters),
            evaluation_distance=distance,
            settings=settings_of(job, OptimisationSettings),
            similarity=job.similarity,
        )
    return Measured({m.metric: m.value for m in result.metrics if m.best}, result.after[0])


def settings_of(job: Inversion | Edit, kind: type[OptimisationSettings]) -> OptimisationSettings:
    """The settings of a job."""
    return kind(**{field.name: getattr(job, field.name) for field in fields(kind)})


if __name__ == "__main__":
    main()
