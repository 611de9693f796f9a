"""Every image is inverted by every method as it would be alone; the table has the means."""

from dataclasses import replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pandas as pd
import pytest
import torch
from steered import (
    CPU,
    CallLimit,
    Interrupted,
    load_distances,
    load_steered_generator,
    load_views,
    target_images,
)

from rosetta_core.config import Config
from rosetta_core.steering.generator import SteeredGenerator
from rosetta_core.steering.jobs import evaluation
from rosetta_core.steering.jobs.evaluation import EvaluationResult, evaluate
from rosetta_core.steering.map_targets import EncoderView, encoder_targets
from rosetta_core.steering.metrics.evaluation_table import evaluation_table, to_markdown
from rosetta_core.steering.metrics.image_similarity import psnr
from rosetta_core.steering.metrics.perceptual import PerceptualDistance
from rosetta_core.steering.optimise.gradient_descent import Checkpoint, optimise
from rosetta_core.steering.optimise.latents import initial_latents
from rosetta_core.steering.optimise.loss import activation_loss, guided_loss
from rosetta_core.steering.optimise.settings import GuidedSettings
from rosetta_core.zoo.encoders.preprocessing import to_pixels

ALONE = "perceptual only"
ENCODERS = ["efficientnet_lite0", "mobilenet_v2", "mtcnn_onet"]
METHODS = [ALONE, *(f"+ {name}" for name in ENCODERS), "+ all"]
NAMES = ["one", "two", "a face"]
SETTINGS = GuidedSettings(steps=10, restarts=1, perceptual_weight=3.0, seed=5)
# mean difference of latents after a few steps: Adam scales every gradient to the same size, so
# that of a tiny one it magnifies the rounding
ROUNDING = 1e-2


class Zoo:
    """Models, images and distances of all evaluations here."""

    def __init__(self, config: Config) -> None:
        self.generator: SteeredGenerator = load_steered_generator(config)
        self.views: list[EncoderView] = load_views(config, self.generator)
        self.loss_distance: PerceptualDistance
        self.loss_distance, self.evaluation_distance = load_distances(config)
        self.images = target_images(self.generator, seeds=2)

    def evaluate(
        self, settings: GuidedSettings = SETTINGS, *, images: int = 3, **changes: object
    ) -> EvaluationResult:
        given = {"encoders": self.views, "loss_distance": self.loss_distance, **changes}
        return evaluate(
            self.generator,
            self.images[:images],
            evaluation_distance=self.evaluation_distance,
            settings=settings,
            titles=NAMES[:images],
            **given,
        )

    def distance(self, images: np.ndarray, target: np.ndarray) -> np.ndarray:
        """The perceptual distance of images from as many targets, or from one."""
        features = self.loss_distance.features(to_pixels(target, device=CPU))
        return self.loss_distance(to_pixels(images, device=CPU), features).numpy()


def levels(images: np.ndarray, others: np.ndarray) -> int:
    """The largest difference of two images, in levels of 255."""
    return int(np.abs(images.astype(int) - others).max())


def value_of(evaluated: EvaluationResult, item: str, method: str, metric: str) -> float:
    """The value of the best restart."""
    rows = evaluated.metrics[evaluated.metrics["best"]]
    return rows.set_index(["item", "method", "metric"])["value"][item, method, metric]


@pytest.fixture(scope="module")
def zoo(weights: Config) -> Zoo:
    return Zoo(weights)


@pytest.fixture(scope="module")
def evaluated(zoo: Zoo) -> EvaluationResult:
    return zoo.evaluate()


def test_methods_and_images_are_in_order(zoo: Zoo, evaluated: EvaluationResult) -> None:
    assert evaluated.methods == METHODS
    assert np.array_equal(evaluated.target, zoo.images)
    assert evaluated.before.shape == (3, 64, 64, 3)
    starts = initial_latents(
        zoo.generator,
        [crc32(i.tobytes()) for i in zoo.images],
        seed=SETTINGS.seed,
        space="z",
        classes=None,
    )
    drawn, _ = zoo.generator.render(starts, space="z", classes=None)
    assert levels(drawn, evaluated.before) <= 1
    for method in range(5):
        latents = torch.from_numpy(evaluated.latents[:, method])
        drawn, _ = zoo.generator.render(latents, space="z", classes=None)
        assert levels(drawn, evaluated.after[:, method]) <= 1


