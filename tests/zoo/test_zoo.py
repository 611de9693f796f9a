"""Layers are found by pattern, maps caught as they are, and real weights do what they should."""

import numpy as np
import pytest
import torch
from conftest import tiny
from skimage import data
from torch import nn

from rosetta_core.config import parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths
from rosetta_core.zoo.encoders.preprocessing import preprocess, to_bytes
from rosetta_core.zoo.layers import select_layers
from rosetta_core.zoo.loading import build, layers_of, load
from rosetta_core.zoo.model_spec import Input
from rosetta_core.zoo.network import Encoder
from rosetta_core.zoo.probing import probe_layers
from rosetta_core.zoo.weights.assignment import Reading, load_weights
from rosetta_core.zoo.weights.local import FileWeights

CPU = torch.device("cpu")
PARTS = [f"blocks.{block}.{part}" for block in range(12) for part in ("conv", "act")]
NAMES = ["", "stem", "stem.act", "blocks", *PARTS]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        (["blocks.*.act"], [f"blocks.{i}.act" for i in range(12)]),
        (["*.act"], ["stem.act"]),
        (["**.act"], ["stem.act", *(f"blocks.{i}.act" for i in range(12))]),
        (["blocks.[23].act", "stem"], ["stem", "blocks.2.act", "blocks.3.act"]),
        (["blocks.1?.conv"], ["blocks.10.conv", "blocks.11.conv"]),
        (["blocks.1.act", "blocks.*.act"], [f"blocks.{i}.act" for i in range(12)]),
    ],
)
def test_patterns(patterns, expected) -> None:
    assert select_layers(NAMES, patterns) == expected


def test_a_pattern_without_a_match_names_near_ones() -> None:
    with pytest.raises(RosettaError, match=r"'blocks.2.atc' matches no module .*'blocks.2.act'"):
        select_layers(NAMES, ["stem", "blocks.2.atc"])


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.second, self.first, self.idle = nn.Conv2d(4, 5, 3), nn.Conv2d(3, 4, 3), nn.ReLU()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x):
        return self.act(self.second(self.act(self.first(x))))


def twice() -> Encoder:
    seen = Input(size=8, mean=[0.0] * 3, std=[1.0] * 3)
    return Encoder(network=Twice().eval(), preset=(), input=seen)


def test_layers_come_in_the_order_in_which_they_run() -> None:
    layers = probe_layers(twice(), ["second", "first"])
    assert [(x.name, x.channels, x.grid) for x in layers] == [
        ("first", 4, (6, 6)),
        ("second", 5, (4, 4)),
    ]


@pytest.mark.parametrize(("layer", "problem"), [("act", "more than once"), ("idle", "never runs")])
def test_ambiguous_and_idle_layers(layer: str, problem: str) -> None:
    with pytest.raises(RosettaError, match=problem):
        probe_layers(twice(), [layer])


def test_capture_sees_maps_before_an_inplace_activation_and_removes_its_hooks() -> None:
    model, seen = twice(), {}
    x = torch.randn(2, 3, 8, 8)
    with model.capture(["first"], receive=lambda name, maps: seen.update({name: maps.clone()})):
        model.network(x)
    assert seen["first"].min() < 0
    seen.clear()
    model.network(x)
    assert not seen


def test_prepare_crops_resizes_and_normalises() -> None:
    images = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    images[:, 2:6, 2:6] = torch.tensor([255, 102, 0], dtype=torch.uint8)
    seen = Input(size=4, crop=0.5, mean=[0.5, 0.4, 0.0], std=[0.5, 0.2, 1.0])
    out = preprocess(images, seen)
    assert out.shape == (1, 3, 4, 4)
    torch.testing.assert_close(out[0, :, 1, 1], torch.tensor([1.0, 0.0, 0.0]))
    assert out.amax() - out[:, 1:].amin() <= 1 + 1e-6  # nothing of the border is left
    whole = preprocess(images, seen.model_copy(update={"crop": 1.0, "size": 6}))
    assert whole[0, 0, 0, 0] == pytest.approx(-1, abs=0.1)


def test_to_bytes_rounds_and_clamps() -> None:
    images = torch.tensor([-1.0, 1.0, 0.0, 1.5, -1.01, 2 / 255 - 1]).reshape(1, 1, 1, 6)
    assert to_bytes(images.expand(1, 3, 1, 6))[0, 0, :, 0].tolist() == [0, 255, 128, 255, 0, 1]


def test_classifiers_call_the_cat_an_egyptian_cat(weights) -> None:
    cat = torch.from_numpy(data.chelsea()[:, 75:375].copy())[None]
    for name in ("efficientnet_lite0", "mobilenet_v2"):
        model = weights.model(name)
        encoder = load(model, RunPaths(weights).weights(model), device=CPU)
        with torch.no_grad():
            assert encoder.network(preprocess(cat, encoder.input)).argmax().item() == 285, name


