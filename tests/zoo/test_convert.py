"""A converted file holds the same tensors, says what network they are of, and fits it."""

import json
import pickle
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import pytest
import torch
import yaml
from golden import FOLDER, Golden, assert_near
from pickled import file, network, number, pairs, raw, state, storage, tensor, text
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rosetta_core.cli.main import main
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import file_sha256
from rosetta_core.zoo.generators.stylegan2 import generator as stylegan2
from rosetta_core.zoo.generators.stylegan3 import stylegan_xl
from rosetta_core.zoo.layouts.generator_geometry import check_generator_geometry
from rosetta_core.zoo.loading import build, layers_of, load
from rosetta_core.zoo.model_info import check_fit
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.checkpoints import read_metadata
from rosetta_core.zoo.weights.convert import convert

STRUCTURES = [path.stem for path in sorted(FOLDER.glob("pickle_structure_*.pkl"))]
CPU = torch.device("cpu")


def weight() -> dict[str, bytes]:
    """A parameter of two times three numbers, of which each column stands together."""
    return {"weight": tensor(raw(storage(torch.arange(6.0))), sizes=(2, 3), strides=(1, 2))}


@pytest.mark.parametrize("name", STRUCTURES)
def test_an_official_file_becomes_a_pivot(name: str, tmp_path: Path, capsys) -> None:
    """What the command prints, pasted into a configuration, loads the network that was pickled."""
    told = json.loads((FOLDER / f"{name}.json").read_text())
    source, target = FOLDER / told["file"], tmp_path / "clean.safetensors"
    assert main(["convert", str(source), str(target)]) == 0
    wanted = Golden(told["golden"]).under("state")
    found = load_file(target)
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        assert torch.equal(found[key].to(value.dtype), value), key
    pivot = yaml.safe_load(capsys.readouterr().out)["pivot"]
    assert pivot["name"] == "clean"
    assert read_metadata(target) == (pivot["family"], pivot["arguments"])
    loaded = load(ModelSpec(**pivot), target, device=CPU).network.state_dict()
    for key, value in wanted.items():
        assert torch.equal(loaded[key].to(value.dtype), value), key
    with safe_open(target, framework="pt") as opened:
        assert opened.metadata()["source_sha256"] == file_sha256(source)


def plain(value: object) -> bytes:
    """A value of Python's own, without the start and the end of a pickle."""
    return pickle.dumps(value, protocol=2)[2:-1]


def pickled(module: nn.Module, *, class_name: str = "Part", **attributes: object) -> bytes:
    """A module with its submodules, as NVIDIA's persistence pickles it."""

    def tensors(named: Iterable[tuple[str, Tensor]]) -> bytes:
        pieces = {
            name: tensor(raw(storage(x.flatten())), sizes=x.shape, strides=x.stride())
            for name, x in named
        }
        return pairs(pieces) if pieces else b"}"

    parts = {
        name: pickled(part, **(SYNTHESIS if name == "synthesis" else {}))
        for name, part in module.named_children()
    }
    of = state(
        _parameters=tensors(module.named_parameters(recurse=False)),
        _buffers=tensors(module.named_buffers(recurse=False)),
        _modules=pairs(parts) if parts else b"}",
        **{name: plain(value) for name, value in attributes.items()},
    )
    return network(of, class_name=text(class_name))


SYNTHESIS: dict[str, object] = {}  # attributes of the synthesis network


@pytest.mark.parametrize("sides", [(4, 6), (7, 4), (2, 5)])
def test_a_stylegan2_whose_images_are_not_square_is_built_as_its_file_has_it(
    tmp_path: Path, capsys, sides: tuple[int, int]
) -> None:
    arguments = {
        "z_dim": 4, "c_dim": 0, "w_dim": 5, "img_resolution": 16, "img_channels": 3,
        "mapping_kwargs": {"num_layers": 2},
        "synthesis_kwargs": {"channel_base": 64, "channel_max": 4},
    }  # fmt: skip
    built = stylegan2.build(arguments={**arguments, "init_res": sides})
    SYNTHESIS.clear()
    SYNTHESIS.update(block_resolutions=[4, 8, 16])
    source, target = tmp_path / "network.pkl", tmp_path / "clean.safetensors"
    given = {"_init_args": (), "_init_kwargs": arguments}
    source.write_bytes(file(pickled(built.network, class_name="Generator", **given)))
    assert main(["convert", str(source), str(target)]) == 0
    pivot = yaml.safe_load(capsys.readouterr().out)["pivot"]
    assert pivot["arguments"]["init_res"] == list(sides)
    loaded = load(ModelSpec(**pivot), target, device=CPU)
    latents = built.sample_latents([0])
    with torch.no_grad():
        images = loaded.generate(latents, None)
        assert torch.equal(images, built.generate(latents, None))
    assert images.shape == (1, 3, 4 * sides[0], 4 * sides[1])
    layers = [layer.name for layer in layers_of(ModelSpec(**pivot), loaded)]
    assert set(check_generator_geometry(loaded, layers).values()) == {"follows"}


