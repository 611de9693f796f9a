"""Mining in memory gives the workflow's tables, within its memory, and refuses bad input."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from conftest import CNNS, LAYERS, ROOT, Checkout
from near_ties import unlike
from PIL import Image
from torch import nn
from toy_networks import EIGHT, GREY, Toy, small, toy

import rosetta_core as rosetta
from rosetta_core import RosettaError

SIDES = ["side", "unit", "rank", "neighbour", "corr"]


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.random((20, 3, 5, 5)))
    smooth = nn.functional.interpolate(coarse, size=(24, 24), mode="bicubic").clamp(0, 1)
    return (smooth.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def mined(pictures: np.ndarray) -> rosetta.Mined:
    return rosetta.mine(small(0), [small(1), small(2, side=20)], pictures, k=2)


def test_the_tables_are_those_of_the_workflow(finished: Checkout, weights) -> None:
    run = rosetta.open_run(finished.run)
    resources = str(ROOT / "resources")
    pivot, *encoders = (
        rosetta.load_model(name, layers=LAYERS[name], device="cpu", resources=resources)
        for name in run.models
    )
    samples = rosetta.sample(pivot, 16)
    assert (samples.pixels == run.images()).all()
    mined = rosetta.mine(pivot, encoders, samples, name="tiny")
    assert set(run.encoders) == set(CNNS)
    for name in run.models:
        pd.testing.assert_frame_equal(mined.units(name), run.units(name), rtol=1e-5)
        assert not unlike(*(x.neighbours(name)[SIDES] for x in (mined, run)))
    columns = ["concept", "size", "pivot_ids", "mean_corr", "min_corr"]
    pd.testing.assert_frame_equal(mined.concepts[columns], run.concepts[columns], atol=1e-6)
    scores = mined.concept_scores
    np.testing.assert_allclose(scores, run.concept_scores, atol=1e-3)


def test_any_module_is_mined_as_by_the_functions_on_arrays(
    mined: rosetta.Mined, pictures: np.ndarray
) -> None:
    maps = {
        name: {
            layer: np.stack(
                [mined.maps(unit) for unit in mined.units(name).query("layer == @layer")["id"]], 1
            )
            for layer in ("1", "2")
        }
        for name in mined.models
    }
    pivot = maps.pop("small0")
    buddies = {
        name: rosetta.best_buddies(rosetta.correlate(pivot, own), k=2) for name, own in maps.items()
    }
    within = rosetta.best_buddies(rosetta.correlate(pivot, pivot), k=2, same_model=True)
    expected = rosetta.rosetta_neurons(buddies, within)
    columns = ["pivot_unit", "model", "unit", "corr", "concept"]
    found = mined.rosetta[columns].sort_values(columns, ignore_index=True)
    pd.testing.assert_frame_equal(
        found, expected[columns].sort_values(columns, ignore_index=True), atol=1e-5
    )


def test_it_is_shown_and_written(mined: rosetta.Mined, tmp_path: Path) -> None:
    assert repr(mined).startswith("<Mined 'mined': 20 images of array, processed by small0, small1")
    assert mined._repr_html_().count("<tr>") >= 2
    for figure in (mined.plot_concept(0), mined.plot_image(3)):
        figure.savefig(tmp_path / "figure.png")
    page = mined.write_site(tmp_path / "site")
    assert page.is_file()
    assert (page.parent / "figures/concepts.png").is_file()
    assert mined.write_site(tmp_path / "site") == page
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/thesis.txt").write_text("mine")
    with pytest.raises(RosettaError, match="is not empty and has no pages"):
        mined.write_site(tmp_path / "notes")
    assert (tmp_path / "notes/thesis.txt").read_text() == "mine"


def test_a_module_is_left_as_it_was(pictures: np.ndarray) -> None:
    model = small(3)
    before = {name: value.clone() for name, value in model.network.network.state_dict().items()}
    rosetta.mine(model, [small(4)], pictures[:4])
    assert all(x.requires_grad for x in model.network.network.parameters())
    after = model.network.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(module._forward_hooks for module in model.network.network.modules())


class Broken:
    """A data set of which a row cannot be read."""

    def __getitem__(self, number: int) -> np.ndarray:
        if number == 2:
            raise KeyError("gone")
        return np.zeros((8, 8, 3), np.uint8)


def test_a_generator_of_ones_own_is_mined() -> None:
    generator = toy()
    samples = rosetta.sample(generator, 12)
    mined = rosetta.mine(generator, [small(1)], samples, k=2)
    assert (mined.images() == samples.pixels).all()
    assert mined.maps("Toy/grow/0").shape == (12, 4, 4)


def test_a_module_that_was_put_into_training_mode_is_refused(pictures: np.ndarray) -> None:
    model = small(5)
    model.network.network.train()
    with pytest.raises(RosettaError, match="small5: is in training mode; call its eval"):
        rosetta.mine(model, [small(6)], pictures)


def test_pictures_are_read_as_their_files(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    made = {
        "sixteen.png": Image.fromarray(ramp),
        "clear.png": Image.new("RGBA", (16, 16), (0, 0, 0, 0)),
        "grey.png": Image.fromarray((ramp // 256).astype(np.uint8)),
    }
    for name, picture in made.items():
        picture.save(tmp_path / name)
    turned = Image.fromarray(np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3))
    exif = turned.getexif()
    exif[274] = 6  # orientation: turned by a quarter
    turned.save(tmp_path / "turned.png", exif=exif)
    names = sorted(path.name for path in tmp_path.iterdir())
    files = rosetta.images(tmp_path, size=16)
    opened = rosetta.images([Image.open(tmp_path / name) for name in names], size=16)
    assert (files.pixels == opened.pixels).all()
    with pytest.raises(RosettaError, match="float pixels have no known range"):
        rosetta.images([Image.fromarray(np.ones((8, 8), np.float32))])


def test_a_timm_transformer_needs_no_layouts() -> None:
    network = timm.create_model("test_vit", num_classes=0).eval()
    data = network.pretrained_cfg
    given = {"size": 160, "mean": data["mean"], "std": data["std"]}  # tuples
    model = rosetta.wrap(network, "blocks.*.mlp.act", input=given)
    assert {layer.grid for layer in model.layers} == {(10, 10)}


def test_layouts_are_given_as_in_a_configuration() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cut = nn.Conv2d(3, 6, 4, stride=4)
            self.out = nn.Identity()

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            tokens = self.cut(images).flatten(2).mT  # (n, t, c)
            return self.out(torch.cat([tokens[:, :1] * 0, tokens[:, :1] * 0, tokens], 1))

    given = {"**": {"prefix_tokens": 2}}
    model = rosetta.wrap(Tokens().eval(), "out", input={"size": 32, **GREY}, layouts=given)
    assert model.layers[0].grid == (8, 8)
    with pytest.raises(RosettaError, match="prefix"):
        rosetta.wrap(Tokens().eval(), "out", input=EIGHT, layouts={"**": {"prefix": 2}})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: rosetta.mine(small(0), [], x), "encoders: there are none; give at least one"),
        (lambda x: rosetta.mine(small(0), [small(0)], x), "encoders: small0 is there twice; give"),
        (lambda x: rosetta.mine(small(0), [small(1)], x, k=0), "k: 0 is not a whole number from"),
        (lambda x: rosetta.mine(small(0), [small(1)], x, batch_size=True), "batch_size: True is"),
        (lambda x: rosetta.mine(small(0), "mobilenet_v2", x), "encoders: give a list of models"),
        (lambda x: rosetta.mine(small(0), small(1), x), "encoders: give a list of models"),
        (lambda x: rosetta.mine(network(), [small(1)], x), "mine: Sequential is not a model; use"),
        (lambda x: rosetta.mine(small(0), [None], x), "mine: NoneType is not a model; use"),
        (lambda x: rosetta.mine(small(0), [small(1)], x, min_relative_std=np.nan), "nan is not a"),
        (lambda x: rosetta.mine(small(0), [small(1)], x, name="../x"), "name: '../x' is not a"),
        (lambda x: rosetta.images(x, size=0), "size: 0 is not a whole number from 1 to 8192"),
        (lambda x: rosetta.images(x, size=(32, 32)), "size: (32, 32) is not a whole number"),
        (lambda x: rosetta.images(x, bit_depth=99), "bit_depth: 99 is not a whole number"),
        (lambda x: rosetta.images(list), "images: type is not a source of images"),
        (lambda x: rosetta.images(Broken()), "the data set fails on row 2 (KeyError: 'gone')"),
        (lambda x: rosetta.images(x / 255 * np.nan), "images: pixels are not finite; remove"),
        (lambda x: rosetta.sample(network(), 3), "sample: Sequential is not a model; use"),
        (lambda x: rosetta.sample(toy(), 3, seed=-1), "seed: -1 is not a whole number from 0 on"),
        (lambda x: rosetta.sample(toy(), 3, classes=[0]), "classes: Toy has no classes"),
        (lambda x: rosetta.mine(toy(), [small(1)], x), "Toy: the images were not drawn by it"),
        (
            lambda x: rosetta.mine(toy(), [small(1)], rosetta.sample(toy(1), 3)),
            "Toy: the images were not drawn by it; draw them with sample(pivot, …), and",
        ),
        (lambda x: rosetta.mine(small(0), [small(1)], x, memory_budget="2"), "memory_budget: '2'"),
        (lambda x: rosetta.mine("mobilenet_v3", [small(1)], x), "did you mean 'mobilenet_v2'?"),
        (lambda x: rosetta.mine(small(0), [small(1)], x / 127.5 - 1), "not in 0..1; give uint8"),
        (lambda x: rosetta.sample(small(0), 3), "small0: is not a generator; use images(…)"),
        (lambda x: rosetta.images(x[0]), "images: shape (24, 24, 3) is not one of images"),
        (lambda x: rosetta.images(x.transpose(0, 3, 1, 2)), "has no axis of 3 colours in its"),
        (lambda x: rosetta.images([x[0], x[1, :20]]), "differ in size (20 × 24, 24 × 24)"),
        (lambda x: rosetta.images(iter([])), "images: there is none in list_iterator; give at"),
        (lambda x: rosetta.images([{"picture": x[0]}]), "rows have the columns picture; name"),
        (lambda x: rosetta.images(x, count=0), "count: 0 is not a whole number"),
        (lambda x: rosetta.images(3), "images: int is not a source of images"),
        (lambda x: rosetta.images("nowhere"), "images: there is no folder nowhere"),
        (lambda x: rosetta.images(x.astype(int)), "images: type int64 is neither uint8 nor"),
    ],
)
def test_bad_input_is_refused_in_one_line(call, message: str, pictures: np.ndarray) -> None:
    with pytest.raises(RosettaError) as error:
        call(pictures)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Dropout(0.5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rosetta.wrap(network(), "0", input=EIGHT), "is in training mode"),
        (lambda: rosetta.wrap(network().eval(), "0"), "give input for an encoder, or latent_size"),
        (lambda: rosetta.wrap(network().eval(), input=EIGHT), "layers is missing"),
        (lambda: rosetta.wrap(network().eval(), "O", input=EIGHT), "'O' matches no"),
        (
            lambda: rosetta.wrap(network().eval(), "0", input={"size": 8}),
            "input: mean: required key",
        ),
        (
            lambda: rosetta.wrap(network().eval(), "0", input={"sise": 8, **GREY}),
            "input: size: required key is missing",
        ),
        (lambda: rosetta.wrap(len, "0", input=EIGHT), "is not a module; give a"),
        (
            lambda: rosetta.wrap(network().eval(), "0", input=EIGHT, colour=1),
            "colour",
        ),
        (lambda: rosetta.wrap(network().eval(), 3, input=EIGHT), "layers is 3; give patterns"),
        (lambda: rosetta.wrap(network().eval(), "0", input=EIGHT, name="a b"), "name: 'a b' is"),
        (lambda: rosetta.wrap(network().eval(), "0", input=EIGHT, name=3), "name: 3 is not a"),
        (lambda: rosetta.wrap(network().to("meta").eval(), "0", input=EIGHT), "meta device"),
        (
            lambda: rosetta.wrap(
                network().eval(), "0", input={"size": 8, "mean": [123.0] * 3, "std": [58.0] * 3}
            ),
            "divide by 255",
        ),
        (lambda: rosetta.wrap(nn.Sequential(nn.Linear(7, 2)).eval(), "0", input=EIGHT), "fails on"),
        (lambda: rosetta.wrap(Toy().eval(), "grow", latent_size=5), "Toy: fails on an example"),
        (lambda: rosetta.wrap(Toy().eval(), "grow", latent_size="4"), "latent_size: '4' is not"),
        (lambda: rosetta.wrap(Toy().eval(), "grow", latent_size=4, classes=3), "Toy: fails on an"),
        (lambda: rosetta.load_model(3), "model: int is not a name; give a name, or wrap"),
        (lambda: rosetta.load_model("dcgan", truncation=np.nan), "truncation: nan is not a number"),
        (lambda: rosetta.load_model("dcgan", device=3), "device is a text"),
        (lambda: rosetta.load_config(3), "configuration: 3 is no path and no keys"),
        (lambda: rosetta.load_config("run: x\nk: 1"), "is no path and no keys; give either"),
        (lambda: rosetta.load_config(""), "configuration: '' is no path and no keys"),
        (lambda: rosetta.open_run(3), "run: int is not a path; give the folder of a run"),
        (lambda: rosetta.load_model("timm:resnet18", weights="radnom"), "weights"),
        (lambda: rosetta.load_model("foo:resnet18"), "is not a model of a library; write timm:"),
        (lambda: rosetta.load_model("torchvision:resnet81", weights="random"), "resnet18"),
        (lambda: rosetta.load_model("resnet51"), "did you mean"),
        (lambda: rosetta.load_model({"family": "timm"}), "model: name: required key is missing"),
    ],
)
def test_models_that_cannot_be_had_are_refused(call, message: str) -> None:
    with pytest.raises(RosettaError) as error:
        call()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


class Transposed(nn.Module):
    """A layer whose maps are turned by a quarter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.turned = nn.Identity()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.turned(self.conv(images).mT.contiguous())


