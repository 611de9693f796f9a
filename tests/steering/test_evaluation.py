"""Every image is found by every method as it would be alone, and the table says how well."""

from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
import torch
from steered import (
    CPU,
    CallsLeft,
    Interrupted,
    distances_of,
    pivot_of,
    seen_of,
    target_images,
)

from rosetta_core.config import Config
from rosetta_core.config.steering import Evaluation
from rosetta_core.steering.generator import Pivot
from rosetta_core.steering.jobs import evaluation
from rosetta_core.steering.jobs.evaluation import Evaluated, evaluate
from rosetta_core.steering.map_targets import EncoderView, matches_of
from rosetta_core.steering.metrics.evaluation_table import markdown, table_of
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.metrics.similarity import psnr
from rosetta_core.steering.optimise.descent import Checkpoint, descend
from rosetta_core.steering.optimise.latents import starting_latents
from rosetta_core.steering.optimise.loss import guided_loss, loss_of
from rosetta_core.zoo.encoders.preprocessing import to_pixels

ALONE = "perceptual only"
ENCODERS = ["efficientnet_lite0", "mobilenet_v2", "mtcnn_onet"]
METHODS = [ALONE, *(f"+ {name}" for name in ENCODERS), "+ all"]
NAMES = ["one", "two", "a face"]
JOB = Evaluation(name="table", steps=10, perceptual_weight=3.0, seed=5)
# mean difference of latents after a few steps: where a gradient is next to nothing, Adam makes as
# much of its rounding as of the others
ROUNDING = 1e-2


