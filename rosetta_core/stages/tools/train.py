"""Self-supervised training of an encoder from a recipe.

The output folder holds the weights, the loss curve, the probes and a model card. Imports stand
inside the functions, since torch takes seconds.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path, file_sha256
from rosetta_core.runs.paths import weights_file
from rosetta_core.runtime.progress import log
from rosetta_core.training.recipe import DinoSettings, Recipe, fingerprint
from rosetta_core.zoo.model_spec import EncoderSpec, ModelSpec
from rosetta_core.zoo.weights.local import SHIPPED
from rosetta_core.zoo.weights.sources import RemoteWeights

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from rosetta_core.training.construction import Method
    from rosetta_core.training.images import ImageSource
    from rosetta_core.zoo.network import Encoder, Network

__all__ = ["train_encoder"]

BATCH = 64  # images per batch of the probes


def train_encoder(recipe: Recipe) -> Path:
    """Train an encoder; return the folder with its weights, loss curve, probes and model card.

    An interrupted training resumes from its last checkpoint. If the training is finished, only
    probes and model card are computed again.

    Raises:
        RosettaError: the recipe does not fit its network, an image cannot be read, the folder
            holds another training, or the loss becomes NaN or infinite.
    """
    from rosetta_core.runtime.devices import resolve_device
    from rosetta_core.training.construction import build_method

    folder = Path(recipe.results) / recipe.name
    device = resolve_device(recipe.device)
    files, encoder = _image_files(recipe), _untrained_encoder(recipe)
    method = build_method(encoder, recipe.method, seed=recipe.seed)
    images = _image_source(recipe, files, size=encoder.input.sides[0], device=device)
    if _is_finished(recipe, folder):
        log.info("%s: already trained; only probes and model card are computed again", folder)
    else:
        _train(recipe, folder, encoder=encoder, method=method, images=images, device=device)
    numbers = _probe_images(recipe, files)
    probes = _probe(recipe, folder, images=images, numbers=numbers, device=device)
    with atomic_path(folder / "probes.csv") as temporary:
        probes.to_csv(temporary, index=False)
    card = _model_card(recipe, folder, files=files, probed=len(numbers), probes=probes)
    with atomic_path(folder / "card.md") as temporary:
        temporary.write_text(card, encoding="utf-8")
    return folder


def _untrained_encoder(recipe: Recipe) -> "Encoder":
    from rosetta_core.training.construction import build_encoder

    return build_encoder(
        recipe.architecture,
        recipe.arguments,
        seed=recipe.seed,
        any_size=isinstance(recipe.method, DinoSettings),
        name=recipe.name,
    )


def _is_finished(recipe: Recipe, folder: Path) -> bool:
    """Return whether a folder holds this recipe's encoder; RosettaError if another recipe's."""
    from safetensors import SafetensorError, safe_open

    path = folder / "encoder.safetensors"
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            stored = (file.metadata() or {}).get("recipe")
    except (OSError, SafetensorError) as error:
        raise RosettaError(f"{path}: cannot be read; delete {folder} to train again") from error
    if stored != fingerprint(recipe):
        raise RosettaError(
            f"{path}: belongs to another recipe; delete {folder} to train again, or give this "
            "training another name"
        )
    return True


def _train(
    recipe: Recipe,
    folder: Path,
    *,
    encoder: "Encoder",
    method: "Method",
    images: "ImageSource",
    device: "torch.device",
) -> None:
    """Train an encoder; write its loss curve, its machine, and at last its weights."""
    import torch
    from safetensors.torch import save

    from rosetta_core.training import optimisation
    from rosetta_core.training.construction import build_views
    from rosetta_core.training.model_card import this_machine, write_losses

    mean, std = (
        255 * torch.tensor(values, device=device)[:, None, None]
        for values in (encoder.input.mean, encoder.input.std)
    )
    folder.mkdir(parents=True, exist_ok=True)  # fails now rather than after the training
    method = method.to(device)
    checkpoint = folder / "checkpoint.pt"
    steps = optimisation.train(
        method,
        images,
        views=build_views(recipe.method, recipe.images, size=encoder.input.sides[0]),
        normalise=lambda view: (view.float() - mean) / std,
        steps=recipe.steps,
        batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        weight_decay=recipe.weight_decay,
        betas=recipe.betas,
        clip=recipe.clip,
        seed=recipe.seed,
        device=device,
        checkpoint=optimisation.Checkpoint(
            checkpoint, recipe=fingerprint(recipe), every=recipe.checkpoint_every
        ),
        name=recipe.name,
    )
    write_losses(steps, folder, label="squared error" if recipe.mae else "cross-entropy")
    with atomic_path(folder / "machine.json") as temporary:  # the card may be written elsewhere
        temporary.write_text(json.dumps(this_machine(device)._asdict(), indent=2) + "\n")
    state = method.encoder.state_dict()
    with atomic_path(folder / "encoder.safetensors") as temporary:
        halves = {name: value.half().cpu() for name, value in state.items()}
        temporary.write_bytes(save(halves, {"recipe": fingerprint(recipe)}))
    checkpoint.unlink(missing_ok=True)


def _probe_images(recipe: Recipe, files: Sequence[Path]) -> range:
    """Return the numbers of the probes' images: a generator's are those after the training's."""
    if files:  # of the first epoch, so that each is used once
        return range(min(recipe.probes.images, len(files)))
    first = recipe.steps * recipe.batch_size
    return range(first, first + recipe.probes.images)


