import copy
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from conftest import ROOT
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from rosetta_core.cli.main import main
from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.io.saved_state import save_state
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.machine import cpu_flags
from rosetta_core.stages.tools.train import train_encoder
from rosetta_core.training import optimisation
from rosetta_core.training.construction import Method, build_encoder, build_method
from rosetta_core.training.images import FolderImages, GeneratedImages, crop_view, dino_views
from rosetta_core.training.masked_autoencoder import (
    MaskedAutoencoder,
    encode_visible,
    extract_patches,
)
from rosetta_core.training.recipe import (
    DinoSettings,
    ImageSettings,
    MaeSettings,
    ProbeSettings,
    Recipe,
)
from rosetta_core.training.self_distillation import SelfDistillation, unique_views, view_loss
from rosetta_core.zoo.loading import load_generator

NETWORK = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}
NETWORK |= {"num_classes": 0}
SMALL_HEAD = {"outputs": 16, "hidden": 16, "bottleneck": 8, "local_crops": 2, "local_size": 16}


def vision_transformer(**arguments: Any) -> Any:
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", **{**NETWORK, **arguments})


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def seeded(run: Callable[[], Any]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return run()


def recipe(tmp_path: Path, **changes: Any) -> Recipe:
    content = {
        "name": "small",
        "results": str(tmp_path / "results"),
        "architecture": "vit_tiny_patch16_224",
        "arguments": NETWORK,
        "images": {"generator": None, "folder": str(tmp_path / "images")},
        "probes": {"images": 16},
        "steps": 6,
        "batch_size": 4,
        "checkpoint_every": 2,
        "device": "cpu",
    }
    return Recipe.model_validate({**content, **changes})


def untrained_method(recipe: Recipe) -> Method:
    encoder = build_encoder(
        recipe.architecture, recipe.arguments, seed=recipe.seed, any_size=recipe.dino is not None
    )
    return build_method(encoder, recipe.method, seed=recipe.seed)


METHODS = [
    {"mae": {}},
    {"dino": SMALL_HEAD},
    {"dino": {**SMALL_HEAD, "masked": 0.5, "groups": 4, "batch_norm": True}},
]


@pytest.fixture
def autoencoder() -> MaskedAutoencoder:
    return MaskedAutoencoder(vision_transformer(), MaeSettings()).train()


@pytest.fixture
def distillation() -> SelfDistillation:
    return SelfDistillation(
        vision_transformer(dynamic_img_size=True), DinoSettings(**SMALL_HEAD)
    ).train()


def test_extract_patches_returns_squares_row_by_row() -> None:
    drawn = images(2)
    patches = extract_patches(drawn, 8)
    assert patches.shape == (2, 16, 3 * 64)
    for row in range(4):
        for column in range(4):
            square = drawn[:, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            assert torch.equal(patches[:, 4 * row + column], square.flatten(1))


def see(autoencoder: MaskedAutoencoder, drawn: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return encode_visible(autoencoder.encoder, autoencoder.decoder.dropout, drawn)


def test_masked_patches_do_not_affect_the_encoder(autoencoder: MaskedAutoencoder) -> None:
    drawn = images(3)
    tokens, kept = seeded(lambda: see(autoencoder, drawn))
    assert kept.shape == (3, 4)  # a quarter of 16
    stays = torch.zeros(3, 16).scatter(1, kept, 1.0).reshape(3, 1, 4, 4)
    changed = torch.where(stays.repeat_interleave(8, 2).repeat_interleave(8, 3) > 0, drawn, 5.0)
    again, _ = seeded(lambda: see(autoencoder, changed))
    assert torch.equal(tokens, again)
    assert not torch.equal(tokens, seeded(lambda: see(autoencoder, drawn + 1))[0])


def test_mae_loss_is_the_error_on_normalised_masked_patches(
    autoencoder: MaskedAutoencoder,
) -> None:
    drawn = images(3)
    loss = seeded(lambda: autoencoder([drawn]))
    tokens, kept = seeded(lambda: see(autoencoder, drawn))
    predicted = autoencoder.decoder(tokens, kept).detach().double().numpy()
    patches = extract_patches(drawn, 8).double().numpy()
    errors = []
    for image in range(3):
        for patch in set(range(16)) - set(kept[image].tolist()):
            pixels = patches[image, patch]
            wanted = (pixels - pixels.mean()) / math.sqrt(pixels.var(ddof=1) + 1e-6)
            errors.append(((predicted[image, patch] - wanted) ** 2).mean())
    assert len(errors) == 3 * 12
    assert loss.item() == pytest.approx(np.mean(errors), rel=1e-5)


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum()


def test_dino_loss_is_the_cross_entropy_of_all_pairs_of_different_views() -> None:
    random = np.random.default_rng(0)
    teacher, student = random.normal(size=(2, 5, 7)), random.normal(size=(4, 5, 7))
    wanted = []
    for t in range(2):
        for s in range(4):
            for image in range(5):
                if s != t:
                    p = softmax(teacher[t, image] / 0.04)
                    wanted.append(-(p * np.log(softmax(student[s, image] / 0.1))).sum())
    loss = view_loss(
        list(torch.tensor(teacher)), list(torch.tensor(student)), settings=DinoSettings()
    )
    assert loss.item() == pytest.approx(np.mean(wanted), rel=1e-5)


@pytest.fixture
def masked() -> SelfDistillation:
    method = DinoSettings(**SMALL_HEAD, masked=0.25, groups=4, patches=3.0)
    return SelfDistillation(vision_transformer(dynamic_img_size=True), method).train()


def test_teacher_patch_outputs_use_all_blocks(
    masked: SelfDistillation,
) -> None:
    drawn, made = images(3), []
    teacher = masked.teacher
    for block in teacher.encoder.blocks:
        block.register_forward_hook(lambda _, __, tokens: made.append(tokens.double().numpy()))
    with torch.no_grad():
        logits, targets = teacher.with_patches([drawn])
        assert torch.equal(logits, teacher([drawn]))
    made = made[: len(teacher.encoder.blocks)]
    normed = [
        (m - m.mean(-1, keepdims=True)) / np.sqrt(m.var(-1, keepdims=True) + 1e-5) for m in made
    ]
    mean = torch.tensor(np.mean(normed, axis=0)[:, 1:]).float()  # without the class token
    with torch.no_grad():
        wanted = teacher.patch_head(mean.flatten(0, 1)).reshape(3, 16, 4, 4)
    torch.testing.assert_close(targets, wanted, atol=1e-5, rtol=1e-4)


def test_equal_views_are_encoded_once(masked: SelfDistillation) -> None:
    first, other = images(4, 1), images(4, 2)
    second = torch.where(torch.tensor([True, False, True, True])[:, None, None, None], first, other)
    views, encoded = [first, second, first], []
    unique, indices = unique_views(views)
    assert len(unique) == 5
    assert torch.equal(unique[indices], torch.cat(views))
    teacher = masked.teacher
    teacher.encoder.blocks[0].register_forward_hook(
        lambda _module, _inputs, tokens: encoded.append(len(tokens))
    )
    with torch.no_grad():
        logits, targets = teacher.with_patches(views)
        torch.testing.assert_close(logits, teacher(views))
    assert encoded == [5, 12]
    assert torch.equal(targets[:4], targets[8:])
    assert torch.equal(targets[[0, 2, 3]], targets[[4, 6, 7]])
    assert not torch.allclose(targets[1], targets[5])


def test_patch_loss_is_that_of_masked_patches_centred_per_position(
    masked: SelfDistillation,
) -> None:
    views = [images(4, 1), images(4, 2)]
    masked.patch_centre.normal_()
    centre = masked.patch_centre.double().numpy().copy()
    total = seeded(lambda: masked(views)).item()
    student, decoder = masked.student, masked.decoder
    tokens, kept = seeded(
        lambda: encode_visible(student.encoder, decoder.dropout, torch.cat(views))
    )
    with torch.no_grad():
        logits, targets = masked.teacher.with_patches(views)
        predictions = student.patch_logits(decoder(tokens, kept)).double().numpy()
        loss_of_crops = view_loss(
            logits.chunk(2),  # the centre was 0
            student.head(student.encoder.forward_head(tokens)).chunk(2),
            settings=masked.settings,
        ).item()
    targets = targets.double().numpy()
    wanted = [
        -(
            softmax((targets[image, patch, group] - centre[patch, group]) / 0.04)
            * np.log(softmax(predictions[image, patch, group] / 0.1))
        ).sum()
        for image in range(8)
        for patch in set(range(16)) - set(kept[image].tolist())
        for group in range(4)
    ]
    assert len(wanted) == 8 * 4 * 4  # a quarter of 16 patches, 4 groups
    assert total - loss_of_crops == pytest.approx(3 * np.mean(wanted), rel=1e-4)
    expected = 0.9 * centre + 0.1 * targets.mean(0)
    np.testing.assert_allclose(masked.patch_centre.numpy(), expected, atol=1e-5)


def test_centre_is_a_moving_average_of_teacher_outputs(distillation: SelfDistillation) -> None:
    views = [images(4, 1), images(4, 2)]
    teacher = distillation.teacher
    with torch.no_grad():
        mean = torch.cat([teacher.head(teacher.encoder(view)) for view in views]).mean(0)
    distillation(views)
    torch.testing.assert_close(distillation.centre, 0.1 * mean)  # of 0, with momentum 0.9


def test_teacher_is_a_moving_average_of_the_student(distillation: SelfDistillation) -> None:
    distillation([images(4, 1), images(4, 2), images(4, 3)[:, :, :16, :16]]).backward()
    assert all(weight.grad is None for weight in distillation.teacher.parameters())
    student = distillation.student.encoder.blocks[0].mlp.fc1.weight
    teacher = distillation.teacher.encoder.blocks[0].mlp.fc1.weight
    assert student.grad.abs().max() > 0
    before = teacher.clone()
    with torch.no_grad():
        student.add_(1.0)
    distillation.after_step(1.0)  # momentum 1 in the end
    assert torch.equal(teacher, before)
    distillation.after_step(0.0)
    torch.testing.assert_close(teacher, before + (1 - 0.996), rtol=0, atol=1e-6)
    distillation.after_step(0.5)
    torch.testing.assert_close(teacher, before + 1 - 0.996 * 0.998, rtol=0, atol=1e-6)


def test_last_layer_is_frozen_at_first_and_weight_normalised(
    distillation: SelfDistillation,
) -> None:
    head = distillation.student.head
    optimiser = torch.optim.SGD(distillation.parameters(), lr=1.0)
    views = [images(4, 1), images(4, 2)]
    for done, moves in [(0.0, False), (0.019, False), (0.5, True)]:
        before = head.last.weight.clone()
        optimiser.zero_grad()
        distillation(views).backward()
        distillation.before_step(done)
        optimiser.step()
        assert torch.equal(before, head.last.weight) != moves
        lengths = head.last.weight.norm(dim=1)
        torch.testing.assert_close(lengths, torch.ones_like(lengths))


@pytest.mark.parametrize("method", METHODS)
def test_bfloat16_changes_the_loss_by_rounding_only(
    method: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = untrained_method(recipe(tmp_path, **method)).train()
    views = [images(4, 1)] if "mae" in method else [images(4, 1), images(4, 2)]
    exact = seeded(lambda: copy.deepcopy(trained)(views))
    monkeypatch.setattr(optimisation, "cpu_flags", lambda: frozenset({"avx512_bf16"}))
    with optimisation.mixed_precision(trained, torch.device("cpu")):
        rounded = seeded(lambda: trained(views))
    rounded.backward()
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=0.05)
    assert rounded.item() != exact.item()
    gradients = [weight.grad for weight in trained.parameters() if weight.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_cpus_without_bfloat16_units_use_float32(
    autoencoder: MaskedAutoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = seeded(lambda: copy.deepcopy(autoencoder)([images(4)]))
    monkeypatch.setattr(optimisation, "cpu_flags", lambda: frozenset({"avx512f", "avx512_vnni"}))
    cpu = torch.device("cpu")
    with optimisation.mixed_precision(autoencoder, cpu):
        assert torch.equal(seeded(lambda: autoencoder([images(4)])), exact)
    assert not optimisation.multiplies_bfloat16(cpu)
    assert optimisation.multiplies_bfloat16(torch.device("cuda"))


@pytest.mark.skipif(not shutil.which("lscpu"), reason="there is no lscpu to compare with")
def test_processor_flags_equal_those_of_lscpu() -> None:
    lines = subprocess.run("lscpu", capture_output=True, text=True, check=True).stdout.splitlines()
    fields = {
        key.strip(): value.split() for key, _, value in (line.partition(":") for line in lines)
    }
    assert cpu_flags() == set(fields.get("Flags", []))


def test_dino_views_are_two_global_and_several_local_crops() -> None:
    views = dino_views(DinoSettings(local_crops=3, local_size=16), 32, flip=True)
    drawn = torch.randint(0, 256, (5, 3, 64, 64), dtype=torch.uint8)
    shapes = [tuple(view.shape) for view in seeded(lambda: views(drawn))]
    assert shapes == [(5, 3, 32, 32)] * 2 + [(5, 3, 16, 16)] * 3
    again = seeded(lambda: views(drawn))
    assert all(torch.equal(a, b) for a, b in zip(again, seeded(lambda: views(drawn)), strict=True))
    assert not torch.equal(again[0], again[1])


def test_view_without_crop_and_flip_is_the_image() -> None:
    drawn = torch.randint(0, 256, (30, 3, 32, 32), dtype=torch.uint8)
    (view,) = crop_view(32, smallest_crop=1.0, flip=False)(drawn)
    assert torch.equal(view, drawn)
    (flipped,) = seeded(lambda: crop_view(32, smallest_crop=1.0, flip=True)(drawn))
    mirrored = [torch.equal(a, b.flip(-1)) for a, b in zip(flipped, drawn, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(flipped, drawn, strict=True)]
    assert any(mirrored) and any(same)
    assert all(m != s for m, s in zip(mirrored, same, strict=True))


def test_generated_image_does_not_depend_on_the_batch(weights: Config) -> None:
    path, device = RunPaths(weights).weights(weights.pivot), torch.device("cpu")
    generator = load_generator(weights.pivot, path, device=device)
    source = GeneratedImages(generator, seed=5, device=device)
    batch, alone = source.batch(range(2, 6)), source.batch(range(4, 5))
    assert batch.shape == (4, 3, 64, 64)
    assert (batch[2:3].int() - alone.int()).abs().max() <= 1  # rounding depends on the batch
    assert not torch.equal(batch[0], batch[1])


def write_images(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        Image.new("RGB", (40, 36), (number, 2 * number, 3 * number)).save(path)
    return paths


def test_every_epoch_has_all_images_in_its_own_order(tmp_path: Path) -> None:
    source = FolderImages(write_images(tmp_path / "images", 7), size=32, seed=1)
    drawn = source.batch(range(21))
    assert drawn.shape == (21, 3, 32, 32)
    epochs = drawn[:, 0, 0, 0].reshape(3, 7).tolist()
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert torch.equal(source.batch(range(9, 12)), drawn[9:12])


@pytest.mark.parametrize("method", METHODS)
def test_resumed_training_ends_as_an_uninterrupted_one(
    method: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path / "images", 20)
    uninterrupted = train_encoder(recipe(tmp_path, **method))
    stopped = recipe(tmp_path, **method, results=str(tmp_path / "stopped"))
    batch = FolderImages.batch

    def killed(self: FolderImages, numbers: range) -> Tensor:
        if numbers.start == 4 * 5:
            raise KeyboardInterrupt
        return batch(self, numbers)

    monkeypatch.setattr(FolderImages, "batch", killed)
    with pytest.raises(KeyboardInterrupt):
        train_encoder(stopped)
    assert [path.name for path in (tmp_path / "stopped/small").iterdir()] == ["checkpoint.pt"]
    asked: list[range] = []

    def noted(self: FolderImages, numbers: range) -> Tensor:
        asked.append(numbers)
        return batch(self, numbers)

    monkeypatch.setattr(FolderImages, "batch", noted)
    torch.manual_seed(12345)  # earlier random numbers have no effect
    folder = train_encoder(stopped)
    assert asked[:2] == [range(16, 20), range(20, 24)]  # only the remaining steps
    name = "encoder.safetensors"
    assert (folder / name).read_bytes() == (uninterrupted / name).read_bytes()
    columns = [
        [row.split(",")[:3] for row in (place / "losses.csv").read_text().splitlines()]
        for place in (folder, uninterrupted)
    ]
    assert columns[0] == columns[1]
    assert not (folder / "checkpoint.pt").exists()


def test_checkpoint_of_another_recipe_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path / "images", 20)
    method = {"mae": {}}
    with monkeypatch.context() as patch:
        patch.setattr("rosetta_core.training.optimisation.Step", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train_encoder(recipe(tmp_path, **method))
    state = {"recipe": "another", "steps": [], "method": {}, "optimiser": {}}
    save_state(tmp_path / "results/small/checkpoint.pt", state)
    with pytest.raises(RosettaError, match=r"checkpoint.pt: belongs to another recipe; delete it"):
        train_encoder(recipe(tmp_path, **method))
    (tmp_path / "results/small/checkpoint.pt").write_bytes(b"PK\x03\x04 torn")
    with pytest.raises(RosettaError, match=r"checkpoint.pt: cannot be read; delete it"):
        train_encoder(recipe(tmp_path, **method))


def test_nan_loss_is_an_error_of_one_line(tmp_path: Path) -> None:
    write_images(tmp_path / "images", 20)
    with pytest.raises(
        RosettaError, match=r"small: loss is NaN or infinite at step \d; lower learning"
    ):
        train_encoder(recipe(tmp_path, mae={}, learning_rate=1e30, warmup=0.0))
    assert not (tmp_path / "results/small/encoder.safetensors").exists()


def test_learning_rate_rises_and_falls_along_a_cosine(tmp_path: Path) -> None:
    write_images(tmp_path / "images", 20)
    folder = train_encoder(recipe(tmp_path, mae={}, steps=20, warmup=0.2, learning_rate=0.01))
    rows = [row.split(",") for row in (folder / "losses.csv").read_text().splitlines()]
    assert rows[0] == ["step", "loss", "learning_rate", "seconds"]
    rates = [float(row[2]) for row in rows[1:]]
    rising = [0.01 * step / 4 for step in range(4)]
    falling = [0.005 * (1 + math.cos(math.pi * step / 20)) for step in range(4, 20)]
    assert rates == pytest.approx([*rising, *falling], rel=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_trained_weights_are_those_of_the_timm_network(method: dict, tmp_path: Path) -> None:
    write_images(tmp_path / "images", 20)
    folder = train_encoder(recipe(tmp_path, **method))
    state = load_file(folder / "encoder.safetensors")
    assert state.keys() == vision_transformer().state_dict().keys()
    assert {value.dtype for value in state.values()} == {torch.float16}


def test_masked_autoencoder_learns(weights: Config, tmp_path: Path) -> None:
    content = recipe(
        tmp_path,
        mae={},
        images={},
        resources=weights.resources,
        steps=80,
        batch_size=16,
        learning_rate=3e-3,
    )
    rows = (train_encoder(content) / "losses.csv").read_text().splitlines()[1:]
    losses = [float(row.split(",")[1]) for row in rows]
    # predicting the mean colour of each patch would give 1 (less one degree of freedom)
    assert np.mean(losses[-10:]) < 0.85
    assert losses[0] > 1


def refused(tmp_path: Path, capsys: pytest.CaptureFixture, text: str) -> str:
    """Return the one line with which `rosetta train` refuses a recipe."""
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    before = sorted(tmp_path.rglob("*"))
    assert main(["train", str(path)]) == 2
    assert sorted(tmp_path.rglob("*")) == before  # nothing half-written
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


WHOLE = "name: x\narchitecture: vit_tiny_patch16_224\nsteps: 5\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WHOLE, "give one of mae and dino"),
        (WHOLE + "mae: {}\ndino: {}\n", "give one of mae and dino"),
        (WHOLE + "mea: {}\n", "mea: unknown key (did you mean 'mae' or"),
        (WHOLE + "mae: {mask: 0.5}\n", "mae.mask: unknown key (did you mean 'masked'?)"),
        (WHOLE + "mae: {masked: 1.5}\n", "mae.masked: "),
        (WHOLE + "dino: {outputs: 10, groups: 4}\n", "outputs must be a multiple of groups"),
        (
            WHOLE + "dino: {masked: 0.5, global_size: 48}\n",
            "global_size must be null where patches are masked",
        ),
        (WHOLE + "mae: {decoder_heads: 5}\n", "decoder_width must be a multiple of 4 and of dec"),
        (WHOLE + "mae: {}\nimages: {folder: photos}\n", "give a generator or a folder"),
        (WHOLE + "mae: {}\nimages: {generator: null}\n", "give a generator or a folder"),
        (
            WHOLE + "mae: {}\nimages: {generator: resnet50}\n",
            "generator: resnet50 is an encoder (family ",
        ),
        (WHOLE + "mae: {}\nbatch_size: 1\n", "batch_size: "),
        (
            WHOLE + "dino: {jitter: [0, 0, 0, 0.7]}\n",
            "dino.jitter: hue, the last value, is 0.7; give at most 0.5",
        ),
        (
            WHOLE + "dino: {local_scale: [0.5, 0.2]}\n",
            "dino.local_scale: [0.5, 0.2] is not a range",
        ),
        (WHOLE + "mae: {}\nbetas: [0.9, 1.0]\n", "betas[1]: "),
        ("mae: {}\nname: ../x\n", "name: '../x' is not a name"),
        ("[1]", "expected keys and values"),
    ],
)
def test_invalid_recipe(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert message in refused(tmp_path, capsys, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images: {generator: null, folder: photos}\n", "images.folder: there is no folder photos"),
        ("architecture: resnet50\n", "architecture: resnet50 is not a plain vision transformer"),
        ("architecture: vit_tiny\n", "timm: unknown architecture 'vit_tiny'"),
        (
            "arguments: {img_size: 64}\n",
            "arguments: the network has a classifier; add num_classes: 0",
        ),
        (
            "dino: {local_size: 20}\nmae: null\n",
            "dino.local_size: 20 is not a multiple of the patch",
        ),
        (
            "dino: {global_size: 20}\nmae: null\n",
            "dino.global_size: 20 is not a multiple of the pat",
        ),
        ("arguments: {img_size: [32, 64], num_classes: 0}\n", "arguments: img_size is 32×64; give"),
        ("arguments: {depth: x, num_classes: 0}\n", "cannot be built with arguments"),
    ],
)
def test_recipe_that_does_not_fit_its_network(
    text: str,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {line.partition(":")[0]: line for line in (WHOLE + "mae: {}\n" + text).splitlines()}
    given.setdefault("arguments", "arguments: {num_classes: 0}")
    given["results"] = f"results: {tmp_path / 'results'}"
    assert message in refused(tmp_path, capsys, "\n".join(given.values()))


def test_damaged_output_folder(
    tmp_path: Path,
) -> None:
    write_images(tmp_path / "images", 20)
    folder = train_encoder(recipe(tmp_path, mae={}))
    (folder / "losses.csv").write_text("junk")
    with pytest.raises(RosettaError, match=r"small: is damaged \(.*\); delete it to train again"):
        train_encoder(recipe(tmp_path, mae={}))
    with pytest.raises(
        RosettaError, match=r"encoder.safetensors: belongs to another recipe; delete"
    ):
        train_encoder(recipe(tmp_path, mae={}, seed=2))
    (folder / "encoder.safetensors").write_bytes(b"junk")
    with pytest.raises(RosettaError, match=r"encoder.safetensors: cannot be read; delete"):
        train_encoder(recipe(tmp_path, mae={}))


def test_unreadable_image_is_found_before_training(tmp_path: Path) -> None:
    write_images(tmp_path / "images", 20)[7].write_text("no image")
    with pytest.raises(RosettaError, match=r"7.png: not an image that Pillow reads"):
        train_encoder(recipe(tmp_path, mae={}, resources=str(tmp_path / "resources")))
    assert not (tmp_path / "results").exists()


def test_docs_list_every_key_of_a_recipe() -> None:
    text = (ROOT / "docs/reference/training-recipe.md").read_text()
    sections = [Recipe, ImageSettings, MaeSettings, DinoSettings, ProbeSettings]
    keys = {key for section in sections for key in section.model_fields}
    named = set(re.findall(r"`(\w+)`", text)) | set(re.findall(r"^(\w+):", text, re.MULTILINE))
    assert keys - named <= {"results", "resources", "device"}  # as in every configuration