class Zoo:
    """What all evaluations here share."""

    def __init__(self, config: Config) -> None:
        self.pivot: Pivot = pivot_of(config)
        self.seen: list[EncoderView] = seen_of(config, self.pivot)
        self.perceptual: PerceptualDistance
        self.perceptual, self.judge = distances_of(config)
        self.images = target_images(self.pivot, seeds=2)

    def evaluate(self, job: Evaluation = JOB, *, images: int = 3, **changes: object) -> Evaluated:
        given = {"seen": self.seen, "perceptual": self.perceptual, **changes}
        names = NAMES[:images]
        return evaluate(
            self.pivot, job, self.images[:images], names=names, judge=self.judge, **given
        )

    def distance(self, images: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The perceptual distance of images from as many targets, or from one."""
        looked_at = self.perceptual.look_at(to_pixels(target, device=CPU))
        return self.perceptual(to_pixels(images, device=CPU), looked_at).numpy()


def levels(images: np.ndarray, others: np.ndarray) -> int:
    """How many levels of 255 two images differ by, at most."""
    return int(np.abs(images.astype(int) - others).max())


def value_of(evaluated: Evaluated, item: str, method: str, metric: str) -> float:
    """Of the best start."""
    rows = evaluated.metrics[evaluated.metrics["best"]]
    return rows.set_index(["item", "method", "metric"])["value"][item, method, metric]


@pytest.fixture(scope="module")
def zoo(weights: Config) -> Zoo:
    return Zoo(weights)


@pytest.fixture(scope="module")
def evaluated(zoo: Zoo) -> Evaluated:
    return zoo.evaluate()


def test_methods_and_images_are_in_order(zoo: Zoo, evaluated: Evaluated) -> None:
    assert evaluated.methods == METHODS
    assert np.array_equal(evaluated.target, zoo.images)
    assert evaluated.before.shape == (3, 64, 64, 3)
    starts = starting_latents(
        zoo.pivot, [crc32(i.tobytes()) for i in zoo.images], seed=JOB.seed, space="z", classes=None
    )
    drawn, _ = zoo.pivot.look(starts, space="z", classes=None)
    assert levels(drawn, evaluated.before) <= 1
    for method in range(5):
        latents = torch.from_numpy(evaluated.latents[:, method])
        drawn, _ = zoo.pivot.look(latents, space="z", classes=None)
        assert levels(drawn, evaluated.after[:, method]) <= 1


@pytest.mark.parametrize("method", range(5))
def test_a_method_finds_what_it_would_alone(zoo: Zoo, evaluated: Evaluated, method: int) -> None:
    guides = [[], *([name] for name in ENCODERS), ENCODERS][method]
    image = zoo.images[:1]
    used = [one for one in zoo.seen if one.name in guides] or zoo.seen
    loss = guided_loss(
        JOB if guides else JOB.model_copy(update={"activation_weight": 0.0}),
        zoo.pivot,
        [match for one in used for match in matches_of(one, image, pivot=zoo.pivot)],
        target=to_pixels(image, device=CPU),
        perceptual=zoo.perceptual,
    )
    start = starting_latents(
        zoo.pivot, [crc32(image.tobytes())], seed=JOB.seed, space="z", classes=None
    )
    alone = descend(zoo.pivot, loss, start, steps=JOB.steps, learning_rate=0.05)
    off = np.abs(evaluated.latents[0] - alone.latents.numpy()).mean(axis=1)
    assert off[method] < ROUNDING
    assert np.delete(off, method).min() > 2 * ROUNDING


def test_matches_leave_the_row_without_them_alone(zoo: Zoo, evaluated: Evaluated) -> None:
    swapped = [
        replace(one, pairs=np.stack([one.pairs[:, 0], one.pairs[::-1, 1]], axis=1))
        for one in zoo.seen
    ]
    other = zoo.evaluate(seen=swapped)
    assert np.array_equal(other.latents[:, 0], evaluated.latents[:, 0])
    off = np.abs(other.latents - evaluated.latents).mean(axis=2)  # (images, methods)
    assert (off[:, 1:] > 2 * ROUNDING).all()


@pytest.mark.parametrize("similarity", ["dataset", "distance"])
def test_nor_do_they_by_another_similarity(zoo: Zoo, evaluated: Evaluated, similarity: str) -> None:
    job = JOB.model_copy(update={"similarity": similarity})
    other = zoo.evaluate(job, images=1)
    off = np.abs(other.latents - evaluated.latents[:1]).mean(axis=2)[0]
    assert off[0] < ROUNDING and (off[1:] > 2 * ROUNDING).all()
    assert np.isfinite(other.metrics["value"]).all()


def test_every_method_comes_nearer(zoo: Zoo, evaluated: Evaluated) -> None:
    before = zoo.distance(evaluated.before, zoo.images)
    for method in range(5):
        after = zoo.distance(evaluated.after[:, method], zoo.images)
        assert (after < before).all() and after.mean() < 0.9 * before.mean()


def test_batches_make_no_difference(
    zoo: Zoo, evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(evaluation, "ROWS", 10)  # two images, then one
    checkpoint = Checkpoint(tmp_path / "kept", "key", seconds=0)
    split = zoo.evaluate(checkpoint=checkpoint)
    assert np.abs(split.latents - evaluated.latents).mean(axis=2).max() < ROUNDING
    assert split.metrics.iloc[:, :5].equals(evaluated.metrics.iloc[:, :5])
    np.testing.assert_allclose(split.table["mean"], evaluated.table["mean"], rtol=0.02)
    assert list(tmp_path.iterdir()) == []


def test_it_goes_on_where_it_was_interrupted(
    zoo: Zoo, evaluated: Evaluated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(evaluation, "ROWS", 5)
    job = JOB.model_copy(update={"steps": 4})
    whole = zoo.evaluate(job, images=2)
    checkpoint = Checkpoint(tmp_path / "kept", "key", seconds=0)
    steps = job.steps + 1
    with pytest.raises(Interrupted):
        zoo.evaluate(
            job, images=2, perceptual=CallsLeft(zoo.perceptual, steps + 2), checkpoint=checkpoint
        )
    left = CallsLeft(zoo.perceptual, 100)
    again = zoo.evaluate(job, images=2, perceptual=left, checkpoint=checkpoint)
    assert 100 - left.calls == 1 + 3  # each image from its last checkpoint
    assert np.array_equal(again.latents, whole.latents)


def test_the_best_start_counts(zoo: Zoo) -> None:
    job = JOB.model_copy(update={"restarts": 3, "steps": 4})
    found = zoo.evaluate(job, images=2)
    best = found.metrics[found.metrics["best"]]
    counts = found.metrics.groupby(["item", "method", "metric"])["best"].agg(["size", "sum"])
    assert (counts["size"] == 3).all() and (counts["sum"] == 1).all()
    assert set(best["start"]) != {0}
    for i, item in enumerate(NAMES[:2]):
        for m, method in enumerate(METHODS):
            own = psnr(found.after[i, m], zoo.images[i])
            assert value_of(found, item, method, "PSNR (dB)") == own
    assert found.metrics.groupby("metric")["value"].nunique()["PSNR (dB)"] == 30


def test_similarity_is_that_of_all_pairs(zoo: Zoo, evaluated: Evaluated) -> None:
    for i, item in enumerate(NAMES):
        image = zoo.images[[i]]
        matches = [match for one in zoo.seen for match in matches_of(one, image, pivot=zoo.pivot)]
        objective = loss_of(JOB, zoo.pivot, matches, similarity="image").objective
        for m, method in enumerate(METHODS):
            latent = torch.from_numpy(evaluated.latents[i, [m]])
            _, maps = zoo.pivot.look(latent, space="z", classes=None)
            own = value_of(evaluated, item, method, "similarity of all maps")
            assert own == pytest.approx(float(objective(maps)), abs=1e-4)


def test_an_image_is_recognised_if_no_random_one_is_nearer(zoo: Zoo, evaluated: Evaluated) -> None:
    latents = starting_latents(
        zoo.pivot, range(2_000_000, 2_000_020), seed=JOB.seed, space="z", classes=None
    )
    others, _ = zoo.pivot.look(latents, space="z", classes=None)
    expected = []
    for i in range(3):
        for m in range(5):
            every = np.concatenate([zoo.images[[i]], others])
            looked_at = zoo.judge.look_at(to_pixels(every, device=CPU))
            result = to_pixels(np.repeat(evaluated.after[i, [m]], 21, axis=0), device=CPU)
            expected.append(float(zoo.judge(result, looked_at).argmin() == 0))
    rows = evaluated.metrics[evaluated.metrics["metric"] == "recognised among 20 (share)"]
    assert rows["value"].tolist() == expected
    assert 0 < sum(expected) < len(expected)


def test_the_table_holds_the_means(evaluated: Evaluated) -> None:
    table = evaluated.table
    assert list(table) == ["method", "metric", "mean", "low", "high", "images"]
    assert list(dict.fromkeys(table["method"])) == METHODS
    assert (table["images"] == 3).all()
    means = evaluated.metrics.groupby(["method", "metric"])["value"].mean()
    for row in table.itertuples():
        assert row.mean == pytest.approx(means[row.method, row.metric])
        assert row.low <= row.mean <= row.high
    wide = table[table["metric"] == "PSNR (dB)"]
    assert (wide["low"] < wide["high"]).all()


@pytest.mark.parametrize(
    ("pixels", "perceptual", "name"),
    [
        (0.0, 1.0, "perceptual only"),
        (1.0, 0.0, "pixels only"),
        (1.0, 1.0, "reconstruction only"),
        (0.0, 0.0, "regulariser only"),
    ],
)
def test_the_first_method_says_what_it_minimises(
    zoo: Zoo, pixels: float, perceptual: float, name: str
) -> None:
    job = Evaluation(
        name="t", steps=1, pixel_weight=pixels, perceptual_weight=perceptual, activation_weight=0.0
    )
    found = zoo.evaluate(job, images=1, seen=zoo.seen[2:])
    assert found.methods == [name, "+ mtcnn_onet"]  # one encoder is all


def rows(method: str, psnrs: list[float], distances: list[float]) -> list[tuple]:
    return [
        (str(i), method, start, start == 1, metric, value - (start == 0))
        for metric, values in (("PSNR (dB)", psnrs), ("LPIPS (alex)", distances))
        for i, value in enumerate(values)
        for start in range(2)
    ]


def test_markdown_names_all_and_bolds_the_best() -> None:
    columns = ["item", "method", "start", "best", "metric", "value"]
    made = [
        *rows("perceptual only", [20.0, 22.0], [0.5, 0.4]),
        *rows("+ vit", [23.0, 23.0], [0.2, 0.3]),
        *rows("+ all", [23.001, 23.001], [0.3, 0.4]),
    ]
    table = table_of(pd.DataFrame(made, columns=columns))
    assert table["images"].tolist() == [2] * 6
    assert markdown(table, note="2 images.") == (
        "|  | PSNR (dB) ↑ | LPIPS (alex) ↓ |\n"
        "| :--- | ---: | ---: |\n"
        "| perceptual only | 21.00 [20.00, 22.00] | 0.450 [0.400, 0.500] |\n"
        "| + vit | **23.00** [23.00, 23.00] | **0.250** [0.200, 0.300] |\n"
        "| + all | **23.00** [23.00, 23.00] | 0.350 [0.300, 0.400] |\n"
        "\n2 images.\n"
    )
