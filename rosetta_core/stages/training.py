"""The stage that teaches an encoder without labels; not part of the workflow, and of no run.

train    a vision transformer, as a recipe says, with its card

Imports stand inside the functions: torch takes seconds.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path, sha256_of
from rosetta_core.runs.paths import list_images, weights_file
from rosetta_core.runtime.progress import log
from rosetta_core.training.recipe import Recipe
from rosetta_core.zoo.model_spec import EncoderSpec, ModelSpec
from rosetta_core.zoo.weights.sources import SHIPPED, RemoteWeights

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from rosetta_core.training.images import TrainingImages
    from rosetta_core.zoo.network import Encoder as EncoderNetwork
    from rosetta_core.zoo.network import Network

__all__ = ["train"]

BATCH = 64  # images for the probes that are drawn at once


def train(recipe: Recipe) -> Path:
    """Train an encoder; return the folder with its weights, its losses, its probes and its card.

    A training that was stopped goes on from its last checkpoint. Of one that is finished only
    probes and card are made anew.
    """
    from rosetta_core.runtime.devices import resolve_device
    from rosetta_core.training.untrained import untaught

    folder = Path(recipe.results) / recipe.name
    device = resolve_device(recipe.device)
    files, encoder = _files(recipe), untaught(recipe)
    images = _images(recipe, files, size=encoder.input.size, device=device)
    if _finished(recipe, folder):
        log.info("%s: was trained already; only its probes and its card are made anew", folder)
    else:
        _teach(recipe, folder, encoder=encoder, images=images, device=device)
    numbers = _probed(recipe, files)
    probes = _probe(recipe, folder, images=images, numbers=numbers, device=device)
    with atomic_path(folder / "probes.csv") as temporary:
        probes.to_csv(temporary, index=False)
    card = _card(recipe, folder, files=files, probed=len(numbers), probes=probes)
    with atomic_path(folder / "card.md") as temporary:
        temporary.write_text(card, encoding="utf-8")
    return folder


def _finished(recipe: Recipe, folder: Path) -> bool:
    """Whether a folder holds this recipe's encoder; RosettaError if it holds another's."""
    from safetensors import SafetensorError, safe_open

    from rosetta_core.training.optimisation import fingerprint

    path = folder / "encoder.safetensors"
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            found = (file.metadata() or {}).get("recipe")
    except (OSError, SafetensorError) as error:
        raise RosettaError(f"{path}: can't be read; delete {folder} to begin anew") from error
    if found != fingerprint(recipe):
        raise RosettaError(
            f"{path}: is of another recipe; delete {folder} to begin anew, or give this training "
            "another name"
        )
    return True


def _teach(
    recipe: Recipe,
    folder: Path,
    *,
    encoder: "EncoderNetwork",
    images: "TrainingImages",
    device: "torch.device",
) -> None:
    """Train an encoder, and write its losses, the machine, and at last its weights."""
    import torch
    from safetensors.torch import save

    from rosetta_core.training.loss_curve import write_losses
    from rosetta_core.training.methods import method_of, views_of
    from rosetta_core.training.model_card import this_machine
    from rosetta_core.training.optimisation import fingerprint
    from rosetta_core.training.optimisation import train as run

    method = method_of(recipe, encoder).to(device)
    mean, std = (
        255 * torch.tensor(values, device=device)[:, None, None]
        for values in (encoder.input.mean, encoder.input.std)
    )
    folder.mkdir(parents=True, exist_ok=True)  # where none can be made, no hour is lost
    checkpoint = folder / "checkpoint.pt"
    steps = run(
        method,
        recipe,
        images=images,
        views=views_of(recipe, encoder.input.size),
        normalise=lambda view: (view.float() - mean) / std,
        checkpoint=checkpoint,
        device=device,
    )
    write_losses(steps, folder, label="squared error" if recipe.mae else "cross-entropy")
    with atomic_path(folder / "machine.json") as temporary:  # its card may be made anew elsewhere
        temporary.write_text(json.dumps(this_machine(device)._asdict(), indent=2) + "\n")
    state = method.encoder.state_dict()
    with atomic_path(folder / "encoder.safetensors") as temporary:
        halves = {name: value.half().cpu() for name, value in state.items()}
        temporary.write_bytes(save(halves, {"recipe": fingerprint(recipe)}))
    checkpoint.unlink(missing_ok=True)


def _probed(recipe: Recipe, files: Sequence[Path]) -> range:
    """The numbers of the images that are probed: of a generator those after the training's."""
    if files:  # none twice: of the first epoch
        return range(min(recipe.probes.images, len(files)))
    first = recipe.steps * recipe.batch_size
    return range(first, first + recipe.probes.images)


