"""Every name of the zoo is a whole model, its weights fit, and the docs say what it is."""

import json
import re
import shutil
from pathlib import Path

import open_clip
import pytest
import timm
import torch
from alias_free import golden_arguments
from conftest import ROOT
from golden import FOLDER, Golden, golden_names
from safetensors.torch import save_file
from small_zoo import GENERATORS
from torchvision.models import ResNet50_Weights, resnet50

from rosetta_core.cli.main import main
from rosetta_core.config import Config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths
from rosetta_core.zoo.layers import select_layers
from rosetta_core.zoo.listing import as_text, entries
from rosetta_core.zoo.loading import build, layers_of, load
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.named_models import NAMED_MODELS
from rosetta_core.zoo.weights.hub import resolve_hub_name
from rosetta_core.zoo.weights.sources import HubWeights, UrlWeights

CPU = torch.device("cpu")
DOCS = (ROOT / "docs/explanation/differences-from-the-paper.md").read_text()
# the generators of the issue that began the zoo, beside the encoders of the paper
NEEDED = [
    "stylegan_xl_imagenet256",
    "stylegan2_lsun_cat256",
    "stylegan2_lsun_horse256",
    "biggan_deep_256",
    "stylegan3_t_ffhq1024",
    "stylegan3_r_ffhq1024",
    "stylegan3_t_afhqv2_512",
    "stylegan3_r_afhqv2_512",
    "resnet50",
    "dino_resnet50",
    "dino_vit_b16",
    "dino_vit_b8",
    "mae_vit_b",
    "clip_resnet50",
    *(found.name for found in Config().models),  # the face zoo
]


def model(name: str) -> ModelSpec:
    return ModelSpec.model_validate(name)


def test_the_models_of_the_paper_and_of_the_face_zoo_are_there() -> None:
    assert set(NEEDED) <= set(NAMED_MODELS)


@pytest.mark.parametrize("name", NAMED_MODELS)
def test_a_name_stands_for_a_whole_model(name: str) -> None:
    found = model(name)
    assert found.name == name
    assert found.weights is not None and found.weights.licence
    if isinstance(found.weights, UrlWeights):
        assert found.weights.url.startswith("https://")


def test_no_two_files_of_weights_lie_at_one_place() -> None:
    paths = RunPaths(Config())
    places = [paths.weights(model(name)) for name in NAMED_MODELS]
    assert len(set(places)) == len(places)


def test_keys_of_one_s_own_replace_those_of_the_zoo() -> None:
    own = {"zoo": "resnet50", "name": "mine", "layers": ["layer1"], "weights": {"file": "mine.pth"}}
    found = ModelSpec.model_validate(own)
    assert (found.name, found.architecture, found.layers) == ("mine", "resnet50", ["layer1"])
    assert found.weights.file == "mine.pth"


def test_an_unknown_name_brings_near_ones() -> None:
    with pytest.raises(RosettaError, match=r"no model 'stylegan_xl_imagnet256'.*imagenet256"):
        parse_config({"pivot": "stylegan_xl_imagnet256"})


def test_torchvision_s_weights_are_those_that_it_lists() -> None:
    weights = model("resnet50").weights
    assert weights.url == ResNet50_Weights.IMAGENET1K_V1.url
    assert weights.url.endswith(f"-{weights.sha256}.pth")


@pytest.mark.parametrize("name", ["dino_vit_b16", "dino_vit_b8", "mae_vit_b"])
def test_timm_has_the_weights_under_that_name_and_licence(name: str) -> None:
    weights = model(name).weights
    found = resolve_hub_name(weights.hub)
    assert found.repository == f"timm/{model(name).architecture}"
    assert found.licence.lower() == weights.licence.lower()
    assert timm.get_pretrained_cfg(model(name).architecture).input_size == (3, 224, 224)


def test_the_weights_of_dino_s_resnet_fit(tmp_path: Path) -> None:
    """They are torchvision's names without the classifier."""
    torch.manual_seed(1)
    state = {k: v for k, v in resnet50().state_dict().items() if not k.startswith("fc.")}
    torch.save(state, tmp_path / "dino.pth")
    loaded = load(model("dino_resnet50"), tmp_path / "dino.pth", device=CPU)
    torch.testing.assert_close(
        loaded.network.layer4[2].conv3.weight, state["layer4.2.conv3.weight"]
    )


