"""Latent spaces w and w+: of each family of style-based generators."""

from copy import deepcopy

import pytest
import torch
from golden import Golden, golden_names

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.generators.stylegan2 import generator as stylegan2
from rosetta_core.zoo.generators.stylegan2 import rosinality as stylegan2_rosinality
from rosetta_core.zoo.generators.stylegan3 import generator as stylegan3
from rosetta_core.zoo.generators.stylegan3 import stylegan_xl
from rosetta_core.zoo.network import Generator

NAMES = [
    name for family in ("stylegan2", "stylegan3", "styleganxl") for name in golden_names(family)
]


def generator(name: str, *, truncation: float = 0.7) -> Generator:
    """The small network of a golden, with random weights."""
    about = Golden(name).about
    arguments = dict(about["init_kwargs"])
    if about["family"] == "styleganxl":
        arguments |= {
            "stages": about["init_stages"] or [],
            "class_embedding_shape": about["class_embedding_shape"],
        }
        return stylegan_xl.build(arguments=arguments, truncation=truncation)
    if about["family"] == "stylegan3":
        return stylegan3.build(arguments=arguments, truncation=truncation)
    if "size" in arguments:
        arguments["channels"] = about["channels_per_resolution"]
        return stylegan2_rosinality.build(arguments=arguments)
    return stylegan2.build(arguments=arguments, truncation=truncation)


CONDITIONAL = [name for name in NAMES if Golden(name).about["init_kwargs"].get("c_dim")]


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_class_must_be_one_of_the_generators(name: str) -> None:
    built = generator(name)
    z, count = built.sample_latents([1, 2]), built.classes
    wrong = {
        None: f"give a class from 0 to {count - 1}",
        count: f"{count} is out of range; give a class from 0 to {count - 1}",
        -1: f"-1 is out of range; give a class from 0 to {count - 1}",
    }
    for label, problem in wrong.items():
        classes = None if label is None else torch.tensor([0, label])
        for takes in (
            built.generate,
            built.latent_space("w").from_z,
            built.latent_space("w+").from_z,
        ):
            with pytest.raises(RosettaError, match=problem) as caught:
                takes(z, classes)
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("space", ["w", "w+"])
@pytest.mark.parametrize("name", NAMES)
def test_a_copy_draws_with_its_own_network(name: str, space: str) -> None:
    torch.manual_seed(0)
    built = generator(name)
    built.network.eval()
    z = built.sample_latents([1, 2])
    classes = torch.tensor([0, built.classes - 1]) if built.classes else None
    copy = deepcopy(built)
    with torch.no_grad():
        for parameter in copy.network.parameters():
            parameter.mul_(1.1)
        images = {}
        for its in (built, copy):
            latents = its.latent_space(space).from_z(z, classes)
            images[its is copy] = its.latent_space(space).generate(latents, classes)
            assert torch.allclose(images[its is copy], its.generate(z, classes), atol=1e-5)
    assert not torch.allclose(images[True], images[False], atol=1e-3)