def _probe(
    recipe: Recipe,
    folder: Path,
    *,
    images: "TrainingImages",
    numbers: range,
    device: "torch.device",
) -> "pd.DataFrame":
    """What can be read out of the features of a trained encoder, as it was written."""
    import torch
    from safetensors.torch import load_file

    from rosetta_core.training.labels import detect_landmarks, labels_of_faces, labels_of_images
    from rosetta_core.training.probes import encoder_features, pixel_features, probe_table
    from rosetta_core.training.untrained import untaught
    from rosetta_core.zoo.network import Encoder as EncoderNetwork

    batches = [numbers[i : i + BATCH] for i in range(0, len(numbers), BATCH)]
    seen = torch.cat([images.batch(batch).cpu() for batch in batches]).permute(0, 2, 3, 1)
    labels = labels_of_images(seen.numpy())
    if recipe.probes.faces:
        detector = _loaded(EncoderSpec.model_validate("mtcnn_onet"), recipe, device=device)
        assert isinstance(detector, EncoderNetwork)
        labels |= labels_of_faces(*detect_landmarks(detector, seen))
    untrained, trained = untaught(recipe), untaught(recipe)
    trained.network.load_state_dict(load_file(folder / "encoder.safetensors"))
    for encoder in (untrained, trained):
        encoder.network.to(device)
    features = {
        "trained": encoder_features(trained, seen),
        "untrained": encoder_features(untrained, seen),
        "pixels": pixel_features(seen),
    }
    return probe_table(features, labels)


def _card(
    recipe: Recipe,
    folder: Path,
    *,
    files: Sequence[Path],
    probed: int,
    probes: "pd.DataFrame",
) -> str:
    """The card of a trained encoder, out of what lies in its folder."""
    import pandas as pd

    from rosetta_core.training.model_card import Facts, Machine, card
    from rosetta_core.training.probes import held_out
    from rosetta_core.training.untrained import untaught

    file = folder / "encoder.safetensors"
    try:
        losses = pd.read_csv(folder / "losses.csv")
        trained = len(losses[["loss", "seconds"]]) * recipe.batch_size
        machine = Machine(**json.loads((folder / "machine.json").read_text()))
    except (OSError, LookupError, TypeError, ValueError) as error:
        raise RosettaError(f"{folder}: is damaged; delete it to train anew ({error})") from error
    sha256 = sha256_of(file)
    facts = Facts(
        parameters=sum(p.numel() for p in untaught(recipe).network.parameters()),
        bytes=file.stat().st_size,
        sha256=sha256,
        images=min(trained, len(files)) if files else trained,
        tested=held_out(probed),
        machine=machine,
        shipped=SHIPPED.get(recipe.name) == sha256,
    )
    return card(recipe, facts, losses=losses, probes=probes)


def _files(recipe: Recipe) -> list[Path]:
    """The images of the recipe's folder, all of which can be read; none if a generator draws."""
    from rosetta_core.io.images import check_images

    if recipe.images.folder is None:
        return []
    files = list_images(Path(recipe.images.folder), key="images.folder")
    check_images(files, Path(recipe.resources) / "images")
    return files


def _images(
    recipe: Recipe, files: Sequence[Path], *, size: int, device: "torch.device"
) -> "TrainingImages":
    from rosetta_core.training.images import DrawnImages, FolderImages
    from rosetta_core.zoo.network import Generator

    generator = recipe.images.generator
    if generator is None:
        return FolderImages(files, size=size, seed=recipe.seed)
    drawn = _loaded(generator, recipe, device=device)
    if not isinstance(drawn, Generator):
        raise RosettaError(f"images.generator: {generator.name} draws no images")
    return DrawnImages(drawn, seed=recipe.seed, device=device)


def _loaded(model: ModelSpec, recipe: Recipe, *, device: "torch.device") -> "Network":
    """A network with its weights, which are fetched where they have to be."""
    from rosetta_core.zoo.loading import load
    from rosetta_core.zoo.weights.fetch import fetch

    path = weights_file(model, Path(recipe.resources))
    if path is not None and isinstance(model.weights, RemoteWeights):
        fetch(model.weights, path)
    return load(model, path, device=device, truncation=recipe.images.truncation)
