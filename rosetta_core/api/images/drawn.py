"""Images drawn by a generator."""

from collections.abc import Sequence

import numpy as np
import torch

from rosetta_core.api.arguments import whole_number
from rosetta_core.api.images.image_set import ImageSet
from rosetta_core.api.models import Model, check_evaluation, load_model
from rosetta_core.errors import RosettaError
from rosetta_core.mining.sampling.generator import draw_samples
from rosetta_core.zoo.encoders.preprocessing import to_bytes
from rosetta_core.zoo.generators.output import ImageChecks
from rosetta_core.zoo.network import Generator

__all__ = ["drawn_by", "sample"]


def sample(
    generator: Model | str, count: int, *, seed: int = 0, classes: Sequence[int] | None = None
) -> ImageSet:
    """Draw images from a generator; image i depends on the seed and i only.

    Args:
        generator: the generator, or its name; its truncation is set in `load_model`.
        count: number of images.
        seed: random seed.
        classes: classes to draw from, for a class-conditional generator; None for all.

    Raises:
        RosettaError: the model is not a generator, there is no such class, or what it returns are
            not images.
    """
    if isinstance(generator, str):
        generator = load_model(generator)
    if not isinstance(generator, Model):
        kind = type(generator).__name__
        raise RosettaError(f"sample: {kind} is not a model; use load_model or wrap")
    network = generator.network
    if not isinstance(network, Generator):
        raise RosettaError(f"{generator.name}: is not a generator; use images(…) for an encoder")
    whole_number("count", count)
    whole_number("seed", seed, least=0)
    check_evaluation(generator.name, network.network)
    if classes is not None and not network.classes:
        raise RosettaError(f"classes: {generator.name} has no classes; leave them out")
    wrong = [label for label in classes or () if not 0 <= label < network.classes]
    if wrong or (classes is not None and not len(classes)):
        raise RosettaError(f"classes: {list(classes or ())[:5]}; use 0 to {network.classes - 1}")
    checks = ImageChecks(generator.name, network.output_range, ranges=not generator.facts.random)
    arrays = draw_samples(
        network,
        range(count),
        title=f"sampling {generator.name}",
        seed=seed,
        classes=classes,
        checks=checks,
        threads=torch.get_num_threads(),
    )
    return ImageSet(
        arrays["images"],
        labels=arrays["classes"] if network.classes else None,
        label_names=tuple(f"class {label}" for label in range(network.classes)),
        latents=arrays["latents"],
        classes=arrays["classes"],
        seed=seed,
        generator=generator,
        drawn_from=None if classes is None else tuple(int(label) for label in classes),
    )


def drawn_by(samples: ImageSet, model: Model) -> bool:
    """Return whether a model draws these images: it drew them, or is equal to the model that did.

    Two models are equal if they have the same name, truncation and kind of module, with equal
    parameters, and draw the first image alike.
    """
    other = samples.generator
    if other is None or not isinstance(model.network, Generator):
        return False
    one, two = other.network.network, model.network.network
    if one is two:
        return True
    if (other.name, other.truncation, type(one)) != (model.name, model.truncation, type(two)):
        return False
    states = one.state_dict(), two.state_dict()
    return (
        states[0].keys() == states[1].keys()
        and all(torch.equal(value.cpu(), states[1][key].cpu()) for key, value in states[0].items())
        and _draws_alike(model.network, samples)
    )


@torch.no_grad()
def _draws_alike(generator: Generator, samples: ImageSet) -> bool:
    """Return whether a generator draws the first image, up to rounding."""
    assert samples.latents is not None and samples.classes is not None
    if samples.latents.shape[1:] != (generator.latent_size,):
        return False
    latents, classes = (
        torch.from_numpy(part[:1]).to(generator.device)
        for part in (samples.latents, samples.classes)
    )
    drawn = to_bytes(generator.generate(latents, classes if generator.classes else None))
    expected, found = samples.pixels[:1].astype(int), drawn.cpu().numpy()
    return found.shape == expected.shape and bool(np.abs(found - expected).max() <= 1)