def test_a_layer_that_does_not_follow_the_image_is_refused() -> None:
    with pytest.raises(RosettaError, match="turned"):
        rosetta.wrap(Transposed().eval(), "turned", input={"size": 32, **GREY})


class TurnedToy(Toy):
    """A generator with a layer that holds the turned maps of another."""

    def __init__(self) -> None:
        super().__init__()
        self.turned = nn.Identity()

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        maps = self.turned(self.grow(latents[:, :, None, None]).relu().mT)
        return self.paint(maps.mT).tanh()


def test_a_generator_s_layer_that_does_not_follow_its_image_is_refused() -> None:
    with pytest.raises(RosettaError, match="turned"):
        rosetta.wrap(TurnedToy().eval(), "turned", latent_size=4)


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    images = torch.arange(6 * 3 * 8 * 8, dtype=torch.float32).reshape(6, 3, 8, 8) / 1152
    return list(zip(images.split(2), torch.arange(6).split(2), strict=True))


def test_a_loader_s_batches_and_labels_are_read() -> None:
    found = rosetta.images(batches())
    assert found.pixels.shape == (6, 8, 8, 3)
    expected = (torch.cat([images for images, _ in batches()]) * 255).round()
    assert (found.pixels.transpose(0, 3, 1, 2) == expected.numpy()).all()
    assert found.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.label_texts == ("0", "1", "2", "3", "4", "5")
    assert len(rosetta.images(batches(), count=3)) == 3


