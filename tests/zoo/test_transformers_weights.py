"""Weights of Hugging Face transformers: from saved folders, hub names, and at random."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_transformers import PLAIN, TINY
from torch import nn

from rosetta_core.api.models import load_model
from rosetta_core.config import load_config
from rosetta_core.errors import RosettaError
from rosetta_core.zoo.encoders.transformers_files import model_definition
from rosetta_core.zoo.loading import build, load
from rosetta_core.zoo.model_info import check_fit, describe
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.registry import FAMILIES
from rosetta_core.zoo.weights.hub import resolve_hub_name
from rosetta_core.zoo.weights.sources import HubWeights

CPU = torch.device("cpu")
SMALL = {"height": 32, "width": 32}
HUB = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Leave the network and the user's cache alone."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    yield


def a_model(kind: str, *, head: bool = False, seed: int = 0, **entries: Any) -> nn.Module:
    config = transformers.CONFIG_MAPPING[kind](**{**TINY.get(kind, {}), **entries})
    auto = transformers.AutoModelForImageClassification if head else transformers.AutoModel
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return auto.from_config(config).eval()


def save(model: Any, folder: Path, processor: Any = None, **options: Any) -> Path:
    model.save_pretrained(folder, **options)
    (processor or transformers.ViTImageProcessor(size=SMALL)).save_pretrained(folder)
    return folder


def spec(folder: Path, **keys: Any) -> ModelSpec:
    return ModelSpec.model_validate({"zoo": f"transformers:{folder}", **keys})


def loaded(folder: Path) -> dict[str, torch.Tensor]:
    model = spec(folder)
    path = Path(model.weights.file)  # type: ignore[union-attr]
    return load(model, path, device=CPU).network.state_dict()


def test_a_saved_folder_loads_as_the_library_loads_it(tmp_path: Path) -> None:
    save(a_model("vit", head=True), tmp_path / "vit")
    model = load_model(f"transformers:{tmp_path}/vit", device="cpu")
    theirs = transformers.AutoModel.from_pretrained(tmp_path / "vit", add_pooling_layer=False)
    assert model.name == "vit"
    assert [layer.name for layer in model.layers] == [
        "layers.0.mlp.activation_fn",
        "layers.1.mlp.activation_fn",
    ]
    ours = model.network.network.state_dict()
    assert ours.keys() == theirs.state_dict().keys()
    assert all(torch.equal(ours[name], value) for name, value in theirs.state_dict().items())


@pytest.mark.parametrize(
    "kind", ["dinov2", "dinov3_vit", "swin", "convnext", "hiera", "beit", "vit_mae", "resnet"]
)
def test_every_parameter_of_a_saved_model_is_loaded(kind: str, tmp_path: Path) -> None:
    saved = a_model(kind, seed=5)
    state = loaded(save(saved, tmp_path / "saved"))
    for name, value in state.items():
        assert torch.equal(saved.state_dict()[name], value), name


def test_weights_in_several_files_are_read_through_their_index(tmp_path: Path) -> None:
    saved = a_model("vit")
    folder = save(saved, tmp_path / "parts", max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    assert spec(folder).weights.file.endswith(".index.json")  # type: ignore[union-attr]
    state = loaded(folder)
    assert all(torch.equal(saved.state_dict()[name], value) for name, value in state.items())


def test_a_whole_clip_loads_its_vision_tower(tmp_path: Path) -> None:
    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 99}
    saved = a_model("clip", text_config=text, vision_config=PLAIN)
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SMALL)
    state = loaded(save(saved, tmp_path / "clip", processor))
    tower = saved.vision_model.state_dict()
    assert len(state) > 30
    for name, value in state.items():
        assert torch.equal(tower[name.removeprefix("vision_model.")], value)


@pytest.mark.parametrize("renamed", [False, True])
def test_names_of_other_versions_are_converted(renamed: bool, tmp_path: Path) -> None:
    saved = a_model("vit", head=True)
    file = save(saved, tmp_path / "vit") / "model.safetensors"
    assert "vit.encoder.layer.0.intermediate.dense.weight" in load_file(file)  # of version 4
    assert "vit.layers.0.mlp.fc1.weight" in saved.state_dict()
    if renamed:
        save_file(saved.state_dict(), file)
    for name, value in loaded(tmp_path / "vit").items():
        assert torch.equal(saved.state_dict()[f"vit.{name}"], value)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"num_hidden_layers": 3}, "'layers.2.* belongs to another network"),
        ({"num_hidden_layers": 1}, "'layers.1.*' is missing"),
        ({"hidden_size": 64}, "has shape .*, but the network needs"),
    ],
)
def test_weights_of_another_network_are_refused(
    other: dict[str, Any], message: str, tmp_path: Path
) -> None:
    folder = save(a_model("vit"), tmp_path / "vit")
    save(a_model("vit", **other), tmp_path / "other")
    model = spec(folder, weights={"file": str(tmp_path / "other" / "model.safetensors")})
    with pytest.raises(RosettaError, match=message) as caught:
        load(model, tmp_path / "other" / "model.safetensors", device=CPU)
    assert "\n" not in str(caught.value)
    with pytest.raises(RosettaError, match=message):
        check_fit(model, tmp_path / "other" / "model.safetensors", tmp_path)


def test_fitting_weights_pass_the_check_of_shapes(tmp_path: Path) -> None:
    folder = save(a_model("vit", head=True), tmp_path / "vit")
    check_fit(spec(folder), folder / "model.safetensors", tmp_path / "resources")


def test_random_weights_are_those_of_their_seed() -> None:
    keys = {"name": "x", "family": "transformers", "architecture": "vit", "arguments": PLAIN}
    states = []
    for seed in (0, 0, 1):
        model = ModelSpec.model_validate({**keys, "weights": {"random": seed}})
        states.append(load(model, None, device=CPU).network.state_dict()["layers.0.mlp.fc1.weight"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


@pytest.mark.parametrize("file", ["pytorch_model.bin", "model.ckpt", "weights.pt"])
def test_a_folder_of_pickled_weights_is_refused(file: str, tmp_path: Path) -> None:
    folder = save(a_model("vit"), tmp_path / "pickled")
    (folder / "model.safetensors").rename(folder / file)
    with pytest.raises(RosettaError, match=f"only pickled weights .{file}") as caught:
        load_model(f"transformers:{folder}", device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda folder: (folder / "config.json").write_text("[]"), "is not a JSON object"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "vit", "a": NaN}'),
            "config.json cannot be read",
        ),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "mine"}'),
            "no type of model 'mine'",
        ),
        (
            lambda folder: (folder / "config.json").write_text(
                '{"model_type": "mine", "auto_map": {"AutoModel": "code.Mine"}}'
            ),
            "never executed",
        ),
        (
            lambda folder: (folder / "preprocessor_config.json").unlink(),
            "has no preprocessor_config.json",
        ),
        (lambda folder: (folder / "model.safetensors").unlink(), "no such file"),
    ],
)
def test_a_damaged_folder_is_refused_in_one_line(
    break_it: Any, message: str, tmp_path: Path
) -> None:
    folder = save(a_model("vit"), tmp_path / "damaged")
    break_it(folder)
    with pytest.raises(RosettaError, match=message) as caught:
        load_model(f"transformers:{folder}", device="cpu")
    assert "\n" not in str(caught.value)


def test_code_in_a_folder_is_not_executed(tmp_path: Path) -> None:
    folder = save(a_model("vit"), tmp_path / "code")
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    for file in ("config.json", "preprocessor_config.json"):
        content = json.loads((folder / file).read_text())
        content["auto_map"] = dict.fromkeys(
            ("AutoConfig", "AutoModel", "AutoImageProcessor"), "evil.Evil"
        )
        (folder / file).write_text(json.dumps(content))
    load_model(f"transformers:{folder}", device="cpu")
    assert not (tmp_path / "ran").exists()


def test_the_files_of_a_folder_are_part_of_the_definition(tmp_path: Path) -> None:
    folder = save(a_model("vit"), tmp_path / "vit")
    before = model_definition(spec(folder))
    layers = describe(spec(folder), tmp_path / "resources").layers
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, "num_hidden_layers": 1}))
    assert model_definition(spec(folder)) != before
    assert len(describe(spec(folder), tmp_path / "resources").layers) == len(layers) - 1


def cache(folder: Path, name: str, revision: str, hub: Path) -> None:
    """Put the files of a folder into Hugging Face's cache, as a download does."""
    place = hub / f"models--{name.replace('/', '--')}"
    blobs, snapshot = place / "blobs", place / "snapshots" / revision
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(revision)
    for file in folder.iterdir():
        (blobs / file.name).write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(blobs / file.name)


