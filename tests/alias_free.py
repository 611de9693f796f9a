"""Configurations and attributes of StyleGAN3 and StyleGAN-XL in goldens, as the zoo names them."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from golden import FOLDER, Golden

from rosetta_core.zoo.generators.stylegan3.layers import SynthesisLayer
from rosetta_core.zoo.network import Generator
from rosetta_core.zoo.weights.pickles.networks import PickledModule, read_pickled_network


def golden_arguments(about: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that `build` takes for a golden or an entry of a table."""
    further = {"stages": about.get("init_stages") or about.get("stages"),
               "class_embedding_shape": about.get("class_embedding_shape")}  # fmt: skip
    return about["init_kwargs"] | {name: value for name, value in further.items() if value}


def attributes_of(layer: SynthesisLayer) -> dict[str, Any]:
    """What the reference implementation notes in a layer, from its plan."""
    plan = layer.plan
    before, after = plan.padding
    noted: dict[str, Any] = {"padding": [before, after, before, after]}
    for side, signal in {"in": plan.input, "out": plan.output}.items():
        noted[f"{side}_size"] = [signal.size, signal.size]
        for name in ("channels", "sampling_rate", "cutoff", "half_width"):
            noted[f"{side}_{name}"] = getattr(signal, name)
    names = ("is_torgb", "is_critically_sampled", "conv_kernel", "conv_clamp", "tmp_sampling_rate")
    names += ("up_factor", "up_taps", "down_factor", "down_taps", "down_radial")
    return noted | {name: getattr(plan, name) for name in names}


def assert_pickle_is_its_golden(
    name: str,
    *,
    arguments_of: Callable[[PickledModule], dict[str, Any] | None],
    build: Callable[..., Generator],
) -> None:
    """Fail unless a pickle holds the arguments and, bit by bit, the weights of its golden."""
    golden = Golden(json.loads((FOLDER / f"{name}.json").read_text())["golden"])
    module = read_pickled_network(FOLDER / f"{name}.pkl")
    arguments = arguments_of(module)
    assert arguments == golden_arguments(golden.about)
    network = build(arguments=arguments).network
    network.load_state_dict(module.state_dict())
    assert list(network.state_dict()) == list(module.state_dict())
    for entry, value in golden.under("state").items():
        assert torch.equal(network.state_dict()[entry], value), entry