@pytest.mark.parametrize("method", range(5))
def test_a_method_reaches_the_same_latents_as_alone(
    zoo: Zoo, evaluated: EvaluationResult, method: int
) -> None:
    guides = [[], *([name] for name in ENCODERS), ENCODERS][method]
    image = zoo.images[:1]
    used = [view for view in zoo.views if view.name in guides] or zoo.views
    loss = guided_loss(
        zoo.generator,
        [
            target
            for view in used
            for target in encoder_targets(view, image, generator=zoo.generator)
        ],
        SETTINGS if guides else replace(SETTINGS, activation_weight=0.0),
        images=to_pixels(image, device=CPU),
        distance=zoo.loss_distance,
    )
    start = initial_latents(
        zoo.generator, [crc32(image.tobytes())], seed=SETTINGS.seed, space="z", classes=None
    )
    alone = optimise(zoo.generator, loss, start, steps=SETTINGS.steps, learning_rate=0.05)
    off = np.abs(evaluated.latents[0] - alone.latents.numpy()).mean(axis=1)
    assert off[method] < ROUNDING
    assert np.delete(off, method).min() > 2 * ROUNDING


def test_pairs_do_not_change_the_row_without_pairs(zoo: Zoo, evaluated: EvaluationResult) -> None:
    swapped = [
        replace(one, pairs=np.stack([one.pairs[:, 0], one.pairs[::-1, 1]], axis=1))
        for one in zoo.views
    ]
    other = zoo.evaluate(encoders=swapped)
    assert np.array_equal(other.latents[:, 0], evaluated.latents[:, 0])
    off = np.abs(other.latents - evaluated.latents).mean(axis=2)  # (images, methods)
    assert (off[:, 1:] > 2 * ROUNDING).all()


@pytest.mark.parametrize("similarity", ["dataset", "distance"])
def test_no_similarity_changes_the_row_without_pairs(
    zoo: Zoo, evaluated: EvaluationResult, similarity: str
) -> None:
    settings = replace(SETTINGS, similarity=similarity)
    other = zoo.evaluate(settings, images=1)
    off = np.abs(other.latents - evaluated.latents[:1]).mean(axis=2)[0]
    assert off[0] < ROUNDING and (off[1:] > 2 * ROUNDING).all()
    assert np.isfinite(other.metrics["value"]).all()


def test_every_method_comes_nearer(zoo: Zoo, evaluated: EvaluationResult) -> None:
    before = zoo.distance(evaluated.before, zoo.images)
    for method in range(5):
        after = zoo.distance(evaluated.after[:, method], zoo.images)
        assert (after < before).all() and after.mean() < 0.9 * before.mean()


