"""StyleGAN-XL draws classes, grows in stages, and its files say how it grew.

What it has in common with StyleGAN3 is in test_alias_free.py.
"""

import json
from typing import Any

import pytest
import torch
from alias_free import assert_pickle_is_its_golden, attributes_of, golden_arguments
from golden import FOLDER, Golden, assert_near, golden_names
from torch import nn
from torch.nn import functional

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.generators.stylegan3.stylegan_xl import ARCHITECTURES, arguments_of, build
from rosetta_core.zoo.weights.pickles.networks import PickledModule, read_pickled_network

GOLDENS = golden_names("styleganxl")
CONDITIONAL = [name for name in GOLDENS if Golden(name).about["init_kwargs"]["c_dim"]]
PICKLES = [
    path.stem
    for path in sorted(FOLDER.glob("pickle_structure_*.json"))
    if json.loads(path.read_text())["golden"] in GOLDENS
]
SMALL = {
    "z_dim": 4,
    "c_dim": 3,
    "w_dim": 5,
    "img_resolution": 16,
    "img_channels": 3,
    "mapping_kwargs": {"rand_embedding": False, "num_layers": 3},
    "channel_base": 300,
    "channel_max": 4,
    "num_layers": 7,
    "conv_kernel": 1,
    "use_radial_filters": True,
    "class_embedding_shape": [6, 2],
}


def stage(img_resolution: int, head_layers: int, up_factor: int = 2) -> dict[str, int]:
    return {
        "img_resolution": img_resolution,
        "head_layers": head_layers,
        "up_factor": up_factor,
    }


CHAINS = [
    [stage(32, 7)],
    [stage(32, 4), stage(64, 6)],
    [stage(64, 5, 4), stage(128, 7)],
    [stage(32, 7), stage(64, 7), stage(128, 5)],
]


@pytest.mark.parametrize("name", CONDITIONAL)
@torch.no_grad()
def test_each_class_has_a_mean_and_integers_are_one_hot_rows(name: str) -> None:
    golden = Golden(name)
    generator = build(arguments=golden_arguments(golden.about), truncation=0.0)
    network = generator.network
    network.load_state_dict(golden.under("state"))
    classes = torch.tensor([generator.classes - 1, 0])
    rows = functional.one_hot(classes, generator.classes).float()
    latents = generator.sample_latents([3, 4])
    w = generator.latent_space("w").from_z(latents, classes)
    assert_near(w, golden.array("state/mapping.w_avg")[classes], family="latents")
    images = network.synthesis(network.mapping(latents, rows, truncation_psi=0.0))
    assert torch.equal(generator.generate(latents, classes), images)
    whole = network.mapping(latents, rows)
    halves = network.mapping(latents, rows, truncation_psi=0.5)
    assert_near(halves[:, 0], (w + whole[:, 0]) / 2, family="latents")


def test_a_class_must_be_named_and_without_classes_there_is_one_mean() -> None:
    conditional = build(arguments=SMALL)
    with pytest.raises(RosettaError, match="give a class from 0 to 2"):
        conditional.generate(conditional.sample_latents([1]), None)
    single = build(arguments=SMALL | {"c_dim": 0}, truncation=0.5)
    assert single.network.mapping.w_avg.shape == (5,)
    assert not [name for name in single.network.state_dict() if "embed" in name]
    assert single.generate(single.sample_latents([1]), None).shape == (1, 3, 16, 16)


@pytest.mark.parametrize("stages", CHAINS)
@torch.no_grad()
def test_stages_keep_the_stem_and_end_at_their_resolution(stages) -> None:
    """Three layers go, `head_layers` + 1 come, numbered from one more than are left."""
    stem = build(arguments=SMALL).network.synthesis
    names = stem.layer_names
    for number in range(1, len(stages) + 1):
        before = names
        generator = build(arguments=SMALL | {"stages": stages[:number]})
        synthesis = generator.network.synthesis
        names = synthesis.layer_names
        kept = len(before) - 3
        assert names[:kept] == before[:kept]
        numbers = [int(name[1:].split("_")[0]) for name in names[kept:]]
        assert numbers == list(range(kept + 1, kept + 2 + stages[number - 1]["head_layers"]))
        first = synthesis.get_submodule(names[kept]).plan
        assert first.output == first.input == synthesis.get_submodule(names[kept - 1]).plan.output
        side = stages[number - 1]["img_resolution"]
        image = generator.generate(generator.sample_latents([1]), torch.tensor([2]))
        assert image.shape == (1, 3, side, side)
    assert next(iter(generator.network.state_dict())).startswith("mapping.")
    assert next(iter(stem.state_dict())).startswith("input.")


