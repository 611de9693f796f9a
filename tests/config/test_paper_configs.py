"""The paper's experiments can be planned offline; `families` runs them."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from checkout import copy_checkout
from conftest import PAPER, ROOT, Checkout
from small_zoo import ENCODERS, small_run

from rosetta_core.cli.main import main
from rosetta_core.config import Config, load_config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.tools.check import check_config
from rosetta_core.stages.tools.plan import plan_run
from rosetta_core.zoo.loading import load_generator
from rosetta_core.zoo.named_models import NAMED_MODELS

PLANNED = [  # the paper's networks are large: building them takes most of the time
    pytest.param(path, marks=[pytest.mark.whole_run] if path in PAPER else [])
    for path in sorted(ROOT.glob("configs/*.yaml"))
]
OF_EACH_PIVOT = list({load_config(path).pivot.name: path for path in PAPER}.values())
FIVE = ["resnet50", "dino_resnet50", "dino_vit_b16", "mae_vit_b", "clip_resnet50"]
CLASSES = {"tench": 0, "briard": 226, "church": 497, "goldfish": 1, "espresso": 967}
RESOURCES = ROOT / "resources"


def named(path: Path) -> str:
    return path.stem


def of_paper(path: Path) -> Config:
    """The configuration, with what is known of models kept where all tests keep it."""
    return load_config(path).model_copy(update={"resources": str(RESOURCES)})


@pytest.mark.parametrize("path", PLANNED, ids=named)
def test_a_configuration_is_checked_and_planned_offline(path: Path) -> None:
    config = of_paper(path)
    assert config.run == path.stem
    layers = check_config(config)
    plan = plan_run(config)
    units = {name: sum(layer.channels for layer in found) for name, found in layers.items()}
    assert plan.pairs == units[config.pivot.name] * sum(units.values())
    assert all(stage.jobs and stage.seconds >= 0 for stage in plan.stages)


@pytest.mark.parametrize("path", PAPER, ids=named)
def test_an_experiment_is_the_paper_s(path: Path) -> None:
    config = load_config(path)
    assert config.neighbours.k == 5
    assert all(model.name in NAMED_MODELS for model in config.models)
    encoders = [model.name for model in config.encoders]
    if path.stem == "stylegan3-ffhq":
        assert (config.sampling.images, encoders) == (1000, ["dino_vit_b16"])
        return
    assert (config.sampling.images, encoders) == (1600, FIVE)
    if path.stem.startswith("stylegan-xl-"):
        assert config.pivot.name == "stylegan_xl_imagenet256"
        assert config.sampling.classes == [CLASSES[path.stem.removeprefix("stylegan-xl-")]]
        assert config.sampling.truncation == 0.7


def test_every_class_of_the_paper_has_its_configuration() -> None:
    assert {f"stylegan-xl-{name}" for name in CLASSES} < {path.stem for path in PAPER}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which nothing was run, but where models are known."""
    found = copy_checkout(tmp_path_factory.mktemp("checkout"))
    if (RESOURCES / "layers").is_dir():
        shutil.copytree(RESOURCES / "layers", found.folder / "resources/layers")
    return found


@pytest.mark.whole_run
@pytest.mark.parametrize("path", OF_EACH_PIVOT, ids=named)
def test_a_dry_run_plans_fetching_every_file_of_weights(path: Path, checkout: Checkout) -> None:
    checkout.configure(yaml.safe_load(path.read_text()))
    config = load_config(path)
    files = {str(RunPaths(config).weights(model)) for model in config.models}
    planned = set(checkout.planned())
    assert files <= planned
    assert any(output.startswith(f"results/{path.stem}/dictionary") for output in planned)


def test_random_weights_are_called_what_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.yaml"
    content = small_run("stylegan3_t", list(ENCODERS), results=tmp_path, resources=RESOURCES)
    path.write_text(yaml.safe_dump(content))
    assert main(["check", "--config", str(path)]) == 0
    printed = capsys.readouterr().out
    for model in ("stylegan3_t", *ENCODERS):
        assert f"{model}: random weights" in printed


def test_the_full_size_stylegan2_draws_an_image() -> None:
    content = yaml.safe_load((ROOT / "configs/stylegan2-cats.yaml").read_text())
    content["pivot"] = {"zoo": content["pivot"], "weights": "random"}
    content["sampling"]["truncation"] = 1.0  # the mean w stands in no random weights
    generator = load_generator(parse_config(content).pivot, None, device=torch.device("cpu"))
    with torch.no_grad():
        image = generator.generate(generator.sample_latents([0]), None)
    assert image.shape == (1, 3, 256, 256)
    assert image.isfinite().all() and image.std() > 0.01


@pytest.mark.parametrize(
    ("generator", "classes", "job", "said"),
    [
        ("biggan", [3], {}, None),
        ("biggan", None, {}, "steering: shown: class_label is missing; give a class of biggan"),
        ("biggan", [3, 4], {}, "steering: shown: class_label is missing"),
        (
            "biggan",
            [3],
            {"class_label": 10},
            "class_label: 10 is not a class of biggan, which has 10",
        ),
        ("biggan", [12], {}, "sampling.classes: 12 is not a class of biggan"),
        ("stylegan2", [0], {}, "sampling.classes: 0 is not a class of stylegan2, which has 0"),
        (
            "stylegan2",
            None,
            {"class_label": 0},
            "shown: class_label: 0 is not a class of stylegan2",
        ),
    ],
)
def test_classes_are_checked_before_a_run(
    generator: str, classes: list[int] | None, job: dict, said: str | None, tmp_path: Path
) -> None:
    content = small_run(generator, ["resnet"], results=tmp_path, resources=tmp_path / "resources")
    content["sampling"]["classes"] = classes
    content["steering"] = {"show": [{"name": "shown", "concept": 0, **job}]}
    config = parse_config(content)
    if said is None:
        assert check_config(config)
        return
    with pytest.raises(RosettaError) as error:
        check_config(config)
    assert said in str(error.value)
