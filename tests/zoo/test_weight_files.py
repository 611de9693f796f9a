"""Files of weights of every kind: read as data, compared with the network, or named in one line."""

import argparse
import collections
import datetime
import enum
import gzip
import io
import json
import pathlib
import pickle
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import tiny
from safetensors.torch import save, save_file
from small_zoo import BIGGAN
from torch import nn

from rosetta_core.config import Config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.stages.tools.check import check_config
from rosetta_core.zoo.generators.stylegan3.stylegan_xl import build as build_xl
from rosetta_core.zoo.loading import build, load
from rosetta_core.zoo.model_info import check_fit
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.weights.assignment import Reading, load_weights
from rosetta_core.zoo.weights.checkpoints import extract_state_dict, read_checkpoint
from rosetta_core.zoo.weights.formats import file_format
from rosetta_core.zoo.weights.local import FileWeights
from rosetta_core.zoo.weights.shards import weights_digest

CPU = torch.device("cpu")
NET = {"name": "net", "family": "mtcnn_onet"}  # small


def spec(path: Path, **settings: Any) -> ModelSpec:
    return ModelSpec(**NET, weights={"file": str(path), **settings})


RESOURCES: list[Path] = []  # a folder in which descriptions of the models are kept


@pytest.fixture(scope="module", autouse=True)
def resources(shared: Path) -> None:
    RESOURCES[:] = [shared / "resources of files of weights"]


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    model = ModelSpec(**NET, weights={"random": 7})
    return load(model, None, device=CPU).network.state_dict()


def is_loaded(path: Path, state: dict[str, torch.Tensor], **settings: Any) -> bool:
    loaded = load(spec(path, **settings), path, device=CPU).network.state_dict()
    return all(torch.equal(loaded[name], value) for name, value in state.items())


def config_of(path: Path, **settings: Any) -> Config:
    encoder = {**NET, "weights": {"file": str(path), **settings}, "layers": ["prelu1"]}
    return parse_config(
        tiny(
            encoders=[encoder],
            pivot={"weights": "random", "layers": ["main.8"]},
            resources=str(RESOURCES[0]),
        )
    )


def refusal(path: Path, **settings: Any) -> str:
    """What the check of a file says, which the job that loads the file says too."""
    with pytest.raises(RosettaError) as caught:
        check_fit(spec(path, **settings), path, RESOURCES[0])
    with pytest.raises(RosettaError) as later:
        load(spec(path, **settings), path, device=CPU)
    assert str(caught.value) == str(later.value)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
    return str(later.value).removeprefix(f"{path}: ")


class Kind(enum.Enum):
    ONE = 1


class Recorder:
    """Notes whether anything of it was made."""

    made = False

    def __reduce__(self):
        return _make, ()


def _make() -> None:
    Recorder.made = True


class Settings(dict):
    """As Lightning's AttributeDict."""


