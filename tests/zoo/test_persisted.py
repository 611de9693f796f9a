"""Networks in official pickles come out as they went in, whatever wrote them and how."""

import json
import pickle
import sys
from collections import OrderedDict, defaultdict
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from golden import FOLDER, Golden
from pickled import file, network, pairs, raw, state, storage, tensor
from torch import nn

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.weights.pickles.networks import read_pickled_data, read_pickled_network

STRUCTURES = [path.stem for path in sorted(FOLDER.glob("pickle_structure_*.pkl"))]
EDGES = [path.stem for path in sorted(FOLDER.glob("pickle_edge_tensors_*.pkl"))]
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def about(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_averaged_generator_has_its_state_and_arguments(name: str) -> None:
    told = about(name)
    module = read_pickled_network(FOLDER / told["file"])
    assert module.class_name == told["G_ema_class_name"]
    assert json.loads(json.dumps(module.arguments)) == told["G_ema_init_kwargs"]
    assert list(module.positional) == told["G_ema_init_args"]
    found, wanted = module.state_dict(), Golden(told["golden"]).under("state")
    assert list(found) == list(wanted)
    for key, value in wanted.items():
        assert not found[key].requires_grad
        assert found[key].device.type == "cpu"
        assert torch.equal(found[key].to(value.dtype), value), key


@pytest.mark.parametrize("name", STRUCTURES)
def test_every_known_network_of_a_file_is_read_and_every_other_is_named(name: str) -> None:
    told = about(name)
    for key, kind in told["value_types"].items():
        path = FOLDER / told["file"]
        if kind.startswith("persistent object"):
            assert read_pickled_network(path, key).class_name == kind.rpartition(" ")[2]
        elif kind.startswith("builtins."):
            with pytest.raises(RosettaError, match=f"its {key} is a {kind[9:]}, not a network"):
                read_pickled_network(path, key)
        else:
            with pytest.raises(RosettaError, match=f"needs {kind}, which rosetta does not support"):
                read_pickled_network(path, key)


@pytest.mark.parametrize("name", EDGES)
def test_tensors_of_many_kinds_come_out_bit_equal(name: str) -> None:
    told, wanted = about(name), np.load(FOLDER / f"{name}.npz")
    content = read_pickled_data(FOLDER / told["file"])
    for key, kind in told["tensors"].items():
        found = content["tensors"][key]
        assert str(found.dtype) == f"torch.{kind['dtype']}", key
        assert list(found.shape) == kind["shape"], key
        assert list(found.stride()) == kind["stride"], key
        assert found.storage_offset() == kind["storage_offset"], key
        shown = found.float() if found.dtype == torch.bfloat16 else found
        np.testing.assert_array_equal(shown.numpy(), wanted[key], err_msg=key)
    for first in (key for key in told["tensors"] if key.endswith("_a")):
        assert content["tensors"][first] is content["tensors"][f"{first[:-1]}b"]
    extra = content["extra"]
    for key, value in told["extra"].items():
        if isinstance(value, str):
            continue  # described in words: what is nested
        if isinstance(extra[key], np.ndarray | set):
            assert sorted(extra[key]) == sorted(value), key
        else:
            assert json.loads(json.dumps(extra[key])) == value, key
    deep = extra["nested"][0]["deep"]
    np.testing.assert_array_equal(deep.numpy(), wanted["extra_nested_deep"])


class EasyDict(dict):
    """As the official projects have it."""


def _reconstruct_persistent_obj(meta: dict[str, Any]) -> None:
    """As the official projects have it, but for what it does."""


class Block(nn.Module):
    def __init__(self, width: int, **options: Any) -> None:
        super().__init__()
        self._init_args, self._init_kwargs = (width,), EasyDict(options)
        self.width, self.rate, self.sizes = width, np.float64(0.25), [np.int64(width), None]
        self.taps = np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3))
        self.kinds = {"wide": frozenset({1, 2}), (1, "a"): 2.5, "counts": defaultdict(list, a=1)}
        self.dtype, self.shape, self.device = torch.float16, torch.Size([2, 3]), torch.device("cpu")
        self.weight = nn.Parameter(torch.randn(width, 3).T)
        self.register_parameter("bias", None)
        self.register_buffer("filter", torch.randn(2, 2, dtype=torch.float64))
        self.register_buffer("grid", torch.ones(3), persistent=False)
        self.register_buffer("nothing", None)
        self.norm = nn.utils.spectral_norm(nn.Linear(3, width, bias=False))
        self.layers = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Embedding(4, width))
        self.twin = self.layers[2]
        self.register_module("absent", None)