def test_detector_finds_faces_in_faces_only(weights) -> None:
    model = weights.model("mtcnn_onet")
    onet = load(model, RunPaths(weights).weights(model), device=CPU)
    astronaut = data.astronaut()
    corners = [picture[:140, :140] for picture in (data.chelsea(), data.coffee())]
    crops = [astronaut[70:210, 150:290], astronaut[300:440, 300:440], *corners]
    with torch.no_grad():
        face = onet.network(preprocess(torch.from_numpy(np.stack(crops)), onet.input))[0][:, 1]
    assert face[0] > 0.9
    assert face[1:].max() < 0.5


def save(folder, state, name="w.pt"):
    torch.save(state, folder / name)
    return folder / name, FileWeights(file=str(folder / name))


def test_weights_by_name_by_order_and_under_an_entry(tmp_path) -> None:
    source, target = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
    nn.init.normal_(source.weight)
    renamed = {f"old_{k}": v for k, v in source.state_dict().items() if "num_batches" not in k}
    path, plain = save(tmp_path, {"step": 3, "model": renamed})
    weights = plain.model_copy(update={"entry": "model", "match": "order"})
    load_weights(target, path, Reading(weights=weights))
    torch.testing.assert_close(target.weight, source.weight)


@pytest.mark.parametrize(
    ("state", "problem"),
    [
        ({"weigth": torch.zeros(4), "bias": torch.zeros(4)}, "entry 'weight' is missing.*'weigth'"),
        ({"weight": torch.zeros(5), "bias": torch.zeros(4)}, r"'weight' has shape \(5,\)"),
        (
            {k: torch.zeros(4) for k in ("weight", "bias", "running_mean", "running_var", "more")},
            "'more' belongs to another network",
        ),
        ({"model": {"weight": torch.zeros(4)}}, "has no tensors.*; set entry: model"),
        ([1, 2], "holds a list"),
    ],
)
def test_wrong_weights(tmp_path, state, problem: str) -> None:
    path, weights = save(tmp_path, state)
    with pytest.raises(RosettaError, match=problem) as caught:
        load_weights(nn.BatchNorm2d(4), path, Reading(weights=weights))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("match", ["name", "order"])
def test_transposed_weights_are_refused(tmp_path, match: str) -> None:
    """They have as many numbers as the network's, but another shape."""
    path, weights = save(tmp_path, {"weight": torch.zeros(4, 3), "bias": torch.zeros(3)})
    chosen = weights.model_copy(update={"match": match})
    with pytest.raises(RosettaError, match=r"'weight' has shape \(4, 3\), .*\(3, 4\)") as caught:
        load_weights(nn.Linear(4, 3), path, Reading(weights=chosen))
    assert "\n" not in str(caught.value)


def test_transposed_tensors_are_loaded_by_their_elements(tmp_path) -> None:
    """A view of transposed memory has the elements of its shape, whatever their order in memory."""
    matrix = torch.arange(12.0).reshape(4, 3)
    path, weights = save(tmp_path, {"weight": matrix.T, "bias": torch.zeros(3)})
    target = nn.Linear(4, 3)
    load_weights(target, path, Reading(weights=weights))
    assert torch.equal(target.weight, matrix.T)


class Trap:
    def __reduce__(self):
        return print, ("code in the weights ran",)


def test_weights_that_carry_code_are_refused(tmp_path, capsys) -> None:
    path, weights = save(tmp_path, {"weight": Trap()})
    with pytest.raises(RosettaError, match=r"has no tensors \('weight' is a builtins.print\)"):
        load_weights(nn.BatchNorm2d(4), path, Reading(weights=weights))
    assert "ran" not in capsys.readouterr().out


def test_a_changed_file_is_refused(tmp_path, weights) -> None:
    model = weights.model("mtcnn_onet")
    content = bytearray(RunPaths(weights).weights(model).read_bytes())
    content[5000] ^= 1
    path = tmp_path / "onet.pt"
    path.write_bytes(content)
    with pytest.raises(RosettaError, match=r"SHA-256 is .* the configuration has 165bfbe42940"):
        load(model, path, device=CPU)


def test_a_network_without_a_preset_asks_for_layers() -> None:
    content = {"name": "x", "family": "torchvision", "architecture": "alexnet"}
    model = parse_config(tiny(encoders=[{**content, "weights": {"file": "x"}}])).encoders[0]
    with pytest.raises(RosettaError, match=r"x: layers is missing.*list-layers x --all"):
        layers_of(model, build(model))