def as_file(arguments: dict[str, Any]) -> PickledModule:
    """A network of stages as a file holds it: its constructor was given the file before it."""
    network = build(arguments=arguments).network

    def persisted(module: nn.Module, class_name: str, **kept: Any) -> PickledModule:
        return PickledModule(
            **{"class_name": class_name, "positional": (), "arguments": {}, "attributes": {}}
            | {"buffers": {}, "transient": frozenset(), "modules": {}}
            | {"parameters": dict(module.named_parameters(recurse=False))}
            | kept
        )

    stem = {
        name: value for name, value in arguments.items() if name.startswith(("w_", "img", "ch"))
    }
    stem |= {name: arguments[name] for name in ("num_layers", "conv_kernel", "use_radial_filters")}
    layers = {
        name: persisted(layer, "SynthesisLayer", attributes=attributes_of(layer))
        for name, layer in network.synthesis.named_children()
        if name != "input"
    }
    synthesis = persisted(
        network.synthesis,
        "SynthesisNetwork",
        arguments=stem,
        attributes={"conv_kernel": arguments["conv_kernel"], "num_critical": 2,
                    "layer_names": network.synthesis.layer_names},
        modules={"input": persisted(network.synthesis.input, "SynthesisInput"), **layers},
    )  # fmt: skip
    sizes = {name: arguments[name] for name in ("z_dim", "c_dim", "w_dim")}
    mapping = persisted(
        network.mapping,
        "MappingNetwork",
        arguments=sizes | {"num_ws": 9, **arguments["mapping_kwargs"]},
        attributes=sizes | {"num_ws": network.mapping.num_ws},
        modules={"embed": persisted(network.mapping.embed, "Embedding")},
    )
    return persisted(
        network,
        "SuperresGenerator",
        arguments={"path_stem": "stem.pkl", **arguments["stages"][-1]},
        modules={"mapping": mapping, "synthesis": synthesis},
    )


@pytest.mark.parametrize("stages", CHAINS)
def test_stem_and_stages_are_read_off_a_file(stages) -> None:
    whole = SMALL | {"stages": stages}
    assert arguments_of(as_file(whole)) == whole


def test_a_file_whose_stages_cannot_be_read_off_is_refused() -> None:
    module = as_file(SMALL | {"stages": CHAINS[0]})
    module.modules["synthesis"].arguments["channel_max"] = 2
    with pytest.raises(RosettaError, match=r"have \d+ layers up to L.*; give arguments"):
        arguments_of(module)


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_holds_the_arguments_and_weights_of_its_network(name: str) -> None:
    assert_pickle_is_its_golden(name, arguments_of=arguments_of, build=build)


def test_networks_of_other_families_are_left_to_them() -> None:
    others = [path for path in FOLDER.glob("pickle_structure_*.pkl") if path.stem not in PICKLES]
    assert [arguments_of(read_pickled_network(path)) for path in others] == [None] * len(others)


def test_the_paper_counts_39_layers_at_1024_pixels() -> None:
    """Section 3.2: 11 at 16 pixels, then 7 for 2 at each doubling, and 5 for 2 at the last."""
    with torch.device("meta"):
        networks = [build(name).network for name in ARCHITECTURES]
    counts = [len(network.synthesis.layer_names) for network in networks]
    assert counts == [11, 16, 21, 26, 31, 36, 39]


@pytest.mark.parametrize(
    ("stages", "problem"),
    [
        ([{"head_layers": 4, "up_factor": 2}], "stage 1: argument 'img_resolution' is missing"),
        ([stage(32, 4), stage(32, 4)], "stage 2: img_resolution is 32; give 64"),
        ([stage(32, 2)], "stage 1: 2 layers are too few"),
        ([7], "stage 1: arguments are 7; give a mapping"),
        (7, "stages is 7; give a list of stages"),
        ([stage(32, 4) | {"heads": 1}], "stage 1: unknown argument 'heads'"),
    ],
)
def test_wrong_stages_are_said_in_one_line(stages, problem: str) -> None:
    with pytest.raises(RosettaError, match=problem) as caught:
        build(arguments=SMALL | {"stages": stages})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [[2, 8], [8], 8, ["many", 8]])
def test_an_embedding_must_have_a_row_for_each_class(shape) -> None:
    with pytest.raises(RosettaError, match=r"class_embedding_shape is .*at least 3,") as caught:
        build(arguments=SMALL | {"class_embedding_shape": shape})
    assert "\n" not in str(caught.value)