class Official(pickle.Pickler):
    """Pickles blocks as the official projects pickle their modules."""

    def reducer_override(self, thing: Any) -> Any:
        if not isinstance(thing, Block):
            return NotImplemented
        older = {"_buffers": OrderedDict(thing._buffers), "_modules": OrderedDict(thing._modules)}
        attributes = {**vars(thing), **older, "none": OrderedDict()}
        told = {"type": "class", "version": 6, "module_src": "raise SystemExit"}
        told |= {"class_name": "Block", "state": attributes}
        return _reconstruct_persistent_obj, (told,)


@pytest.fixture
def written(monkeypatch, tmp_path: Path):
    """Write a value into a pickle in which globals have the official projects' names."""
    official = {"torch_utils.persistence": _reconstruct_persistent_obj, "dnnlib.util": EasyDict}
    for module, thing in official.items():
        package = module.partition(".")[0]
        monkeypatch.setitem(sys.modules, package, ModuleType(package))
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
        monkeypatch.setattr(sys.modules[module], thing.__name__, thing, raising=False)
        monkeypatch.setattr(thing, "__module__", module)

    def write(value: Any, protocol: int) -> Path:
        content, path = BytesIO(), tmp_path / f"{protocol}.pkl"
        Official(content, protocol).dump(value)
        path.write_bytes(content.getvalue())
        return path

    return write


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_keeps_state_arguments_and_attributes(written, protocol: int) -> None:
    block = Block(5, gain=0.5, nested=EasyDict(taps=[1, 3, 3, 1], kind="a\nb ü"))
    module = read_pickled_network(written(EasyDict(G=Block(2), G_ema=block), protocol))
    found, wanted = module.state_dict(), block.state_dict()
    assert list(found) == list(wanted)
    for key, value in wanted.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value), key
    assert module.positional == (5,)
    assert module.arguments == {"gain": 0.5, "nested": {"taps": [1, 3, 3, 1], "kind": "a\nb ü"}}
    assert module.parameters["bias"] is None
    assert module.buffers["grid"].tolist() == [1, 1, 1]
    assert module.modules["absent"] is None
    assert module.modules["layers"].modules["0"].class_name == "BatchNorm2d"
    assert module.modules["layers"].modules["2"].attributes["num_embeddings"] == 4
    kept = module.attributes
    assert (kept["width"], kept["rate"], kept["sizes"]) == (5, 0.25, [5, None])
    assert kept["taps"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert kept["kinds"] == {"wide": {1, 2}, (1, "a"): 2.5, "counts": {"a": 1}}
    assert (kept["dtype"], kept["shape"], kept["device"]) == (torch.float16, (2, 3), "cpu")
    assert kept["training"] is True


PLAIN = [0, -1, 255, -(2**31), 2**100, 0.1, float("inf"), True, None, "ü\n\\", "", b"\0\xff", b""]
PLAIN += [{1, 2}, (), ((1,),), {"a": 1}, [[], {}]]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_keeps_numbers_and_texts(written, protocol: int) -> None:
    assert repr(read_pickled_data(written(PLAIN, protocol))) == repr(PLAIN)
    others = [bytearray(b"ab"), OrderedDict(a=1), np.arange(3)[::2], np.float32(0.5), np.True_]
    found = read_pickled_data(written(others, protocol))
    assert repr(found) == repr([b"ab", {"a": 1}, np.array([0, 2]), 0.5, True])


def test_the_device_that_a_tensor_lay_on_makes_no_difference(tmp_path: Path) -> None:
    numbers = torch.randn(3)
    on_gpu = storage(numbers).replace(b"\3\0\0\0cpu", b"\6\0\0\0cuda:7")
    assert b"cuda:7" in on_gpu
    path = tmp_path / "network.pkl"
    weights = pairs({"weight": tensor(raw(on_gpu), sizes=(3,), strides=(1,))})
    path.write_bytes(file(network(state(_parameters=weights))))
    assert torch.equal(read_pickled_network(path).state_dict()["weight"], numbers)


def test_a_file_that_is_not_there_or_has_other_keys(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    with pytest.raises(RosettaError, match=r"network\.pkl: no such file"):
        read_pickled_network(path)
    path.write_bytes(file(network()))
    with pytest.raises(RosettaError, match="has no entry 'G', but G_ema"):
        read_pickled_network(path, "G")