@pytest.mark.parametrize("revision", ["", f"@{HUB}"])
def test_a_model_of_the_hub_is_read_from_its_cache(revision: str, tmp_path: Path) -> None:
    saved = a_model("dinov2")
    processor = transformers.BitImageProcessor(size={"shortest_edge": 32}, crop_size=SMALL)
    cache(save(saved, tmp_path / "saved", processor), "owner/dino", HUB, tmp_path / "hub")
    model = load_model(f"transformers:owner/dino{revision}", device="cpu", resources="resources")
    assert model.name.startswith("owner_dino")
    state = model.network.network.state_dict()
    assert all(torch.equal(saved.state_dict()[name], value) for name, value in state.items())
    assert Path(f"resources/transformers/owner/dino/model.safetensors{revision}").is_file()


def test_a_model_of_several_files_is_fetched_whole(tmp_path: Path) -> None:
    saved = a_model("vit")
    folder = save(saved, tmp_path / "saved", max_shard_size="20KB")
    cache(folder, "owner/parts", HUB, tmp_path / "hub")
    model = load_model(f"transformers:owner/parts@{HUB}", device="cpu", resources="resources")
    state = model.network.network.state_dict()
    assert all(torch.equal(saved.state_dict()[name], value) for name, value in state.items())


def test_a_hub_name_offline_is_an_error_in_one_line() -> None:
    keys = {
        "name": "x",
        "family": "transformers",
        "architecture": "owner/none",
        "weights": "random",
    }
    for name in ("transformers:owner/none", keys):
        with pytest.raises(RosettaError, match="cannot be fetched") as caught:
            load_model(name, device="cpu")
        assert "\n" not in str(caught.value)
    with pytest.raises(RosettaError, match=r"owner/none@v1: config.json cannot be fetched"):
        build(ModelSpec.model_validate({**keys, "architecture": "owner/none@v1"}))