def test_the_weights_of_clip_s_resnet_fit(tmp_path: Path) -> None:
    """The file holds a whole model, of which the image tower is taken."""
    with torch.device("meta"):
        whole = open_clip.create_model("RN50", device="meta").state_dict()
    state = {
        name: torch.full(value.shape, 0.5, dtype=value.dtype)
        for name, value in whole.items()
        if name.startswith("visual.") or value.ndim < 2
    }
    assert any(not name.startswith("visual.") for name in state)
    save_file(state, tmp_path / "clip.safetensors")
    loaded = load(model("clip_resnet50"), tmp_path / "clip.safetensors", device=CPU)
    assert all((value == 0.5).all() for value in loaded.network.parameters())


def recorded() -> list[tuple[Path, str]]:
    """Recorded files in the containers of the published ones, and the golden of each."""
    listed = {path: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
    files = [
        (file, about["golden"])
        for path, about in listed.items()
        if "golden" in about
        for file in (path.with_suffix(""), path.with_suffix(".pkl"))
    ]
    return [(file, golden) for file, golden in files if file.is_file()]


def published_like(golden: Golden) -> str:
    """A name of the zoo whose file is of the golden's kind."""
    if golden.about["family"] == "stylegan2":
        rosinality = "channels_per_resolution" in golden.about
        return "stylegan2_lsun_cat256" if rosinality else "stylegan2_ffhq256"
    kinds = {"stylegan3": "stylegan3_r_ffhq1024", "styleganxl": "stylegan_xl_imagenet256"}
    return {**kinds, "biggan-deep": "biggan_deep_256"}[golden.about["family"]]


@pytest.mark.parametrize(("file", "golden"), recorded(), ids=lambda value: Path(value).name)
def test_files_like_the_published_are_read_as_the_zoo_says(
    file: Path, golden: str, tmp_path: Path
) -> None:
    """Whatever their place in the resources is called: it may end with a revision."""
    of = Golden(golden)
    name = published_like(of)
    arguments = golden_arguments(of.about)
    if channels := of.about.get("channels_per_resolution"):
        arguments["channels"] = channels
    own = {"name": "small", "architecture": None, "arguments": arguments}
    place = tmp_path / model(name).weights.place.name
    shutil.copy(file, place)
    loaded = load(ModelSpec.model_validate({"zoo": name, **own}), place, device=CPU)
    found, state = loaded.network.state_dict(), of.under("state")
    assert state
    for entry, value in state.items():
        torch.testing.assert_close(found[entry], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("family", "goldens"),
    [("biggan", "biggan-deep"), ("stylegan2_rosinality", "stylegan2")],
)
def test_patterns_of_the_docs_select_the_units_of_the_paper_s_code(
    family: str, goldens: str
) -> None:
    label = {"biggan": "BigGAN-deep", "stylegan2_rosinality": "StyleGAN2, rosinality"}[family]
    row = next(line for line in DOCS.splitlines() if line.startswith(f"| {label}"))
    patterns = re.findall(r'"([^"]+)"', row.split("|")[-2])
    named = [Golden(name) for name in golden_names(goldens)]
    tried = [golden for golden in named if "paper_units" in golden.about]
    assert tried
    for golden in tried:
        arguments = dict(golden.about["init_kwargs"])
        if family == "stylegan2_rosinality":
            arguments["channels"] = golden.about["channels_per_resolution"]
        described = {"name": "small", "family": family, "arguments": arguments, "weights": "random"}
        with torch.device("meta"):
            network = build(ModelSpec.model_validate(described)).network
        names = [name for name, _ in network.named_modules()]
        assert set(select_layers(names, patterns)) == set(golden.about["paper_units"])


@pytest.mark.parametrize("generator", ["stylegan3_r", "stylegan_xl"])
def test_all_of_an_alias_free_synthesis_can_be_mined(generator: str) -> None:
    described = {"name": "small", "weights": "random", "layers": ["synthesis.*"]}
    small = ModelSpec.model_validate({**described, **GENERATORS[generator]})
    with torch.device("meta"):
        built = build(small)
        found = layers_of(small, built)
    assert found[0].name == "synthesis.input"
    assert found[-1].channels == 3
    assert len(found) == len(built.preset) + 2


def test_the_zoo_is_listed(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["zoo"]) == 0
    printed = capsys.readouterr().out
    assert printed == as_text(entries(ROOT / "resources")) + "\n"
    for name in NEEDED:
        assert re.search(rf"^{name} .* [\d,]+  ", printed, re.MULTILINE)
    hubs = [name for name in NAMED_MODELS if isinstance(model(name).weights, HubWeights)]
    assert all(model(name).weights.hub.partition("@")[0] in printed for name in hubs)
