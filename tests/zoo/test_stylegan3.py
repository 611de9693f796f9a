"""StyleGAN3 is equivariant where the paper says so, and its files say how to build it.

What it has in common with StyleGAN-XL is in test_alias_free.py.
"""

import json

import pytest
import torch
from alias_free import assert_pickle_is_its_golden
from golden import FOLDER, Golden, golden_names

from rosetta_core.zoo.generators.stylegan3.generator import ARCHITECTURES, arguments_of, build
from rosetta_core.zoo.weights.pickles.networks import read_pickled_network

ROTATING = [
    name
    for name in golden_names("stylegan3")
    if (about := Golden(name).about["init_kwargs"]).get("use_radial_filters")
    and about.get("conv_kernel") == 1
]
PICKLES = [
    path.stem
    for path in sorted(FOLDER.glob("pickle_structure_*.json"))
    if json.loads(path.read_text())["golden"] in golden_names("stylegan3")
]


@pytest.mark.parametrize("name", ROTATING)
@torch.no_grad()
def test_configuration_r_rotates_the_image_with_its_input(name: str) -> None:
    """By a quarter turn it is exact: all of its filters are symmetric."""
    golden = Golden(name)
    network = build(arguments=golden.about["init_kwargs"]).network
    network.load_state_dict(golden.under("state"))
    ws, transform = golden.array("in/wplus"), network.synthesis.input.transform
    still = network.synthesis(ws)
    transform.copy_(transform @ torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]))
    turned = network.synthesis(ws)
    expected = still.rot90(1, (2, 3))
    assert (turned - expected).norm() < 1e-4 * expected.norm()
    assert (still - expected).norm() > 0.1 * expected.norm()


@pytest.mark.parametrize("resolution", [1024, 512, 256])
def test_configuration_r_has_twice_the_channels_and_1x1_convolutions(resolution: int) -> None:
    t, r = ARCHITECTURES[f"t-{resolution}"], ARCHITECTURES[f"r-{resolution}"]
    with torch.device("meta"):
        layers = {name: build(name.format(resolution)) for name in ("t-{}", "r-{}")}
    assert r["channel_base"] == 2 * t["channel_base"]
    for name, side in {"t-{}": 3, "r-{}": 1}.items():
        synthesis = layers[name].network.synthesis
        sides = [synthesis.get_submodule(n).weight.shape[2:] for n in synthesis.layer_names]
        assert set(sides[:-1]) == {(side, side)}
        assert sides[-1] == (1, 1)
    wide, narrow = (layers[name].network.synthesis.input.signal for name in ("r-{}", "t-{}"))
    assert wide.channels == 2 * narrow.channels


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_holds_the_arguments_and_weights_of_its_network(name: str) -> None:
    assert_pickle_is_its_golden(name, arguments_of=arguments_of, build=build)


def test_networks_of_other_families_are_left_to_them() -> None:
    others = [path for path in FOLDER.glob("pickle_structure_*.pkl") if path.stem not in PICKLES]
    assert [arguments_of(read_pickled_network(path)) for path in others] == [None] * len(others)