@pytest.mark.parametrize(
    "name",
    ["transformers:dinov2", "transformers:", "transformers:../", "transformers:a/b/c", "x:a/b"],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(RosettaError, match=r"not a model of a library|not a folder|no weights"):
        load_model(name, device="cpu")


def test_hub_names_give_the_safe_format_only() -> None:
    file = resolve_hub_name("transformers:owner/name@v2")
    assert (file.repository, file.revision) == ("owner/name", "v2")
    assert file.names == ("model.safetensors", "model.safetensors.index.json")
    place = HubWeights(hub="transformers:owner/name@v2").place
    assert str(place) == "transformers/owner/name/model.safetensors@v2"


def test_configurations_take_the_names(tmp_path: Path) -> None:
    folder = save(a_model("vit"), tmp_path / "vit")
    encoders = [f"transformers:{folder}", f"transformers:owner/name@{HUB}"]
    first, second = load_config({"run": "x", "encoders": encoders}).encoders
    assert (first.family, first.architecture) == ("transformers", str(folder))
    assert second.weights.source == f"transformers:owner/name@{HUB}"  # type: ignore[union-attr]


def test_a_missing_library_is_an_error_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, FAMILIES["transformers"].module_name, raising=False)
    with pytest.raises(RosettaError, match=r"pip install 'rosetta-core\[transformers\]'"):
        FAMILIES["transformers"].module()