@pytest.mark.parametrize("sides", [4, [4], [4, 0], [4, 4.5], "44", [True, 4]])
def test_sides_of_the_constant_input_are_two_numbers(sides: object) -> None:
    arguments = {"z_dim": 4, "c_dim": 0, "w_dim": 5, "img_resolution": 8, "img_channels": 3}
    with pytest.raises(RosettaError, match=r"stylegan2: init_res is .*; give the height and the"):
        stylegan2.build(arguments={**arguments, "synthesis_kwargs": {}, "init_res": sides})


def test_a_stylegan_xl_without_classes_is_converted_with_its_unused_embedding(
    tmp_path: Path, capsys
) -> None:
    arguments = {
        "z_dim": 4, "c_dim": 0, "w_dim": 5, "img_resolution": 16, "img_channels": 3,
        "channel_base": 64, "channel_max": 4, "num_layers": 6,
    }  # fmt: skip
    torch.manual_seed(0)
    built = stylegan_xl.build(arguments={**arguments, "class_embedding_shape": [6, 2]}).network
    expected = built.state_dict()
    SYNTHESIS.clear()
    SYNTHESIS.update(conv_kernel=3, layer_names=list(built.synthesis.layer_names))
    built.mapping.embed = nn.Embedding(6, 2)
    source, target = tmp_path / "network.pkl", tmp_path / "clean.safetensors"
    generator = pickled(built, class_name="Generator", _init_args=(), _init_kwargs=arguments)
    source.write_bytes(file(generator))
    assert main(["convert", str(source), str(target)]) == 0
    pivot = yaml.safe_load(capsys.readouterr().out)["pivot"]
    assert pivot["family"] == "stylegan_xl"
    assert pivot["arguments"]["c_dim"] == 0
    for path, weights in ((target, pivot["weights"]), (source, {"file": str(source)})):
        model = ModelSpec(**{**pivot, "weights": weights})
        check_fit(model, path, tmp_path / "resources")
        loaded = load(model, path, device=CPU).network.state_dict()
        assert loaded.keys() == expected.keys()
        assert all(torch.equal(loaded[name], value) for name, value in expected.items())


def test_tensors_that_share_memory_or_lie_across_are_written_as_they_read(tmp_path: Path) -> None:
    source, target = tmp_path / "network.pkl", tmp_path / "network.safetensors"
    twice = network(state(_parameters=pairs(weight()), _buffers=pairs(weight())))
    source.write_bytes(file(network(state(_modules=pairs({"a": twice, "b": twice})))))
    done = convert(source, target)
    assert (done.family, done.tensors, done.numbers) == (None, 2, 12)
    assert load_file(target)["b.weight"].tolist() == [[0, 2, 4], [1, 3, 5]]
    assert read_metadata(target) is None
    assert done.sha256 == file_sha256(target)


