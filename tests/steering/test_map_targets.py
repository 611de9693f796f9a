"""Pairs are ordered by correlation, and encoder maps become standardised targets."""

import numpy as np
import pandas as pd
import pytest
import torch
from affine import affine_generator
from torch import nn

from rosetta_core.errors import RosettaError
from rosetta_core.steering.map_targets import EncoderView, encoder_targets, matched_pairs
from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.model_spec import Input
from rosetta_core.zoo.network import Encoder

ROSETTA = pd.DataFrame(
    {
        "model": ["a", "a", "b", "a", "a"],
        "pivot_unit": [4, 1, 0, 1, 0],
        "unit": [9, 8, 7, 3, 2],
        "corr": [0.5, 0.7, 0.9, 0.7, 0.7],
    }
)
BUDDIES = pd.DataFrame({"pivot_unit": [2, 3], "unit": [5, 6], "corr": [0.1, 0.2]})


def test_pairs_are_in_descending_order_of_correlation_then_of_units() -> None:
    pairs = matched_pairs("a", rosetta=ROSETTA, best_buddies=BUDDIES, pairs="rosetta")
    assert pairs.tolist() == [[0, 2], [1, 3], [1, 8], [4, 9]]
    pairs = matched_pairs("a", rosetta=ROSETTA, best_buddies=BUDDIES, pairs="best_buddies")
    assert pairs.tolist() == [[3, 6], [2, 5]]


@pytest.mark.parametrize(
    ("pairs", "kind"), [("rosetta", "Rosetta neurons"), ("best_buddies", "best buddies")]
)
def test_an_encoder_without_pairs_is_one_line(pairs, kind: str) -> None:
    with pytest.raises(RosettaError) as error:
        matched_pairs("c", rosetta=ROSETTA, best_buddies=BUDDIES[:0], pairs=pairs)
    assert str(error.value) == (
        f"c: the run has no {kind} with it to guide an inversion; raise neighbours.k or leave the "
        "encoder out"
    )


def small_view(pairs: list[list[int]]) -> EncoderView:
    """Two convolutions, with 4 and 2 units."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3, 2)).eval()
    rng = np.random.default_rng(0)
    units = pd.DataFrame(
        {
            "unit": np.arange(6),
            "layer": ["0"] * 4 + ["2"] * 2,
            "channel": [0, 1, 2, 3, 0, 1],
            "mean": rng.normal(size=6),
            "std": rng.uniform(0.5, 2, 6),
        }
    )
    input_ = Input(size=12, crop=1.0, mean=[0.5, 0.4, 0.3], std=[0.5, 0.2, 0.3])
    encoder = Encoder(network=network, input=input_, preset=("0", "2"))
    return EncoderView("small", encoder, units, np.array(pairs))


def test_targets_are_standardised_maps_of_the_paired_units() -> None:
    generator = affine_generator()
    pairs = [[6, 3], [1, 5], [0, 0], [6, 1], [2, 4]]
    view = small_view(pairs)
    images = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3)).astype(np.uint8)
    with torch.no_grad():
        inputs = preprocess(torch.from_numpy(images), view.encoder.input)
        maps = {"0": view.encoder.network[:1](inputs), "2": view.encoder.network(inputs)}
    found = {}
    for target in encoder_targets(view, images, generator=generator):
        assert torch.equal(target.weights, torch.ones(2, len(target.channels)))
        for channel, unit_maps in zip(target.channels, target.targets.unbind(1), strict=True):
            found.setdefault((target.layer, int(channel)), []).append(unit_maps)
    assert sum(map(len, found.values())) == len(pairs)
    for own, unit in pairs:
        layer, channel = generator.units.loc[own, ["layer", "channel"]]
        row = view.units.loc[unit]
        expected = (maps[row["layer"]][:, row["channel"]].double() - row["mean"]) / row["std"]
        assert any(
            one.shape == expected.shape and torch.allclose(one, expected, atol=1e-5)
            for one in found[layer, channel]
        )


def test_some_of_the_pairs_can_be_chosen() -> None:
    view = small_view([[6, 3], [1, 5]])
    images = np.zeros((1, 16, 16, 3), np.uint8)
    generator = affine_generator()
    (target,) = encoder_targets(view, images, generator=generator, pairs=np.array([[1, 5]]))
    assert (target.layer, target.channels.tolist()) == ("first", [1])