BESIDE: dict[str, Any] = {
    "namespace": argparse.Namespace(lr=0.1, path=pathlib.Path("x")),
    "path": pathlib.PurePosixPath("/tmp/x"),
    "numpy scalar": np.float64(0.5),
    "numpy array": np.arange(3),
    "numpy objects": np.array([None, "x"], dtype=object),
    "enum": Kind.ONE,
    "date": datetime.datetime(2024, 1, 1),
    "simple": SimpleNamespace(a=1),
    "settings": Settings(a=1),
    "counter": collections.Counter("abc"),
    "set of paths": {pathlib.PurePosixPath("x")},
    "odd keys": {pathlib.PurePosixPath("x"): 1, (1, 2): 3, "kept": 4},
    "dtype": torch.float16,
    "generator": torch.Size([2]),
    "loss": nn.CrossEntropyLoss(),
    "slice": slice(1, 2),
    "code": Recorder(),
    "function": print,
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("key", BESIDE)
def test_objects_beside_the_tensors_are_not_made(
    tmp_path: Path, state: dict[str, torch.Tensor], key: str, legacy: bool
) -> None:
    path = tmp_path / "w.ckpt"
    content = {"epoch": 3, "hyper_parameters": BESIDE[key], "state_dict": state}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    assert is_loaded(path, state, entry="state_dict")
    check_fit(spec(path, entry="state_dict"), path, RESOURCES[0])
    assert not Recorder.made


def test_a_lightning_checkpoint_with_an_optimiser_and_omegaconf(
    tmp_path: Path, state, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OmegaConf is not installed: classes of its names are pickled."""
    omegaconf = ModuleType("omegaconf")
    for name in ("DictConfig", "ContainerMetadata", "AnyNode"):
        setattr(omegaconf, name, type(name, (), {"__module__": "omegaconf"}))
    monkeypatch.setitem(sys.modules, "omegaconf", omegaconf)
    config = omegaconf.DictConfig()
    config.__dict__ |= {"_content": {"lr": omegaconf.AnyNode()}, "_metadata": None}
    net = nn.Linear(2, 2)
    optimiser = torch.optim.AdamW(net.parameters())
    net(torch.zeros(1, 2)).sum().backward()
    optimiser.step()
    content = {
        "pytorch-lightning_version": "2.4.0",
        "callbacks": {"ModelCheckpoint{'every': 1}": {"best": pathlib.PosixPath("x")}},
        "optimizer_states": [optimiser.state_dict()],
        "hyper_parameters": config,
        "state_dict": renamed("model.")(state),
    }
    torch.save(content, tmp_path / "w.ckpt")
    monkeypatch.delitem(sys.modules, "omegaconf")
    assert is_loaded(tmp_path / "w.ckpt", state, entry="state_dict", prefix="model.")


@pytest.mark.parametrize("nested", [False, True])
def test_a_whole_pickled_module_has_a_state_dict(tmp_path: Path, nested: bool) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    torch.save({"model": net, "epoch": 1} if nested else net, tmp_path / "w.pt")
    content = read_checkpoint(tmp_path / "w.pt").content
    state = extract_state_dict(content, "model" if nested else None, path=tmp_path / "w.pt")
    assert list(state) == list(net.state_dict())
    assert all(torch.equal(state[name], x) for name, x in net.state_dict().items())


@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_are_those_of_torch(tmp_path: Path, legacy: bool) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    content: dict[str, Any] = {
        f"of {dtype}": torch.tensor([0, 1, 1]).to(dtype)
        for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.bool,
                      torch.complex64, torch.uint8, torch.int64)
    }  # fmt: skip
    if not legacy:
        content["float8"] = torch.tensor([0.5, 1.0]).to(torch.float8_e4m3fn)
        content["uint16"] = torch.tensor([1, 2]).to(torch.uint16)
    content |= {
        "transposed": base.T,
        "part": base[1:3, ::2],
        "scalar": torch.tensor(3.0),
        "none": torch.empty(0, 3),
        "expanded": torch.ones(1, 5).expand(7, 5),
        "parameter": nn.Parameter(torch.randn(3)),
        "buffer": nn.Buffer(torch.randn(2)),
    }
    torch.save(content, tmp_path / "w", _use_new_zipfile_serialization=not legacy)
    found = read_checkpoint(tmp_path / "w").content
    shapes = read_checkpoint(tmp_path / "w", shapes_only=True).content
    assert list(found) == list(content)
    for name, value in content.items():
        assert found[name].dtype == value.dtype == shapes[name].dtype, name
        assert found[name].shape == value.shape == shapes[name].shape, name
        assert shapes[name].is_meta
        assert (
            found[name].view(torch.uint8).tolist() == value.detach().view(torch.uint8).tolist()
            if value.dtype.itemsize == 1
            else torch.equal(found[name], value)
        ), name


def test_an_archive_that_was_compressed_again_or_has_no_checksums(tmp_path: Path, state) -> None:
    torch.save(state, tmp_path / "w")
    with (
        zipfile.ZipFile(tmp_path / "w") as source,
        zipfile.ZipFile(tmp_path / "z", "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert is_loaded(tmp_path / "z", state)
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(state, tmp_path / "n")
    finally:
        torch.serialization.set_crc32_options(True)
    assert is_loaded(tmp_path / "n", state)


def renamed(prefix: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda state: {f"{prefix}{name}": value for name, value in state.items()}


PREFIXES = ["module.", "_orig_mod.", "model.", "module._orig_mod.", "backbone.", "a.b.c."]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_prefix_is_suggested_by_name_and_found_by_itself(
    tmp_path: Path, state, prefix: str
) -> None:
    path = tmp_path / "w.safetensors"
    save_file(renamed(prefix)(state), path)
    assert f"have the prefix {prefix!r}; set prefix: {prefix}" in refusal(path)
    for setting in (prefix, "auto"):
        assert is_loaded(path, state, prefix=setting)
        check_fit(spec(path, prefix=setting), path, RESOURCES[0])


def test_auto_leaves_other_parts_out_and_asks_where_two_fit(tmp_path: Path, state) -> None:
    heads = {"head.0.weight": torch.zeros(3), "module.head.weight": torch.zeros(2)}
    save_file({**renamed("module.student.")(state), **heads}, tmp_path / "a.safetensors")
    assert is_loaded(tmp_path / "a.safetensors", state, prefix="auto")
    save_file(state, tmp_path / "b.safetensors")
    assert is_loaded(tmp_path / "b.safetensors", state, prefix="auto")
    copies = {name: value.clone() for name, value in state.items()}
    both = {**renamed("student.")(state), **renamed("teacher.")(copies)}
    save_file(both, tmp_path / "c.safetensors")
    said = refusal(tmp_path / "c.safetensors", prefix="auto")
    assert "prefixes 'student.' and 'teacher.' fit equally well; set prefix to one" in said
    assert is_loaded(tmp_path / "c.safetensors", state, prefix="teacher.")
    save_file({"x": torch.zeros(1)}, tmp_path / "d.safetensors")
    assert "has none of the network's parameters" in refusal(
        tmp_path / "d.safetensors", prefix="auto"
    )
    save_file(renamed("module.")(state), tmp_path / "e.safetensors")
    assert "set prefix: module." in refusal(tmp_path / "e.safetensors", prefix="mod")


def test_a_checkpoint_names_its_entries(tmp_path: Path, state) -> None:
    torch.save({"epoch": 1, "state_dict": state}, tmp_path / "a")
    assert "set entry: state_dict" in refusal(tmp_path / "a")
    torch.save({"student": state, "teacher": state}, tmp_path / "b")
    assert "set entry to one of ['student', 'teacher']" in refusal(tmp_path / "b")
    assert "has no entry 'model'; choose from ['student'" in refusal(tmp_path / "b", entry="model")
    torch.save([1, 2], tmp_path / "c")
    assert "holds a list, not a state dict" in refusal(tmp_path / "c")


def changed(name: str, change: Callable[[torch.Tensor], Any]) -> Callable[[dict], dict]:
    return lambda state: {**state, name: change(state[name])}


MISFITS: list[tuple[Callable[[dict], dict], str]] = [
    (
        changed("dense5.weight", lambda x: x[:10]),
        r"shape (10, 1152), but the network needs (256, 1152)",
    ),
    (changed("conv1.weight", lambda x: x.to(torch.int8)), "has quantised int8 numbers"),
    (changed("dense5.bias", lambda x: x.to(torch.uint8)), "has quantised uint8 numbers"),
    (changed("dense5.bias", lambda x: x.to(torch.complex64)), "complex64 numbers"),
    (changed("dense5.bias", lambda x: x.to(torch.float8_e4m3fn)), "float8_e4m3fn numbers"),
    (
        lambda state: {k: v for k, v in state.items() if k != "dense5.bias"},
        "'dense5.bias' is missing",
    ),
    (lambda state: {**state, "more": torch.zeros(1)}, "'more' belongs to another network"),
    (changed("dense5.bias", lambda x: x.numpy()), "'dense5.bias' is a ndarray, not a plain tensor"),
    (
        changed("dense5.weight", lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8)),
        "'dense5.weight' is a torch._utils._rebuild_qtensor, not a plain tensor",
    ),
]


@pytest.mark.parametrize(("change", "said"), MISFITS)
def test_what_does_not_fit_is_refused_by_the_check(
    tmp_path: Path, state, change: Callable[[dict], dict], said: str
) -> None:
    path = tmp_path / "w.pt"
    torch.save(change(state), path)
    assert said in refusal(path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_every_width_are_converted(tmp_path: Path, state, dtype: torch.dtype) -> None:
    save_file({name: value.to(dtype) for name, value in state.items()}, tmp_path / "w")
    loaded = load(spec(tmp_path / "w"), tmp_path / "w", device=CPU).network.state_dict()
    assert all(
        torch.equal(loaded[name], value.to(dtype).to(value.dtype))
        for name, value in state.items()
        if value.is_floating_point()
    )


def test_in_order_a_bias_is_not_a_weight(tmp_path: Path) -> None:
    """Weight and bias of BatchNorm have one shape, so only their names tell them apart."""
    state = {"x.bias": torch.zeros(3), "x.weight": torch.ones(3)}
    state |= {"x.running_mean": torch.zeros(3), "x.running_var": torch.ones(3)}
    torch.save(state, tmp_path / "w")
    reading = Reading(weights=FileWeights(file=str(tmp_path / "w"), match="order"))
    with pytest.raises(RosettaError, match=r"match: order assigns 'x.bias' to 'weight'"):
        load_weights(nn.BatchNorm1d(3), tmp_path / "w", reading)


def test_the_check_of_a_run_names_the_model_and_is_repeated_for_another_file(
    tmp_path: Path, state
) -> None:
    path = tmp_path / "w.safetensors"
    for _ in range(2):
        save_file(renamed("module.")(state), path)
        with pytest.raises(RosettaError, match=r"^net: .*w.safetensors: .*set prefix: module\."):
            check_config(config_of(path))
        save_file(state, path)
        check_config(config_of(path))
    path = shards(tmp_path, state)
    check_config(config_of(path))
    (tmp_path / "model-00001-of-00002.safetensors").unlink()
    with pytest.raises(RosettaError, match=r"^net: .*model-00001-of-00002.safetensors is missing"):
        check_config(config_of(path))


def shards(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    names = sorted(state)
    files = {f"model-0000{i}-of-00002.safetensors": names[i - 1 :: 2] for i in (1, 2)}
    for file, part in files.items():
        save_file({name: state[name] for name in part}, folder / file)
    index = {"metadata": {}, "weight_map": {n: f for f, part in files.items() for n in part}}
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index))
    return path


def test_sharded_safetensors_are_read_by_their_index(tmp_path: Path, state) -> None:
    path = shards(tmp_path, state)
    assert is_loaded(path, state)
    check_fit(spec(path), path, RESOURCES[0])
    before = weights_digest(path)
    shard = tmp_path / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-4] + bytes(4))
    assert weights_digest(path) != before
    shard.unlink()
    assert "model-00002-of-00002.safetensors is missing next to it" in refusal(path)


@pytest.mark.parametrize("file", ["../w.safetensors", "/w.safetensors", "a/b", "..", "", 3, "a\\b"])
def test_an_index_names_only_files_next_to_it(tmp_path: Path, file: object) -> None:
    save({"w": torch.zeros(1)})
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"dense5.weight": file}}))
    assert "which is not a file next to it" in refusal(path)


@pytest.mark.parametrize("file", ["a.index.json@.safetensors", "model.safetensors.index.json"])
def test_an_index_names_no_further_index(tmp_path: Path, file: str) -> None:
    """A server could send one index after the other for ever."""
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"dense5.weight": file}}))
    assert "which is not safetensors" in refusal(path)


def test_an_index_of_pickles_or_a_false_one_is_refused(tmp_path: Path, state) -> None:
    path = tmp_path / "pytorch_model.bin.index.json"
    path.write_text(json.dumps({"weight_map": {"dense5.weight": "a.bin"}}))
    (tmp_path / "a.bin").write_bytes(b"")
    assert "names 'a.bin', which is not safetensors" in refusal(path)
    path = shards(tmp_path, state)
    index = json.loads(path.read_text())
    index["weight_map"]["extra"] = "model-00001-of-00002.safetensors"
    path.write_text(json.dumps(index))
    assert "lacks 'extra', which model.safetensors.index.json places there" in refusal(path)


def scripted() -> bytes:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), buffer := io.BytesIO())
    return buffer.getvalue()


def zipped(**files: bytes) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_DOT_", "."), content)
    return buffer.getvalue()


def arrays() -> bytes:
    np.savez(buffer := io.BytesIO(), a=np.zeros(2))
    return buffer.getvalue()


def tarred() -> bytes:
    with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    return buffer.getvalue()


def saved(*, legacy: bool = False) -> bytes:
    tensors = {"w": torch.zeros(5000)}
    torch.save(tensors, buffer := io.BytesIO(), _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 4\n"
FOREIGN: list[tuple[str, bytes | Callable[[], bytes], str]] = [
    ("a.pt", scripted, "is a TorchScript program, not weights; export its state dict"),
    ("b.pt", LFS, "is a Git LFS pointer, not the file; run git lfs pull"),
    ("c.pt", b"<!DOCTYPE html><html>", "is a web page (HTML), not the file"),
    ("d.pt", b"\n <HTML><body>404", "is a web page (HTML), not the file"),
    ("e.pt", b'<?xml version="1.0"?><Error>', "is an XML document, for example an error"),
    ("f.pt", b'{"error": "denied"}', "is a JSON file, for example a configuration"),
    ("g.onnx", b"\x08\x07\x12\x07pytorch", "is an ONNX file, which is a program"),
    ("h.bin", b"\x08\x07\x12\x07pytorch", "is an ONNX file, which is a program"),
    ("i.h5", b"\x89HDF\r\n\x1a\n\0\0", "is an HDF5 file (h5), as Keras writes"),
    ("j.npz", arrays, "is a NumPy archive (npz)"),
    ("k.npy", b"\x93NUMPY\x01\0", "is a NumPy array"),
    ("l.gguf", b"GGUF\x03\0\0\0", "is a GGUF file, whose weights are quantised"),
    ("m.gz", gzip.compress(b"x"), "is compressed with gzip; decompress it"),
    ("n.tar", tarred, "is a tar archive; decompress it"),
    ("o.zip", lambda: zipped(a_DOT_txt=b"x"), "but a zip archive of 'a.txt'; unpack it"),
    ("p.pt", lambda: zipped(x=b"", constants_DOT_pkl=b"", data_DOT_pkl=b""), "TorchScript"),
    ("q.pt2", lambda: zipped(archive_format=b"pt2"), "is a program of torch.export"),
    ("r.keras", lambda: zipped(model_DOT_weights_DOT_h5=b""), "is a Keras model"),
    ("s.pt", b"", "is empty; download it again"),
    ("t.pt", bytes(5000), "starts with zero bytes, as an unfinished download does"),
    ("u.pt", b"just text\nof two lines", "is text ('just text'), not weights"),
    ("v.tflite", b"\x1c\0\0\0TFL3", "is a TensorFlow Lite program"),
    ("w.pb", b"\x0a\x05\x01\x00\x00", "is a TensorFlow graph"),
    ("x.msgpack", b"\x81\xa6params\x80", "is a msgpack file, as Flax writes"),
    ("y.png", b"\x89PNG\r\n", "is an image (PNG)"),
    ("z.bin", b"\x01\x00\x02\x03\xff\xfe", "is neither safetensors nor a torch.save nor a pickle"),
    ("A.pt", lambda: saved()[:9000], "is a torch.save or another zip file, cut short or damaged"),
    ("B.pt", lambda: saved(legacy=True)[:9000], "the file is cut short"),
    ("C.pt", lambda: saved(legacy=True)[:60], "cannot be read as weights"),
    ("D.safetensors", lambda: save({"w": torch.zeros(99)})[:-9], "9 bytes are missing at its end"),
    ("E.safetensors", lambda: save({"w": torch.zeros(99)})[:20], "is a safetensors file cut short"),
    ("F.annex", b"/annex/objects/SHA256E-s1--12", "is a git-annex pointer"),
    (
        "H.pkl",
        lambda: pickle.dumps({"model": {"w": np.zeros(3)}}),
        "NumPy arrays, as of detectron2",
    ),
    (
        "I.pkl",
        lambda: pickle.dumps({"blobs": {"w": np.zeros(3)}}, 2),
        "as of detectron2 and Caffe2",
    ),
    (
        "J.pkl",
        b"\x80\x02cdnnlib.tflib.network\nNetwork\n.",
        "is a TensorFlow network, as the first",
    ),
    ("K.pkl", b"\x80\x02csklearn.svm\nSVC\n.", "is a model of scikit-learn"),
    ("G.pkl", b"\x80\x04", "cannot be read as a pickled network"),
]


@pytest.mark.parametrize(("name", "content", "said"), FOREIGN, ids=[case[0] for case in FOREIGN])
def test_other_files_are_named_with_what_to_do(
    tmp_path: Path, name: str, content: bytes | Callable[[], bytes], said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content())
    message = refusal(path)
    assert said in message
    assert ";" in message


def test_a_folder_is_not_a_file_of_weights(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert "is a folder; give the file of weights in it" in refusal(tmp_path / "model")


@pytest.mark.parametrize("cut", range(0, 100, 7))
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_file_cut_anywhere_is_one_line(tmp_path: Path, kind: str, cut: int) -> None:
    tensors = {"w": torch.zeros(50)}
    whole = save(tensors) if kind == "safetensors" else saved(legacy=kind == "legacy")
    path = tmp_path / "w"
    path.write_bytes(whole[: len(whole) * cut // 100])
    with pytest.raises(RosettaError) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_stale_weights_of_biggan_are_ignored(tmp_path: Path) -> None:
    """Some files hold the weight of a last pass next to the one that it was computed from."""
    given = {"name": "gan", "family": "biggan", "arguments": BIGGAN}
    state = build(ModelSpec(**given, weights="random")).network.state_dict()
    stale = {n.removesuffix("_orig"): torch.zeros(1) for n in state if n.endswith(".weight_orig")}
    assert len(stale) > 10
    torch.save({**stale, **state}, tmp_path / "w.bin")
    model = ModelSpec(**given, weights={"file": str(tmp_path / "w.bin")})
    loaded = load(model, tmp_path / "w.bin", device=CPU).network.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())


def test_the_unused_embedding_of_a_stylegan_xl_without_classes_is_accepted(tmp_path: Path) -> None:
    arguments = {
        "z_dim": 4, "c_dim": 0, "w_dim": 5, "img_resolution": 16, "img_channels": 3,
        "channel_base": 64, "channel_max": 4, "num_layers": 6, "class_embedding_shape": [6, 2],
    }  # fmt: skip
    state = build_xl(arguments=arguments).network.state_dict()
    save_file({**state, "mapping.embed.weight": torch.zeros(6, 2)}, tmp_path / "w")
    given = {"name": "gan", "family": "stylegan_xl", "arguments": arguments}
    model = ModelSpec(**given, weights={"file": str(tmp_path / "w")})
    loaded = load(model, tmp_path / "w", device=CPU).network.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in state.items())
    save_file({**state, "mapping.other.weight": torch.zeros(6, 2)}, tmp_path / "w")
    with pytest.raises(RosettaError, match=r"'mapping.other.weight' belongs to another network"):
        load(model, tmp_path / "w", device=CPU)


def test_formats_are_recognised_without_torch(tmp_path: Path) -> None:
    for name, content in (("a", save({"w": torch.zeros(1)})), ("b", saved())):
        (tmp_path / name).write_bytes(content)
    assert [file_format(tmp_path / name) for name in "ab"] == ["safetensors", "torch"]