def _probe(
    recipe: Recipe,
    folder: Path,
    *,
    images: "ImageSource",
    numbers: range,
    device: "torch.device",
) -> "pd.DataFrame":
    """Probe the encoder as it was written, the untrained encoder, and the pixels."""
    import torch
    from safetensors.torch import load_file

    from rosetta_core.training.labels import colour_labels, detect_landmarks, face_labels
    from rosetta_core.training.probes import encoder_features, pixel_features, probe_table
    from rosetta_core.zoo.network import Encoder

    batches = [numbers[i : i + BATCH] for i in range(0, len(numbers), BATCH)]
    pixels = torch.cat([images.batch(batch).cpu() for batch in batches]).permute(0, 2, 3, 1)
    labels = colour_labels(pixels.numpy())
    if recipe.probes.faces:
        detector = _load(EncoderSpec.model_validate("mtcnn_onet"), recipe, device=device)
        assert isinstance(detector, Encoder)
        labels |= face_labels(*detect_landmarks(detector, pixels))
    untrained, trained = _untrained_encoder(recipe), _untrained_encoder(recipe)
    trained.network.load_state_dict(load_file(folder / "encoder.safetensors"))
    for encoder in (untrained, trained):
        encoder.network.to(device)
    features = {
        "trained": encoder_features(trained, pixels),
        "untrained": encoder_features(untrained, pixels),
        "pixels": pixel_features(pixels),
    }
    return probe_table(features, labels)


def _model_card(
    recipe: Recipe,
    folder: Path,
    *,
    files: Sequence[Path],
    probed: int,
    probes: "pd.DataFrame",
) -> str:
    """Return the model card of a trained encoder, from the files in its folder."""
    import pandas as pd

    from rosetta_core.training.model_card import Facts, Machine, model_card
    from rosetta_core.training.probes import count_test_images

    file = folder / "encoder.safetensors"
    try:
        losses = pd.read_csv(folder / "losses.csv")
        trained = len(losses[["loss", "seconds"]]) * recipe.batch_size
        machine = Machine(**json.loads((folder / "machine.json").read_text()))
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise RosettaError(f"{folder}: is damaged ({error}); delete it to train again") from error
    sha256 = file_sha256(file)
    facts = Facts(
        parameters=sum(p.numel() for p in _untrained_encoder(recipe).network.parameters()),
        bytes=file.stat().st_size,
        sha256=sha256,
        images=min(trained, len(files)) if files else trained,
        tested=count_test_images(probed),
        machine=machine,
        shipped=SHIPPED.get(recipe.name) == sha256,
    )
    return model_card(recipe, facts, losses=losses, probes=probes)


def _image_files(recipe: Recipe) -> list[Path]:
    """Return the readable images of the recipe's folder; none if a generator is given."""
    from rosetta_core.io.image_files import check_images, list_images

    if recipe.images.folder is None:
        return []
    content = list_images(Path(recipe.images.folder), key="images.folder")
    for note in content.notes():
        log.warning("%s", note)
    cache = Path(recipe.resources) / "images"
    images = recipe.images
    check_images(content.images, cache, bit_depth=images.bit_depth, max_pixels=images.max_pixels)
    return content.images


def _image_source(
    recipe: Recipe, files: Sequence[Path], *, size: int, device: "torch.device"
) -> "ImageSource":
    from rosetta_core.training.images import FolderImages, GeneratedImages
    from rosetta_core.zoo.network import Generator

    spec = recipe.images.generator
    if spec is None:
        return FolderImages(
            files,
            size=size,
            seed=recipe.seed,
            bit_depth=recipe.images.bit_depth,
            max_pixels=recipe.images.max_pixels,
        )
    generator = _load(spec, recipe, device=device)
    if not isinstance(generator, Generator):
        raise RosettaError(
            f"images.generator: {spec.name} returns no images; give a generator, or a folder"
        )
    return GeneratedImages(generator, seed=recipe.seed, device=device)


def _load(model: ModelSpec, recipe: Recipe, *, device: "torch.device") -> "Network":
    """Download the weights of a model if needed, and load it."""
    from rosetta_core.zoo.loading import load
    from rosetta_core.zoo.weights.fetch import fetch

    path = weights_file(model, Path(recipe.resources))
    if path is not None and isinstance(model.weights, RemoteWeights):
        fetch(model.weights, path)
    return load(model, path, device=device, truncation=recipe.images.truncation)