def test_a_state_dictionary_of_torch_is_copied(tmp_path: Path, capsys) -> None:
    shared = torch.arange(6, dtype=torch.int64).reshape(2, 3)
    content = {"a": shared.T, "b": shared, "c": torch.tensor(True)}
    torch.save({"ema": content, "step": 3}, tmp_path / "state.pt")
    target = tmp_path / "state.safetensors"
    command = ["convert", str(tmp_path / "state.pt"), str(target)]
    assert main(command) == 2
    assert "'ema' is a dict, not a tensor; choose the entry" in capsys.readouterr().err
    assert not target.exists()
    assert main([*command, "--entry", "ema"]) == 0
    assert "3 tensors with 13 numbers" in capsys.readouterr().out
    found = load_file(target)
    assert all(torch.equal(found[key], value) for key, value in content.items())


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("missing.pkl", "out.safetensors", "missing.pkl: no such file"),
        ("missing.pt", "out.safetensors", "missing.pt: no such file"),
        ("odd.pt", "out.safetensors", "odd.pt: is text ('nothing of the kind'), not weights"),
        ("code.pt", "out.safetensors", "code.pt: has no tensors"),
        ("empty.pkl", "out.safetensors", "empty.pkl: has no tensors"),
        ("unlike.pkl", "out.safetensors", "its arguments build a stylegan2 whose "),
        ("bare.pkl", "out.safetensors", "bare.pkl: stylegan2: argument"),
        ("half.pkl", "out.safetensors", "half.pkl: resembles stylegan"),
        ("empty.pkl", "out.pkl", "end the name in .safetensors"),
        ("same.safetensors", "same.safetensors", "is the source; give another name"),
        ("good.pkl", "empty.pkl/out.safetensors", "cannot be written"),
    ],
)
def test_what_cannot_be_converted_is_one_line_and_writes_nothing(
    source: str, target: str, said: str, tmp_path: Path, capsys
) -> None:
    block = network(state(block_resolutions=b"(K\x04K\x08l", _parameters=pairs(weight())))
    sizes = {key: number(8) for key in ("z_dim", "w_dim", "img_resolution", "img_channels")}
    sizes["c_dim"] = number(0)
    unlike = {"_modules": pairs({"synthesis": block}), "_init_kwargs": pairs(sizes)}
    half = network(state(conv_kernel=number(3)))
    both = pairs({"synthesis": half, "mapping": network()})
    torch.save(torch.nn.Identity(), saved := BytesIO())
    contents = {
        "odd.pt": b"nothing of the kind",
        "code.pt": saved.getvalue(),
        "empty.pkl": file(network()),
        "bare.pkl": file(network(state(_modules=pairs({"synthesis": block})))),
        "good.pkl": file(network(state(_parameters=pairs(weight())))),
        "unlike.pkl": file(network(state(**unlike))),
        "half.pkl": file(network(state(_modules=both), class_name=text("SuperresGenerator"))),
        "same.safetensors": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert main(["convert", str(tmp_path / source), str(tmp_path / target)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == contents.keys()
    assert all((tmp_path / name).read_bytes() == content for name, content in contents.items())


def test_metadata_that_means_nothing_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    for metadata in (
        {"family": "stylegan2"},
        {"family": "stylegan2", "arguments": "[1]"},
        {"family": "os", "arguments": "{}"},
        {"family": "stylegan2", "arguments": "[" * 100_000},
    ):
        save_file({"a": torch.zeros(1)}, path, metadata=metadata)
        with pytest.raises(RosettaError, match=r"weights\.safetensors: "):
            read_metadata(path)
    path.write_bytes(b"")
    with pytest.raises(RosettaError, match="metadata cannot be read"):
        read_metadata(path)


def test_the_network_is_built_as_its_file_says(tmp_path: Path) -> None:
    """A clamp changes images and no tensor: the file's counts, not the configuration's."""
    golden = Golden("stylegan2_nv_cond_r32_clamp")
    own = golden.about["init_kwargs"]
    path = tmp_path / "clamped.safetensors"
    metadata = {"family": "stylegan2", "arguments": json.dumps(own)}
    save_file(golden.under("state"), path, metadata=metadata)
    other = {
        "name": "m",
        "family": "stylegan2",
        "arguments": {**own, "conv_clamp": None},
        "weights": {"file": str(path)},
    }
    loaded = load(ModelSpec(**other), path, device=CPU)
    ws, wanted = golden.array("in/wplus"), golden.array("out/wplus/image")
    with torch.no_grad():
        assert_near(loaded.network.synthesis(ws), wanted, family="stylegan2")
        without = build(ModelSpec(**other))
        without.network.load_state_dict(golden.under("state"))
        assert (without.network.synthesis(ws) - wanted).abs().max() > 1e-3
    with pytest.raises(RosettaError, match="is of family stylegan2, not stylegan3"):
        load(
            ModelSpec(
                name="m", family="stylegan3", architecture="t-256", weights={"file": str(path)}
            ),
            path,
            device=CPU,
        )
