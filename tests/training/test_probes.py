"""Labels, probes and model cards of trained encoders."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from rosetta_core.config import Config, load_config, load_recipe, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import file_sha256
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.tools.train import train_encoder
from rosetta_core.training.construction import build_encoder
from rosetta_core.training.labels import colour_labels, detect_landmarks, face_labels
from rosetta_core.training.model_card import Facts, Machine, model_card
from rosetta_core.training.probes import (
    count_test_images,
    encoder_features,
    linear_probe,
    neighbour_probe,
    pixel_features,
    probe_table,
)
from rosetta_core.training.recipe import Recipe
from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.loading import load, load_generator
from rosetta_core.zoo.model_spec import EncoderSpec

CPU = torch.device("cpu")
PROBES = [linear_probe, neighbour_probe]
SMALL = {  # a vision transformer of two blocks
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 32,
    "depth": 2,
    "num_heads": 2,
    "num_classes": 0,
}


def split(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    cut = len(y) * 3 // 4
    return x[:cut], y[:cut], x[cut:], y[cut:]


def test_linear_probe_predicts_linear_labels_at_any_scale() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 10)).astype(np.float32)
    for y in (x[:, 3], 1e-4 * x[:, 3] + 50, x @ np.arange(10)):
        assert linear_probe(*split(x, y)) > 0.999
        scaled = x * np.logspace(-3, 3, 10, dtype=np.float32) + 7
        assert linear_probe(*split(scaled, y)) > 0.999


def test_linear_probe_r2_is_limited_by_label_noise() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(8000, 5))
    y = x[:, 0] + rng.normal(size=8000)
    assert linear_probe(*split(x, y)) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("width", [5, 300])
def test_probes_of_noise_score_at_most_zero(probe: Any, width: int) -> None:
    rng = np.random.default_rng(3)
    found = [probe(*split(rng.normal(size=(240, width)), rng.normal(size=240))) for _ in range(20)]
    assert np.mean(found) < 0.005
    assert max(found) < 0.1
    assert min(found) > -0.4


@pytest.mark.parametrize("probe", PROBES)
def test_images_without_a_label_are_ignored(probe: Any) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(160, 6))
    y = x[:, 0] + 0.3 * rng.normal(size=160)
    unknown = rng.random(160) < 0.3
    labels, known = np.where(unknown, np.nan, y), ~unknown
    parts = zip(split(x, y), split(known, known), strict=True)
    train_x, train_y, test_x, test_y = (part[keep] for part, keep in parts)
    expected = probe(train_x, train_y, test_x, test_y)
    x[unknown] = 1e6  # their features have no effect
    assert probe(*split(x, labels)) == expected > 0.3


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize(
    "labels",
    [np.full(40, 0.1), np.full(40, np.nan), np.r_[np.arange(30.0), np.full(10, np.nan)]],
    ids=["all the same", "none known", "none known of the test"],
)
def test_constant_or_unknown_labels_have_no_score(probe: Any, labels: np.ndarray) -> None:
    x = np.random.default_rng(5).normal(size=(40, 3))
    assert np.isnan(probe(*split(x, labels)))


@pytest.mark.parametrize("probe", PROBES)
def test_a_constant_feature_changes_nothing(probe: Any) -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(80, 4))
    y = x[:, 0]
    more = np.concatenate([x, np.full((80, 1), 0.1)], 1)
    assert probe(*split(more, y)) == pytest.approx(probe(*split(x, y)), abs=1e-9)
    assert np.isfinite(probe(*split(np.ones((80, 2)), y)))


def test_neighbours_predict_labels_of_clusters_that_are_not_linear() -> None:
    rng = np.random.default_rng(7)
    angle = rng.integers(0, 4, size=400)
    x = np.stack([np.cos(angle * np.pi / 2), np.sin(angle * np.pi / 2)], 1)
    x += 0.01 * rng.normal(size=x.shape)
    y = (angle % 2).astype(np.float64)  # opposite clusters share a label
    assert neighbour_probe(*split(x, y)) > 0.999
    assert linear_probe(*split(x, y)) < 0.05


def test_neighbours_are_the_twenty_nearest_by_cosine() -> None:
    rng = np.random.default_rng(8)
    way, length = rng.choice([-1.0, 1.0], size=(2, 400)), np.exp(rng.normal(size=(400, 1)))
    x = np.concatenate([way.T, way.T]) * np.concatenate([length, length[::-1]])
    y = x[:, 0] / np.abs(x[:, 0])
    assert neighbour_probe(*split(x, y)) > 0.999
    few = rng.normal(size=(16, 2))  # all 12 are neighbours then, and their mean is all there is
    y = rng.normal(size=16)
    expected = 1 - np.square(y[12:] - y[:12].mean()).sum() / np.square(y[12:] - y[12:].mean()).sum()
    assert neighbour_probe(*split(few, y)) == pytest.approx(expected)


def test_probe_table_has_all_labels_features_and_probes() -> None:
    rng = np.random.default_rng(9)
    known, noise = rng.normal(size=(2, 100, 1))
    labels = {"shown": known[:, 0], "hidden": rng.normal(size=100)}
    table = probe_table({"good": known, "bad": noise}, labels)
    assert list(table.columns) == ["label", "features", "probe", "r2"]
    assert len(table.drop_duplicates(["label", "features", "probe"])) == len(table) == 8
    good = (table.label == "shown") & (table.features == "good")
    assert table.r2[good].min() > 0.5  # the direction of a single number is its sign
    assert table.r2[~good].max() < 0.1


def test_probe_table_tests_on_the_last_quarter() -> None:
    x = np.random.default_rng(10).normal(size=(100, 1))
    y = x[:, 0].copy()
    y[100 - count_test_images(100) :] *= -1
    table = probe_table({"x": x}, {"y": y})
    assert count_test_images(100) == 25
    assert table.r2.max() < -1  # predicted exactly, with the wrong sign


def made_up(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(40, 200, size=(5, 12, 9, 3), dtype=np.uint8)


def test_colour_labels_follow_their_definitions() -> None:
    images = made_up()
    labels = colour_labels(images)
    assert all(values.shape == (5,) for values in labels.values())
    brighter = colour_labels(images + 20)
    assert brighter["brightness"] == pytest.approx(labels["brightness"] + 20 / 255, abs=1e-6)
    for name in ("contrast", "warmth", "side_light"):
        assert brighter[name] == pytest.approx(labels[name], abs=1e-6)
    redder = images.copy()
    redder[..., 0] += 30
    assert colour_labels(redder)["warmth"] == pytest.approx(labels["warmth"] + 30 / 255, abs=1e-6)
    mirrored = colour_labels(images[:, :, ::-1])
    assert mirrored["side_light"] == pytest.approx(-labels["side_light"], abs=1e-6)
    assert mirrored["brightness"] == pytest.approx(labels["brightness"], abs=1e-6)
    lit = np.zeros((1, 4, 4, 3), np.uint8)
    lit[:, :, 2:] = 255
    found = {name: values.item() for name, values in colour_labels(lit).items()}
    assert found == pytest.approx(
        {"brightness": 0.5, "contrast": 0.5, "warmth": 0, "side_light": 1}, abs=1e-6
    )


FRONTAL = [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]


def mirror(landmarks: np.ndarray) -> np.ndarray:
    return landmarks[:, [1, 0, 2, 4, 3]] * [-1, 1] + [1, 0]


def test_face_labels_follow_their_definitions() -> None:
    landmarks = np.array([FRONTAL] * 3)
    landmarks[1, 2, 0] += 0.1  # the nose to the right
    landmarks[2, 1, 1] += 0.4  # the right eye down
    labels = face_labels(landmarks, np.ones(3))
    assert labels["pose"][:2] == pytest.approx([0, 0.25], abs=1e-12)
    assert labels["tilt"] == pytest.approx([0, 0, np.pi / 4], abs=1e-12)
    assert labels["mouth"] == pytest.approx([0.75, 0.75, 0.75 / np.sqrt(2)])
    rng = np.random.default_rng(11)
    landmarks = np.array([FRONTAL] * 20) + rng.normal(scale=0.05, size=(20, 5, 2))
    labels, mirrored = (face_labels(x, np.ones(20)) for x in (landmarks, mirror(landmarks)))
    assert mirrored["pose"] == pytest.approx(-labels["pose"])
    assert mirrored["tilt"] == pytest.approx(-labels["tilt"])
    assert mirrored["mouth"] == pytest.approx(labels["mouth"])
    half = face_labels(landmarks / 2 + 0.1, np.ones(20))  # smaller, elsewhere
    assert all(half[name] == pytest.approx(labels[name]) for name in labels)


def test_images_without_a_face_have_no_labels() -> None:
    landmarks = np.array([FRONTAL, FRONTAL, [[0.5, 0.5]] * 5])
    labels = face_labels(landmarks, np.array([0.9, 0.49, 0.9]))
    for values in labels.values():
        assert np.isnan(values).tolist() == [False, True, True]


def test_landmarks_of_generated_faces_and_their_mirror_images(
    weights: Config,
) -> None:
    paths = RunPaths(weights)
    generator = load_generator(weights.pivot, paths.weights(weights.pivot), device=CPU)
    model = next(model for model in weights.encoders if model.family == "mtcnn_onet")
    detector = load(model, paths.weights(model), device=CPU)
    with torch.no_grad():
        drawn = generator.generate(generator.sample_latents(range(40)), None)
    images = ((drawn + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
    landmarks, probability = detect_landmarks(detector, images)
    assert np.mean(probability > 0.5) > 0.9
    left, right, nose, mouth_left, mouth_right = landmarks[probability > 0.5].transpose(1, 0, 2)
    assert np.all(left[:, 0] < right[:, 0])
    assert np.all(mouth_left[:, 0] < mouth_right[:, 0])
    assert np.all((left + right)[:, 1] / 2 < nose[:, 1])
    assert np.all(nose[:, 1] < (mouth_left + mouth_right)[:, 1] / 2)
    assert np.abs(np.median(nose[:, 0]) - 0.5) < 0.05
    turned, same = detect_landmarks(detector, images.flip(2))
    np.testing.assert_allclose(turned, mirror(landmarks), atol=1e-4)
    np.testing.assert_allclose(same, probability, atol=1e-4)
    _, nothing = detect_landmarks(detector, torch.full((2, 64, 64, 3), 128, dtype=torch.uint8))
    assert nothing.max() < 0.5


def recipe(folder: Path, **changes: Any) -> Recipe:
    content = {
        "name": "small",
        "results": str(folder / "results"),
        "device": "cpu",
        "architecture": "vit_tiny_patch16_224",
        "arguments": SMALL,
        "mae": {"decoder_width": 32, "decoder_heads": 2},
        "steps": 3,
        "batch_size": 4,
        "probes": {"images": 48},
    }
    return Recipe.model_validate({**content, **changes})


@pytest.mark.parametrize("tokens", [{}, {"class_token": False, "global_pool": "avg"}])
def test_features_are_means_of_quarters_and_the_class_token(
    tokens: dict[str, Any], tmp_path: Path
) -> None:
    encoder = build_encoder("vit_tiny_patch16_224", SMALL | tokens, seed=1)
    images = torch.from_numpy(np.tile(made_up(), (14, 1, 1, 1)))  # more than a batch
    found = encoder_features(encoder, images)
    seen: list[torch.Tensor] = []
    encoder.network.norm.register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        encoder.network(preprocess(images, encoder.input))
    (out,) = seen
    grid = encoder.input.size // SMALL["patch_size"]
    places = np.arange(grid**2).reshape(grid, grid)
    half = slice(grid // 2), slice(grid // 2, None)
    quarters = [places[rows, columns].ravel() for rows in half for columns in half]
    prefix = 0 if tokens else 1
    norm = encoder.network.fc_norm  # in place of the other where tokens are averaged
    parts = [norm(out[:, prefix + quarter].mean(1)) for quarter in quarters]
    expected = torch.cat(parts if tokens else [*parts, out[:, 0]], 1).detach()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_pixel_features_are_means_of_squares() -> None:
    images = np.random.default_rng(12).integers(0, 256, size=(70, 32, 48, 3), dtype=np.uint8)
    found = pixel_features(torch.from_numpy(images))
    expected = images.reshape(70, 16, 2, 16, 3, 3).mean((2, 4)).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found, expected.reshape(70, -1), rtol=1e-5)


MACHINE = Machine("a processor, 3 cores", "2.0", "1.0", "2026-01-02")
FACTS = Facts(1_234_567, 2_500_000, "ab" * 32, images=12, tested=34, machine=MACHINE)


def written(content: Recipe, facts: Facts = FACTS, r2: float = -0.004) -> str:
    steps = 60
    losses = pd.DataFrame({"loss": np.arange(steps) / 4.0, "seconds": np.full(steps, 2.0)})
    rows = [
        {"label": label, "features": kind, "probe": probe, "r2": r2 + 0.25 * (kind == "trained")}
        for label in ("side_light", "pose")
        for kind in ("trained", "untrained", "pixels")
        for probe in ("linear", "nearest neighbours")
    ]
    return model_card(content, facts, losses=losses, probes=pd.DataFrame(rows))


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(rf"^(`{{3,}}){language}\n(.*?)\n\1$", text, re.M | re.S)
    return [content for _, content in found]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_model_card_has_all_numbers(tmp_path: Path) -> None:
    text = written(recipe(tmp_path, seed=77))
    facts = {row[0]: row[1] for row in rows(text) if len(row) == 2}
    assert facts["parameters"] == "1,234,567"
    assert facts["file"].startswith("2.50 MB")
    assert facts["SHA-256"] == f"`{'ab' * 32}`"
    assert facts["images"] == "12 different samples of `dcgan`"
    assert "0.000 at the first step, 8.625 over the last 50" in facts["loss"]
    assert (facts["seed"], facts["time"], facts["date"]) == ("77", "120 seconds", "2026-01-02")
    assert facts["machine"] == "a processor, 3 cores"
    assert "MAE" in facts["method"]
    assert "licence" not in facts
    assert "34 test images" in text
    assert [row for row in rows(text) if row[0] == "side light"] == [
        ["side light", "0.25", "0.25", "0.00", "0.00", "0.00", "0.00"]
    ]
    assert "| pose | – | –" in written(recipe(tmp_path), r2=float("nan"))
    assert "−0.30" in written(recipe(tmp_path), r2=-0.3)


def test_model_card_of_a_shipped_encoder(tmp_path: Path) -> None:
    facts = Facts(1, 2, "ab" * 32, images=3, tested=4, machine=MACHINE, shipped=True)
    text = written(recipe(tmp_path, name="mae_faces"), facts)
    assert ["licence", "MIT"] in rows(text)
    assert "rosetta train configs/train/mae-faces.yaml" in text
    assert yaml.safe_load(blocks(text, "yaml")[-1]) == {"encoders": ["mae_faces"]}


HOSTILE = "a|b ``` `c` <b>[x](y)_ #"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"name": "x__x__.-_y"},
        {"mae": None, "dino": {"outputs": 16}},
        {"images": {"generator": None, "folder": HOSTILE + " d"}, "results": HOSTILE},
        {"arguments": SMALL | {"norm_layer": None, "weight_init": "a|b\n```\n| x |"}},
    ],
)
def test_model_card_quotes_any_recipe(changes: dict[str, Any], tmp_path: Path) -> None:
    content = recipe(tmp_path, **changes)
    text = written(content)
    (tmp_path / "recipe.yaml").write_text(blocks(text, "yaml")[0], encoding="utf-8")
    same = {"results": content.results, "device": content.device}
    assert load_recipe(tmp_path / "recipe.yaml").model_copy(update=same) == content
    use = yaml.safe_load(blocks(text, "yaml")[1])["encoders"]
    (encoder,) = [EncoderSpec.model_validate(model) for model in use]
    assert (encoder.name, encoder.arguments) == (content.name, content.arguments)
    assert Path(encoder.weights.file) == Path(content.results, content.name, "encoder.safetensors")
    widths = [len(row) for row in rows(text.split("## Recipe")[0])]
    assert widths == [2] * 15 + [7] * 4
    assert text.startswith(f"# `{content.name}`\n")


def probes_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "probes.csv")


@pytest.mark.parametrize("method", [{}, {"mae": None, "dino": {"outputs": 16, "local_size": 16}}])
def test_probes_and_card_are_regenerated_without_training(
    method: dict[str, Any], weights: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    probes = {"images": 48, "faces": True}
    content = recipe(tmp_path, resources=weights.resources, probes=probes, **method)
    folder = train_encoder(content)
    assert folder == tmp_path / "results" / "small"
    table, file = probes_of(folder), folder / "encoder.safetensors"
    names = {"brightness", "contrast", "warmth", "side_light", "pose", "tilt", "mouth"}
    assert set(table.label) == names
    assert len(table) == 7 * 3 * 2
    assert np.isfinite(table.r2).all()
    text, before = (folder / "card.md").read_text(), file.read_bytes()
    facts = {row[0]: row[1] for row in rows(text) if len(row) == 2}
    assert facts["SHA-256"] == f"`{file_sha256(file)}`"
    assert facts["images"] == "12 different samples of `dcgan`"
    count = sum(value.numel() for value in load_file(file).values())
    assert facts["parameters"] == f"{count:,}"
    assert " 12 test images" in text  # the last quarter of 48
    assert "and the encoder was not trained" in text

    record = json.loads((folder / "machine.json").read_text()) | {"processor": "an abacus"}
    (folder / "machine.json").write_text(json.dumps(record))
    (folder / "probes.csv").unlink()
    with caplog.at_level(logging.INFO, "rosetta"):
        train_encoder(content.model_copy(update={"checkpoint_every": 1}))
    assert "already trained" in caplog.text
    assert file.read_bytes() == before
    pd.testing.assert_frame_equal(probes_of(folder), table)
    regenerated = (folder / "card.md").read_text()
    assert ["machine", "an abacus"] in rows(
        regenerated
    )  # the training machine, not the current one

    use = yaml.safe_load(blocks(text, "yaml")[1])
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(use))
    assert load_config(tmp_path / "run.yaml") == parse_config(use)
    model = parse_config(use).encoders[0]
    load(model, Path(model.weights.file), device=CPU)


def test_an_encoder_of_another_recipe_is_kept(weights: Config, tmp_path: Path) -> None:
    content = recipe(tmp_path, resources=weights.resources)
    folder = train_encoder(content)
    before = (folder / "encoder.safetensors").read_bytes()
    with pytest.raises(
        RosettaError, match=r"belongs to another recipe; delete .*small to train again"
    ):
        train_encoder(content.model_copy(update={"seed": 2}))
    assert (folder / "encoder.safetensors").read_bytes() == before
    save_file({"x": torch.zeros(1)}, folder / "encoder.safetensors")
    with pytest.raises(RosettaError, match="belongs to another recipe"):
        train_encoder(content)
    (folder / "encoder.safetensors").write_bytes(b"broken")
    with pytest.raises(RosettaError, match=r"encoder.safetensors: cannot be read"):
        train_encoder(content)


def test_images_of_a_folder_are_probed_once_each(tmp_path: Path) -> None:
    rng = np.random.default_rng(13)
    (tmp_path / "photos").mkdir()
    for number in range(24):
        pixels = rng.integers(0, 256, size=(20, 30, 3), dtype=np.uint8) // (1 + number % 5)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{number}.png")
    images = {"generator": None, "folder": str(tmp_path / "photos")}
    folder = train_encoder(recipe(tmp_path, images=images, steps=20))
    table = probes_of(folder)
    assert set(table.label) == {"brightness", "contrast", "warmth", "side_light"}
    pixels = (table.features == "pixels") & (table.probe == "linear")
    assert table.r2[pixels & (table.label == "brightness")].item() > 0.9
    text = (folder / "card.md").read_text()
    assert "24 different files in `" in text
    assert "R² on 6 test images, on which the probes were not fitted: 1 for" in text