def test_the_public_names_are_those_of_the_package() -> None:
    assert dir(rosetta) == sorted(rosetta.__all__)
    assert all(getattr(rosetta, name) is not None for name in rosetta.__all__)


def test_configurations_are_read_from_paths_texts_and_dictionaries(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("run: own\n")
    assert rosetta.load_config(str(file)) == rosetta.load_config(file)
    assert rosetta.load_config({"run": "own"}) == rosetta.load_config(file)
    assert rosetta.load_config(file, {"neighbours": {"k": 3}}).neighbours.k == 3
    with pytest.raises(RosettaError, match="configuration: rum: unknown key"):
        rosetta.load_config({"rum": "own"})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("timm:convnext_tiny.in12k_ft_in1k", ("timm", "convnext_tiny.in12k_ft_in1k", None)),
        ("torchvision:resnet50/IMAGENET1K_V2", ("torchvision", "resnet50", None)),
        ("open_clip:ViT-B-32/laion2b_s34b_b79k", ("open_clip", "ViT-B-32", "visual.")),
    ],
)
def test_a_configuration_takes_the_names_of_libraries(name: str, expected) -> None:
    model = rosetta.load_config({"encoders": [name]}).encoders[0]
    assert (model.family, model.architecture, model.weights.prefix) == expected
    assert model.weights.hub == name
    control = rosetta.load_config({"encoders": [{"zoo": name, "untrained": True}]}).encoders[0]
    assert control.name == f"{model.name}_untrained"