def test_batches_make_no_difference(
    zoo: Zoo, evaluated: EvaluationResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(evaluation, "ROWS", 10)  # two images, then one
    checkpoint = Checkpoint(tmp_path / "kept", "key", seconds=0)
    split = zoo.evaluate(checkpoint=checkpoint)
    assert np.abs(split.latents - evaluated.latents).mean(axis=2).max() < ROUNDING
    assert split.metrics.iloc[:, :5].equals(evaluated.metrics.iloc[:, :5])
    np.testing.assert_allclose(split.table["mean"], evaluated.table["mean"], rtol=0.02)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_evaluation_resumes(
    zoo: Zoo, evaluated: EvaluationResult, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(evaluation, "ROWS", 5)
    settings = replace(SETTINGS, steps=4)
    whole = zoo.evaluate(settings, images=2)
    checkpoint = Checkpoint(tmp_path / "kept", "key", seconds=0)
    steps = settings.steps + 1
    with pytest.raises(Interrupted):
        zoo.evaluate(
            settings,
            images=2,
            loss_distance=CallLimit(zoo.loss_distance, steps + 2),
            checkpoint=checkpoint,
        )
    left = CallLimit(zoo.loss_distance, 100)
    again = zoo.evaluate(settings, images=2, loss_distance=left, checkpoint=checkpoint)
    assert 100 - left.calls == 1 + 3  # each image from its last checkpoint
    assert np.array_equal(again.latents, whole.latents)


def test_the_best_restart_is_the_result(zoo: Zoo) -> None:
    settings = replace(SETTINGS, restarts=3, steps=4)
    found = zoo.evaluate(settings, images=2)
    best = found.metrics[found.metrics["best"]]
    counts = found.metrics.groupby(["item", "method", "metric"])["best"].agg(["size", "sum"])
    assert (counts["size"] == 3).all() and (counts["sum"] == 1).all()
    assert set(best["restart"]) != {0}
    for i, item in enumerate(NAMES[:2]):
        for m, method in enumerate(METHODS):
            own = psnr(found.after[i, m], zoo.images[i])
            assert value_of(found, item, method, "PSNR (dB)") == own
    assert found.metrics.groupby("metric")["value"].nunique()["PSNR (dB)"] == 30


def test_similarity_is_that_of_all_pairs(zoo: Zoo, evaluated: EvaluationResult) -> None:
    for i, item in enumerate(NAMES):
        image = zoo.images[[i]]
        targets = [
            target
            for view in zoo.views
            for target in encoder_targets(view, image, generator=zoo.generator)
        ]
        loss = activation_loss(zoo.generator, targets, SETTINGS, similarity="image")
        for m, method in enumerate(METHODS):
            latent = torch.from_numpy(evaluated.latents[i, [m]])
            _, maps = zoo.generator.render(latent, space="z", classes=None)
            own = value_of(evaluated, item, method, "similarity of all maps")
            assert own == pytest.approx(float(loss.objective(maps)), abs=1e-4)


def test_an_image_is_recognised_if_no_random_one_is_nearer(
    zoo: Zoo, evaluated: EvaluationResult
) -> None:
    latents = initial_latents(
        zoo.generator, range(2_000_000, 2_000_020), seed=SETTINGS.seed, space="z", classes=None
    )
    others, _ = zoo.generator.render(latents, space="z", classes=None)
    expected = []
    for i in range(3):
        for m in range(5):
            every = np.concatenate([zoo.images[[i]], others])
            looked_at = zoo.evaluation_distance.features(to_pixels(every, device=CPU))
            result = to_pixels(np.repeat(evaluated.after[i, [m]], 21, axis=0), device=CPU)
            expected.append(float(zoo.evaluation_distance(result, looked_at).argmin() == 0))
    rows = evaluated.metrics[evaluated.metrics["metric"] == "recognised among 20 (share)"]
    assert rows["value"].tolist() == expected
    assert 0 < sum(expected) < len(expected)


def test_the_table_has_the_means(evaluated: EvaluationResult) -> None:
    table = evaluated.table
    assert list(table) == ["method", "metric", "mean", "ci_low", "ci_high", "images"]
    assert list(dict.fromkeys(table["method"])) == METHODS
    assert (table["images"] == 3).all()
    means = evaluated.metrics.groupby(["method", "metric"])["value"].mean()
    for row in table.itertuples():
        assert row.mean == pytest.approx(means[row.method, row.metric])
        assert row.ci_low <= row.mean <= row.ci_high
    wide = table[table["metric"] == "PSNR (dB)"]
    assert (wide["ci_low"] < wide["ci_high"]).all()


@pytest.mark.parametrize(
    ("pixels", "perceptual", "name"),
    [
        (0.0, 1.0, "perceptual only"),
        (1.0, 0.0, "pixels only"),
        (1.0, 1.0, "reconstruction only"),
        (0.0, 0.0, "regulariser only"),
    ],
)
def test_the_first_method_is_named_after_its_loss(
    zoo: Zoo, pixels: float, perceptual: float, name: str
) -> None:
    settings = GuidedSettings(
        steps=1,
        restarts=1,
        pixel_weight=pixels,
        perceptual_weight=perceptual,
        activation_weight=0.0,
    )
    found = zoo.evaluate(settings, images=1, encoders=zoo.views[2:])
    assert found.methods == [name, "+ mtcnn_onet"]  # one encoder is all


def rows(method: str, psnrs: list[float], distances: list[float]) -> list[tuple]:
    return [
        (str(i), method, restart, restart == 1, metric, value - (restart == 0))
        for metric, values in (("PSNR (dB)", psnrs), ("LPIPS (alex)", distances))
        for i, value in enumerate(values)
        for restart in range(2)
    ]


def test_markdown_names_all_and_bolds_the_best() -> None:
    columns = ["item", "method", "restart", "best", "metric", "value"]
    made = [
        *rows("perceptual only", [20.0, 22.0], [0.5, 0.4]),
        *rows("+ vit", [23.0, 23.0], [0.2, 0.3]),
        *rows("+ all", [23.001, 23.001], [0.3, 0.4]),
    ]
    table = evaluation_table(pd.DataFrame(made, columns=columns))
    assert table["images"].tolist() == [2] * 6
    assert to_markdown(table, note="2 images.") == (
        "|  | PSNR (dB) ↑ | LPIPS (alex) ↓ |\n"
        "| :--- | ---: | ---: |\n"
        "| perceptual only | 21.00 [20.00, 22.00] | 0.450 [0.400, 0.500] |\n"
        "| + vit | **23.00** [23.00, 23.00] | **0.250** [0.200, 0.300] |\n"
        "| + all | **23.00** [23.00, 23.00] | 0.350 [0.300, 0.400] |\n"
        "\n2 images.\n"
    )
