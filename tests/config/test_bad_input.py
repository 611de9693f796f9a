"""Invalid input is refused in one line, with exit code 2, before anything is written."""

import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import ROOT, tiny
from PIL import Image
from safetensors.torch import save_file

from rosetta_core.cli.main import main
from rosetta_core.config import Config, parse_config
from rosetta_core.config.images import SAMPLES
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.tools.check import check_config
from rosetta_core.steering.images import SAMPLES as NAMES
from rosetta_core.steering.images import sample_image

CONFIG = "c.yaml"


def model(**changes: Any) -> dict[str, Any]:
    return {"name": "m", "family": "mtcnn_onet", "weights": {"file": "w.pt"}, **changes}


def steering(**jobs: Any) -> dict[str, Any]:
    """One steering job per kind, with its required keys."""
    common = {"invert": {"name": "a", "image": {"seed": 0}}, "show": {"name": "b"}}
    common |= {"edit": {"name": "c"}, "tune": {"name": "d"}, "evaluate": {"name": "e"}}
    return {
        "steering": {
            kind: [{**common[kind], **job}] if kind in common else job for kind, job in jobs.items()
        }
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with damaged and misnamed files."""
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (64, 48), "red").save("whole.jpg")
    Path("torn.jpg").write_bytes(Path("whole.jpg").read_bytes()[:300])
    Path("empty.png").touch()
    Path("text.png").write_text("no image")
    Path("bomb.png").write_bytes(b"P5 20000 20000 255\n")  # any reader goes by the content
    Image.new("L", (32, 32)).save("small.png")
    Path("folder").mkdir()
    Path("photos").mkdir()
    Image.new("RGB", (9, 9)).save("photos/0.png")
    Path("photos/1.png").touch()
    Path("w.pt").write_bytes(b"no weights")
    Path("cut.safetensors").write_bytes((10**9).to_bytes(8, "little") + b'{"a"')
    Path("own.py").write_text("def f(:\n")
    Path("dangling").symlink_to("missing")
    return tmp_path


@pytest.fixture
def weights_file(weights: Config) -> Path:
    """The file of the face detector's weights."""
    path = RunPaths(weights).weights(weights.model("mtcnn_onet"))
    assert path
    return path.resolve()


def refused(arguments: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line with which a command line is refused; nothing is written."""
    before = sorted(Path().rglob("*"))
    try:
        code = main(arguments)
    except SystemExit as exit:
        code = exit.code
    out, err = capsys.readouterr()
    assert message in err
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("rosetta: ")
    assert err.rstrip("\n").isprintable()
    assert sorted(Path().rglob("*")) == before
    return err


PACKAGE = {"package": "a==1", "member": "a/b", "sha256": "0" * 64}
INPUT = {"size": 48, "mean": [0.5, 0.5, 0.5], "std": [1.0, 1.0, 1.0]}
INFINITE, LONG = float("inf"), "x" * 300
NO_SOURCE = {"kind": "zoom", "source_seed": 0}
BROKEN = [
    ({"runn": "x"}, "runn: unknown key (did you mean 'run'?)"),
    ({"sampling": {"imagse": 4}}, "sampling.imagse: unknown key (did you mean 'images'?)"),
    ({"pivot": model(family="dcgan", wieghts={})}, "pivot.wieghts: unknown key"),
    ({"neighbours": {"k": "5"}}, "neighbours.k: input should be a valid integer, not '5'"),
    ({"neighbours": {"k": 0}}, "neighbours.k: input should be greater than or equal to 1, not 0"),
    ({"neighbours": {"k": 2.0}}, "neighbours.k: input should be a valid integer"),
    ({"neighbours": None}, "neighbours: expected keys and values, found NoneType"),
    ({"sampling": {"images": True}}, "sampling.images: input should be a valid integer"),
    ({"sampling": {"images": -3}}, "sampling.images: input should be greater than"),
    ({"sampling": {"truncation": 1.5}}, "sampling.truncation: input should be less than"),
    (
        {"activations": {"min_relative_std": 1}},
        "activations.min_relative_std: input should be less",
    ),
    ({"run": "a/b"}, "run: 'a/b' is not a name"),
    ({"run": "../up"}, "run: '../up' is not a name"),
    ({"run": "two\nlines"}, "run: 'two\\nlines' is not a name"),
    ({"run": "$(reboot)"}, "run: '$(reboot)' is not a name"),
    ({"run": ""}, "run: '' is not a name"),
    ({"run": 7}, "run: input should be a valid string, not 7"),
    ({"results": "a{b}"}, "results: 'a{b}' is not a folder"),
    ({"resources": "a'b"}, 'resources: "a\'b" is not a folder'),
    ({"device": "gpu"}, "device: 'gpu' is not a device; use auto, cpu, cuda or cuda:N"),
    ({"memory_budget": "2 GB"}, "memory_budget: '2 GB' is not a memory size"),
    ({"memory_budget": "1 KiB"}, "memory_budget: '1 KiB' is too little memory"),
    ({"memory_budget": 2048}, "memory_budget: input should be a valid string, not 2048"),
    ({"encoders": []}, "encoders: list should have at least 1 item"),
    ({"encoders": "resnet50"}, "encoders: input should be a valid list"),
    ({"encoders": [model(), model()]}, "two models are named 'm'; use different names"),
    ({"encoders": [model(name="dcgan")]}, "two models are named 'dcgan'"),
    ({"encoders": [model(name="a--b")]}, "encoders[0].name: 'a--b' is not a name"),
    ({"encoders": [model(family="tim")]}, "encoders[0].family: input should be 'timm', 'torch"),
    ({"encoders": [model(family="timm")]}, "encoders[0]: family timm needs an architecture"),
    ({"encoders": [model(architecture="x")]}, "encoders[0]: family mtcnn_onet takes no arch"),
    ({"encoders": [model(layers=[])]}, "encoders[0].layers: list should have at least 1 item"),
    ({"encoders": [model(layers="x")]}, "encoders[0].layers: input should be a valid list"),
    ({"encoders": [model(input={"size": 4})]}, "encoders[0].input.mean: required key is missing"),
    ({"encoders": [{"name": "m", "family": "mtcnn_onet"}]}, "encoders[0]: weights is missing; gi"),
    ({"encoders": [model(weights={**PACKAGE, "package": "a"})]}, "encoders[0].weights.package:"),
    ({"encoders": [model(weights={**PACKAGE, "sha256": "0"})]}, "encoders[0].weights.sha256:"),
    ({"encoders": [model(weights={**PACKAGE, "member": "../b"})]}, "'../b' is outside the package"),
    ({"encoders": [model(weights={**PACKAGE, "member": "/b"})]}, "'/b' is outside the package"),
    ({"encoders": [model(weights={"file": "w", "match": "size"})]}, "encoders[0].weights.match:"),
    ({"encoders": [model(weights="randm")]}, "encoders[0].weights: give one of file, url, hub, pa"),
    ({"encoders": [model(weights={"shipped": "mae_face"})]},
     "encoders[0].weights.shipped: 'mae_face' is not part of this package; use one of"),
    ({"encoders": [model(weights={"shipped": "mae_face"})]}, "mae_faces (did you mean 'mae_faces'"),
    ({"encoders": [model(weights={"shipped": ["mae"]})]}, "weights.shipped: input should be a val"),
    ({"encoders": [model(weights={"shipped": "mae_faces", "sha256": "0"})]}, "weights.sha256: '0'"),
    ({"encoders": [{"zoo": "mae_faces", "untraind": True}]},
     "encoders[0].untraind: unknown key (did you mean 'untrained'"),
    ({"encoders": [{"zoo": "mae_faces", "untrained": "yes"}]},
     "encoders[0]: untrained: 'yes' is invalid; give true, false, or a seed"),
    ({"encoders": [{"zoo": "mae_faces", "untrained": -1}]}, "untrained: -1 is invalid"),
    ({"encoders": [{"zoo": "mae_faces", "untrained": 2**63}]}, "untrained: 9223372036854775808"),
    ({"encoders": [{"zoo": "mae_face", "untrained": True}]}, "encoders[0]: the zoo has no model"),
    ({"encoders": [{"name": "m", "family": "python", "target": "m:f", "untrained": True}]},
     "encoders[0]: untrained: not supported, because the python target loads its own weights"),
    ({"encoders": [{"zoo": "mae_faces", "untrained": seed} for seed in (True, 7)]},
     "two models are named 'mae_faces_untrained'; use different names"),
    ({"encoders": [model(weights={"fil": "w"})]}, "encoders[0].weights: give one of file, url, "),
    ({"encoders": [model(weights={"file": "w", "hub": "h"})]}, "random (found file and hub)"),
    ({"encoders": [model(weights={"random": 2**63})]}, "encoders[0].weights.random: input should"),
    ({"encoders": [model(weights={"file": "{w}.pt"})]}, "encoders[0].weights.file: "),
    ({"encoders": [model(weights={**PACKAGE, "member": "{b}"})]}, "has braces, which Snakemake"),
    ({"pivot": {"zoo": ["resnet50"]}}, "pivot: the zoo has no model ['resnet50']"),
    ({"pivot": {"name": "m", "family": "python", "target": "m:f", "architecture": "a"}},
     "pivot: family python takes no architecture; give target instead"),
    (
        {"activations": {"store": "zar"}},
        "activations.store: input should be 'zarr' or 'none', not 'zar'",
    ),
    ({"correlation": {"blocks": 0}}, "correlation.blocks: input should be greater than"),
    ({"correlation": {"keep": False}}, "correlation.keep: unknown key"),
    (
        {"activations": {"store": "none"}, "correlation": {"blocks": 2}},
        "correlation.blocks: 2 needs stored maps, since every block would run all",
    ),
    ({"dictionary": {"examples": 0}}, "dictionary.examples: input should be greater than"),
    (
        {"dictionary": {"unit_examples": 0}},
        "dictionary.unit_examples: input should be greater than",
    ),
    (steering(invert={}, show={"name": "a", "concept": 0}),
     "steering: two jobs are named 'a'; give each a name of its own"),
    (steering(invert={"name": "a b"}), "steering.invert[0].name: 'a b' is not a name"),
    (steering(invert={"image": {}}),
     "steering.invert[0].image: give one of file, sample, seed as the image; none is given"),
    (steering(invert={"image": {"file": "a.png", "seed": 0}}), "; file and seed are given"),
    (steering(invert={"image": {"sample": "cat"}}), "image.sample: input should be 'astronaut', "),
    (steering(invert={"image": {"seed": 0, "box": [0, 1]}}), "box: list should have at least 3"),
    (steering(invert={"step": 3}), "steering.invert[0].step: unknown key (did you mean 'steps'"),
    (steering(invert={"activation_weight": 0.0, "regulariser_weight": 0.0}),
     "steering.invert[0]: all weights are 0; raise one of activation_weight, pixel_weight, "),
    (steering(invert={"encoders": ["mtcnn"]}), "steering: a: unknown encoder 'mtcnn'; use one"),
    (steering(invert={"encoders": ["mtcnn"]}), "dino_faces (did you mean 'mtcnn_onet'?)"),
    (steering(invert={"encoders": ["dcgan"]}), "steering: a: unknown encoder 'dcgan'; use one"),
    (steering(perceptual={"loss": {"encoder": "vit"}}),
     "steering.perceptual.loss.encoder: unknown encoder 'vit'; use one of efficient"),
    (steering(perceptual={"evaluation": {"encoder": "vit"}}),
     "steering.perceptual.evaluation.encoder: unknown encoder 'vit'; use one of"),
    (steering(perceptual={"evaluation": {}}),
     "steering.perceptual.evaluation: give one of encoder, lpips as the distance; none"),
    (steering(perceptual={"evaluation": {"encoder": "mtcnn_onet", "lpips": "vgg"}}),
     "; encoder and lpips are given"),
    (steering(perceptual={"evaluation": {"lpips": "vgg", "size": 64}}),
     "evaluation: lpips takes no size and no layers"),
    (steering(show={}), "show[0]: give one of concept, unit as what to show; none is given"),
    (steering(show={"concept": 0, "unit": "l/1"}), "what to show; concept and unit are given"),
    (steering(edit={"kind": "zoom"}),
     "steering.edit[0]: give one of source_seed, source_job as the image to edit; none is given"),
    (steering(edit={"kind": "zoom", "source_seed": 0, "source_job": "a"}),
     "; source_seed and source_job are given"),
    (steering(edit={"kind": "zom", "source_seed": 0}),
     "steering.edit[0].kind: input should be 'zoom', 's"),
    (steering(edit={"kind": "remove", "source_seed": 0}),
     "steering.edit[0]: give one of concept, units as what to remove; none is given"),
    (steering(edit={"kind": "add", "source_seed": 0, "units": []}),
     "units: list should have at least 1"),
    (steering(edit={"kind": "shift", "source_seed": 0, "mask": "m.png"}),
     "steering.edit[0]: shift takes no concept, units or mask; remove and add do"),
    (steering(edit={"kind": "shift", "source_seed": 0, "dx": 1.5}), "dx: input should be less"),
    (steering(edit={"kind": "custom", "source_seed": 0}), "custom needs a function, FILE.py:NAME"),
    (steering(edit={"kind": "zoom", "source_seed": 0, "function": "f.py:f"}),
     "steering.edit[0]: zoom takes no function; custom does"),
    (steering(invert={"name": "face"}, tune={"source_job": "fase"}),
     "steering: d: there is no inversion named 'fase' (did you mean 'face'?)"),
    (steering(show={"concept": 0}, edit={"kind": "zoom", "source_job": "b"}),
     "steering: c: there is no inversion or tuning named 'b'"),
    (steering(invert={}, tune={"source_job": "a", "pixel_weight": 0.0, "perceptual_weight": 0.0}),
     "steering.tune[0]: all weights are 0; raise one of pixel_weight, perceptual_weight"),
    (steering(evaluate={"seeds": 0}), "steering.evaluate[0]: give seeds, images, or both"),
    (steering(edit={"kind": "custom", "source_seed": 0, "function": "f"}),
     "steering.edit[0].function: 'f' names no function; write FILE.py:NAME"),
    (steering(invert={}, edit={"kind": "zoom", "source_job": "c"}),
     "steering: c: there is no inversion or tuning named 'c'"),
    (steering(edit=NO_SOURCE, tune={"name": "a", "source_job": "a"}),
     "steering: a: there is no inversion named 'a'"),
    (steering(invert={"image": {"seed": 2**63}}), "invert[0].image.seed: input should be less tha"),
    (steering(invert={"image": {"seed": 0, "box": [-1, 0, 5]}}),
     "image: box: [-1, 0, 5] is not a square inside an image; give left, top and side, from 0"),
    (steering(invert={"image": {"sample": "chelsea", "box": [0, 0, 301]}}),
     "image: box: [0, 0, 301] leaves chelsea, which is 451 wide and 300 high"),
    (steering(show={"unit": ""}), "steering.show[0].unit: string should have at least 1 character"),
    (steering(show={"concept": 0, "target_std": INFINITE}),
     "show[0].target_std: input should be a finite"),
    (steering(invert={"pixel_weight": INFINITE}), "pixel_weight: input should be a finite number"),
    ({"sampling": {"truncation": float("nan")}}, "sampling.truncation: input should be a finite"),
    ({"sampling": {"seed": 10**30}}, "sampling.seed: input should be less than 92233720368547758"),
    ({"device": "cuda:99999999999"}, "device: 'cuda:99999999999' is not a device; use auto, cpu, "),
    ({"memory_budget": "9" * 400 + " GiB"}, "…' is not a memory size; write a number and a unit"),
    ({"results": "-x"}, "results: '-x' reads as an option; write ./-x"),
    ({"results": "~/runs"}, "results: '~/runs': ~ is not expanded; write the path"),
    ({"results": "$HOME/runs"}, "results: '$HOME/runs': variables are not expanded; write the pat"),
    ({"resources": "${DATA}"}, "resources: '${DATA}' is not a folder; use no quotes, braces"),
    ({"sampling": {"folder": "a/$USER/b"}}, "sampling.folder: 'a/$USER/b': variables are not exp"),
    ({"encoders": [model(weights={"file": "$W/a.pt"})]}, "file: '$W/a.pt': variables are not exp"),
    (steering(invert={"image": {"seed": 0, "bit_depth": 12}}), "bit_depth is for image files; re"),
    ({"sampling": {"bit_depth": 17}}, "sampling.bit_depth: input should be less than or equal to"),
    ({"results": "a/" + LONG}, "results: xxxxxxxxxxxxxxxxxxxx… is longer than 255 bytes; rename i"),
    ({"results": "a\u202eb"}, "results: 'a\\u202eb' is not a folder; use no quotes, braces"),
    ({"encoders": [model(weights={"file": "a\nb"})]}, "file: 'a\\nb' is not a file; write a"),
    ({"encoders": [model(weights={"file": LONG})]}, "weights.file: xxxxxxxxxxxxxxxxxxxx… is longe"),
    ({"encoders": [model(weights={"file": "a\0b"})]}, "weights.file: 'a\\x00b' is not a file; "),
    ({"encoders": [model(weights={"url": "file:///etc/passwd"})]}, "is not an address; write"),
    ({"encoders": [model(weights={"url": "https://h/../x"})]}, "does not name a file; write"),
    ({"encoders": [model(weights={"hub": "timm:../x"})]}, "hub: 'timm:../x' is not a hub file; "),
    ({"encoders": [model(weights={"hub": "timm:.."})]}, "hub: 'timm:..' is outside the hub; "),
    ({"encoders": [model(weights={"hub": "timm:x", "sha256": "g"})]}, "'g' is not a checksum; "),
    ({"encoders": [{"name": "m", "family": "python", "target": "f"}]},
     "encoders[0].target: 'f' is not a function; write MODULE:NAME or FILE.py:NAME"),
    ({"encoders": [model(input={**INPUT, "std": [0.0, 1.0, 1.0]})]}, "input.std[0]: input should "),
    ({"encoders": [model(input={**INPUT, "size": 10**9})]}, "input.size: 1000000000 is not a size"),
    ({"pics": 3}, "pics: unknown key; known keys: run, results, resources, device, memory_bud"),
    ({7: 3}, "not a key; keys are names"),
    ({"encoders": ["resnet50", 7]}, "encoders[1]: expected keys and values, found int"),
    (["run"], "expected keys and values, found list"),
    ("run", "expected keys and values, found str"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message"), BROKEN)
def test_invalid_configuration(content: Any, message: str, folder: Path, capsys) -> None:
    Path(CONFIG).write_text(yaml.safe_dump(content))
    assert refused(["check", "--config", CONFIG], message, capsys).startswith(
        f"rosetta: {CONFIG}: "
    )


INVALID_NAMES = [
    *("../x", "a/b", "a b", "a'b", 'a"b', "a\nb", "a;b", "$(x)", "`x`", "", "-n", ".", "..", "~"),
    *("x" * 300, "ä", "a--b", "a\0b", "{x}", "*", "a\u202eb", "a|b", "a>b", "a&b", "a\\b"),
]


@pytest.mark.parametrize("name", INVALID_NAMES)
@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("run", lambda name: {"run": name}),
        ("encoders[0].name", lambda name: {"encoders": [model(name=name)]}),
        ("steering.show[0].name", lambda name: steering(show={"name": name, "concept": 0})),
    ],
)
def test_invalid_name(key: str, place, name, folder, capsys) -> None:
    Path(CONFIG).write_text(yaml.safe_dump(place(name)))
    line = refused(["check", "--config", CONFIG], f"{CONFIG}: {key}: ", capsys)
    assert " is not a name; use up to 64 letters, digits" in line


@pytest.mark.parametrize("pattern", ["../x", "a b", "a\nb", "$(x)", "", "[", "conv[9", "{x}"])
def test_invalid_layer(pattern: str, folder: Path, capsys) -> None:
    Path(CONFIG).write_text(
        yaml.safe_dump(tiny(encoders=[model(weights="random", layers=[pattern])]))
    )
    refused(["check", "--config", CONFIG], f"rosetta: m: layers: {pattern!r} ", capsys)


BOMB = "a0: &a0 [x, x, x]\n" + "".join(
    f"a{i + 1}: &a{i + 1} [*a{i}, *a{i}, *a{i}, *a{i}, *a{i}, *a{i}, *a{i}, *a{i}]\n"
    for i in range(9)
)
TEXTS = [
    (b"run: [", "line 1, column 7: expected the node content"),
    (b"run: a\n  sampling: x", "line 2, column 11: mapping values are not allowed here; correct"),
    (b"run: a\n\tsampling: x", "line 2, column 1: found character '\\t' that cannot start any to"),
    (b"run: a\nrun: b\n", "line 2, column 1: duplicate key 'run'; remove one"),
    (b"sampling: {seed: 1, seed: 2}", "column 21: duplicate key 'seed'; remove one"),
    (b"run: \xff\xfe", "is not UTF-8 text; save it as UTF-8"),
    ("run: a".encode("utf-16"), "is UTF-16 or UTF-32; save it as UTF-8"),
    ("run: a".encode("utf-32"), "is UTF-16 or UTF-32; save it as UTF-8"),
    (
        "run: a".encode("utf-16-le"),
        "line 1: has the character '\\x00', which YAML does not allow; s",
    ),
    (b"\nrun: a\x07b", "line 2: has the character '\\x07', which YAML does not allow; remove it"),
    (b"sampling: {images: 010}", "column 20: '010' is not a decimal number; write one, or quote"),
    (b"sampling: {images: 1:30}", "column 20: '1:30' is not a decimal number; write one, or quo"),
    (b"sampling: {truncation: 0:30.5}", "column 24: '0:30.5' is not a decimal number; write one"),
    (b"sampling: {images: -0_7}", "'-0_7' is not a decimal number"),
    ("s\u0430mpling: {}".encode(), "'s\\u0430mpling': unknown key (did you mean 'sampling'"),
    ("sampling\u200b: {}".encode(), "'sampling\\u200b': unknown key (did you mean 'sampling'"),
    (b"yes: 1", "True: not a key; keys are names"),
    (b"7: 1", "7: not a key; keys are names"),
    (b"x-a: &a {images: 8}\nsampling: {<<: *a, <<: *a}", "column 20: duplicate key '<<'; remove"),
    (b"sampling: {<<: {imagse: 8}}", "sampling.imagse: unknown key (did you mean 'images'?)"),
    (b"sampling: {truncation: .nan}", "truncation: input should be a finite number, not nan"),
    (b"run: a\n---\nrun: b", "line 2, column 1: but found another document; correct the YAML"),
    (b"run: !!python/object/apply:os.system [ls]", "could not determine a constructor for the t"),
    (b"run: no", "run: input should be a valid string, not False"),
    (b"run: 2024-01-01", "run: input should be a valid string, not datetime.date(2024, 1, 1)"),
    (b"significance: {intervals: y}", "intervals: input should be a valid boolean, not 'y'"),
    (b"[a]: 3", "found unhashable key"),
    (b"sampling: {images: 1e3}", "sampling.images: input should be a valid integer, not 1000.0"),
    (b"x: {images: 1}", "x: unknown key; known keys: run"),
    (b"sampling: {x-a: 1}", "sampling.x-a: unknown key"),
    (b"x-a: {b: 1, b: 2}", "line 1, column 13: duplicate key 'b'; remove one"),
    (b"\0", "line 1: has the character '\\x00', which YAML does not allow; save it as UTF-8"),
    (BOMB.encode(), "more than 100,000 values, since an alias repeats or contains itself"),
    (b"run: &r {a: *r}", "more than 100,000 values, since an alias repeats or contains itself"),
    (b"encoders: &r [*r]", "more than 100,000 values, since an alias repeats or contains itself"),
    (b"run: *r", "line 1, column 6: found undefined alias 'r'; correct the YAML there"),
    (
        b"sampling: {images: " + b"9" * 5000 + b"}",
        "9999…' is not a valid int; quote it if it is text",
    ),
    (
        b"run: 1999-99-99",
        "line 1, column 6: '1999-99-99' is not a valid timestamp; quote it if it is te",
    ),
    (b"run: !!int x", "line 1, column 6: 'x' is not a valid int; quote it if it is text"),
    (b"run: 2020-01-01", "run: input should be a valid string, not datetime.date(2020, 1, 1)"),
    (b"sampling: {images: .nan}", "sampling.images: input should be a valid integer, not nan"),
    (b"memory_budget: .inf", "memory_budget: input should be a valid string, not inf"),
    (b"[" * 3000, "nested too deeply; use fewer levels"),
    (b"? [a]\n: b\n", "line 1, column 3: found unhashable key; correct the YAML there"),
    (b"run: a\n---\nrun: b\n", "line 2, column 1: but found another document; correct the YAML"),
    (b"run: !!python/object/apply:os.system [id]", "could not determine a constructor for the tag"),
    (b"0", "expected keys and values, found int"),
]


@pytest.mark.parametrize(("text", "message"), TEXTS)
def test_invalid_yaml(text: bytes, message: str, folder: Path, capsys) -> None:
    Path(CONFIG).write_bytes(text)
    line = refused(["check", "--config", CONFIG], message, capsys)
    assert line.startswith(f"rosetta: {CONFIG}: ")


RECIPE = {"name": "r", "architecture": "vit_tiny_patch16_224", "mae": {}, "steps": 1}
RECIPES = [
    ({**RECIPE, "name": "../r"}, "name: '../r' is not a name; use up to 64 letters"),
    ({**RECIPE, "step": 3}, "step: unknown key (did you mean 'steps' or 'seed'?)"),
    ({**RECIPE, "steps": 0}, "steps: input should be greater than or equal to 1, not 0"),
    ({**RECIPE, "learning_rate": INFINITE}, "learning_rate: input should be a finite number"),
    ({**RECIPE, "dino": {}}, "give one of mae and dino, the training method"),
    ({**RECIPE, "seed": -1}, "seed: input should be greater than or equal to 0, not -1"),
    ({**RECIPE, "mae": {"masked": 1.0}}, "mae.masked: input should be less than 1, not 1.0"),
    ({**RECIPE, "images": {"folder": "photos"}}, "images: give a generator or a folder (and"),
    (
        {**RECIPE, "images": {"generator": None, "folder": "photos"}},
        "photos/1.png: is empty; use a PNG or JPEG",
    ),
    (
        {**RECIPE, "images": {"generator": None, "folder": "nowhere"}},
        "images.folder: there is no folder nowhere",
    ),
]


@pytest.mark.parametrize(("recipe", "message"), RECIPES)
def test_invalid_recipe(recipe: dict[str, Any], message: str, folder: Path, capsys) -> None:
    Path(CONFIG).write_text(yaml.safe_dump({**recipe, "resources": str(ROOT / "resources")}))
    refused(["train", CONFIG], message, capsys)


OF_A = {"kind": "zoom", "source_job": "a"}
REMOVE = {"kind": "remove", "source_seed": 0, "units": ["main.8/3"]}


def inverted(file: str, **more: Any) -> dict[str, Any]:
    return steering(invert={"image": {"file": file, **more}}, tune={"source_job": "a"}, edit=OF_A)


def folder_images(folder: str) -> dict[str, Any]:
    """A run of an encoder pivot on the images of a folder."""
    pivot, *encoders = tiny()["encoders"]
    sampling = {"images": 2, "shard_size": 1, "folder": folder}
    more = {"dictionary": {"examples": 1}, "steering": {}}
    return {"pivot": pivot, "encoders": encoders, "sampling": sampling, **more}


MISFITS = [
    (
        steering(invert={"image": {"file": "no.png"}}, tune={"source_job": "a"}, edit=OF_A),
        "steering: a: no file 'no.png'",
    ),
    (steering(evaluate={"images": [{"file": "no.png"}]}), "steering: e: no file 'no.png'"),
    (steering(edit={**REMOVE, "mask": "no.png"}), "steering: c: no file 'no.png'"),
    (
        steering(edit={"kind": "custom", "source_seed": 0, "function": "no.py:f"}),
        "steering: c: no file 'no.py'; give an existing file",
    ),
    (
        steering(edit={"kind": "custom", "source_seed": 0, "function": "own.py:f"}),
        "steering: c: function 'own.py:f': SyntaxError: invalid syntax (own.py, line 1)",
    ),
    (inverted("torn.jpg"), "steering: a: torn.jpg: cannot be read: "),
    (inverted("empty.png"), "steering: a: empty.png: is empty; use a PNG or JPEG"),
    (inverted("text.png"), "steering: a: text.png: not an image that Pillow reads; use a PNG or"),
    (
        inverted("bomb.png"),
        "steering: a: bomb.png: has 400,000,000 pixels, but at most 67,108,864 are",
    ),
    (inverted("folder"), "steering: a: no file 'folder'; give an existing file"),
    (inverted("whole.jpg", box=[0, 0, 49]), "exceeds the image, which is 64 pixels wide and 48"),
    (steering(edit={**REMOVE, "mask": "text.png"}), "steering: c: text.png: not an image"),
    (
        steering(edit={**REMOVE, "mask": "small.png"}),
        "steering: c: mask: small.png has 32×32 pixels, but images of dcgan have 64×64",
    ),
    (
        steering(show={"concept": 0, "space": "w+"}),
        "steering: b: space: dcgan has no latent space 'w+'; it has z",
    ),
    (
        steering(perceptual={"evaluation": {"encoder": "mobilenet_v2", "layers": ["features.99"]}}),
        "steering.perceptual.evaluation: mobilenet_v2: layers: 'features.99' matches no mod",
    ),
    (steering(show={"unit": "main.8/٣"}), "steering: b: no unit 'main.8/٣' of dcgan; write layer/"),
    (folder_images("photos"), "photos/1.png: is empty; use a PNG or JPEG"),
    (folder_images("nowhere"), "sampling.folder: there is no folder nowhere"),
    (
        folder_images("folder"),
        "sampling.folder: there is no image in folder; give a folder with PNG",
    ),
    (folder_images("text.png"), "sampling.folder: there is no folder text.png"),
    (
        {"resources": "text.png"},
        "resources: text.png is not a folder; choose another path",
    ),
    ({"results": "dangling/runs"}, "results: dangling links to missing, which does not exist; cr"),
    ({"resources": "dangling"}, "resources: dangling links to missing, which does not exist; cre"),
    (inverted("dangling"), "steering: a: no file 'dangling'; give an existing file"),
    (folder_images("dangling"), "sampling.folder: there is no folder dangling; correct the path"),
    ({"results": "text.png/runs"}, "results: text.png is not a folder; choose another path"),
    (
        {"encoders": [model(weights={"file": "folder"})]},
        "m: folder: is a folder; give the file of weights in it",
    ),
    ({"encoders": [model()]}, "w.pt: is text ('no weights'), not weights"),
    (
        {"encoders": [model(weights={"file": "cut.safetensors"})]},
        "cut.safetensors: is a safetensors file cut short",
    ),
    (
        {"encoders": [model(weights="random", input={**INPUT, "size": 4})]},
        "m: cannot be run with its input and arguments (Calculated padded input size per channel:",
    ),
    (
        {
            "encoders": [
                {
                    "name": "m",
                    "family": "timm",
                    "architecture": "resnet18",
                    "arguments": {"in_chans": 5},
                    "weights": "random",
                }
            ]
        },
        "m: cannot be run with its input and arguments (Invalid channel dimensions); correct them",
    ),
    (
        steering(show={"unit": "main.9/3"}),
        "steering: b: no unit 'main.9/3' of dcgan; write layer/channel, with one of the layers ma",
    ),
    (steering(show={"unit": "dcgan/main.8/128"}), "b: no unit 'dcgan/main.8/128' of dcgan; write"),
    (steering(edit={**REMOVE, "units": ["main.8/3", "main.11"]}), "c: no unit 'main.11' of dcgan"),
    ({"neighbours": {"k": 96}}, "neighbours.k: 96 is too large for mtcnn_onet, which has 96 units"),
    ({"dictionary": {"examples": 17}}, "dictionary.examples: 17 is more than sampling.images: 16"),
    (
        {"encoders": [model(weights={"file": "no.pt"})]},
        "m: there is no weights file at no.pt; correct `weights`, or put the file there",
    ),
    (
        {"correlation": {"blocks": 193}},
        "correlation.blocks: 193 is more than the 192 units of dcgan",
    ),
    (
        {"encoders": [model(weights=PACKAGE, layers=["prelu1", "pralu2"])]},
        "m: layers: 'pralu2' matches no module (did you mean 'prelu2'",
    ),
    (
        {"encoders": [model(weights=PACKAGE, layers=["prelu[z-a]"])]},
        "m: layers: 'prelu[z-a]' is not a valid pattern",
    ),
    (
        {"encoders": [model(family="timm", architecture="resnet-50", weights=PACKAGE)]},
        "timm: unknown architecture 'resnet-50' (did you mean 'resnet50'",
    ),
]


def test_units_with_the_name_of_their_model() -> None:
    units = ["main.8/127", "dcgan/main.11/0"]
    assert check_config(parse_config(tiny(**steering(edit={**REMOVE, "units": units}))))


@pytest.mark.parametrize(("changes", "message"), MISFITS)
def test_configuration_that_does_not_fit_models_or_files(
    changes, message: str, folder, capsys
) -> None:
    Path(CONFIG).write_text(yaml.safe_dump(tiny(**changes)))
    refused(["check", "--config", CONFIG], message, capsys)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_missing_device(folder: Path, capsys) -> None:
    Path(CONFIG).write_text(yaml.safe_dump(tiny(device="cuda:1")))
    refused(["check", "--config", CONFIG], "device: 'cuda:1' is not available", capsys)


def test_sizes_of_sample_images() -> None:
    assert set(SAMPLES) == set(NAMES)
    for name, (width, height) in SAMPLES.items():
        assert sample_image(name).shape == (height, width, 3)


HELP = "; see rosetta"
COMMANDS: list[tuple[list[str], str]] = [
    ([], f"the following arguments are required: COMMAND{HELP} --help"),
    (["chek"], f"unknown command 'chek' (did you mean 'check' or 'schema'?){HELP} --help"),
    (["a\nb"], f"unknown command 'a\\nb'{HELP} --help"),
    (["check", "c.yaml"], f"check: unrecognized arguments: c.yaml{HELP} check --help"),
    (["check", "--al"], f"check: unrecognized arguments: --al{HELP} check --help"),
    (["check", "--config"], f"check: argument --config: expected one argument{HELP} check --help"),
    (["check", "--threads", "-1"], "check: argument --threads: '-1' is invalid; give 1 to 4096"),
    (["check", "--threads", "0"], "check: argument --threads: '0' is invalid; give 1 to 4096"),
    (["check", "--threads", "x"], "check: argument --threads: 'x' is invalid; give 1 to 4096"),
    (["check", "--threads", "9" * 9], "--threads: '999999999' is invalid; give 1 to 4096"),
    (
        ["check", "--config", "no.yaml"],
        "no.yaml: cannot be read: No such file or directory; give a",
    ),
    (["check", "--config", "folder"], "folder: cannot be read: Is a directory; give a YAML file"),
    (
        ["check", "--config", "a\nb"],
        "a\\nb: cannot be read: No such file or directory; give a YAML",
    ),
    (["check", "--config", "\x1b[2J"], "\\x1b[2J: cannot be read: No such file or directory"),
    (["check", "--config", "a\0b"], "a\\x00b: cannot be read: "),
    (["check", "--config", LONG], ": cannot be read: File name too long; give a YAML file"),
    (
        ["list-layers"],
        f"list-layers: the following arguments are required: MODEL{HELP} list-layers",
    ),
    (["list-layers", "mobilenet"], "unknown model 'mobilenet' in run 'tiny'; use one of dcgan, "),
    (["list-layers", "a\nb"], "unknown model 'a\\nb' in run 'tiny'; use one of dcgan, "),
    (["sample"], f"sample: the following arguments are required: --shard{HELP} sample --help"),
    (["sample", "--shard", "7"], "unknown shard '7' in run 'tiny'; use 00000 to 00001"),
    (["sample", "--shard", "../0"], "unknown shard '../0' in run 'tiny'; use 00000 to 00001"),
    (
        ["activations", "no", "--shard", "00000"],
        "unknown model 'no' in run 'tiny'; use one of dcgan",
    ),
    (
        ["activations", "dcgan", "--shard", "2"],
        "unknown shard '2' in run 'tiny'; use 00000 to 00001",
    ),
    (["units", "../../x"], "unknown model '../../x' in run 'tiny'; use one of dcgan, "),
    (["join", "no"], "unknown model 'no' in run 'tiny'; use one of dcgan, "),
    (["neighbours", "no"], "unknown model 'no' in run 'tiny'; use one of dcgan, "),
    (["unit-examples", "no"], "unknown model 'no' in run 'tiny'; use one of dcgan, "),
    (["correlations", "no"], "unknown model 'no' in run 'tiny'; use one of dcgan, "),
    (["correlations", "dcgan", "--block", "x"], "argument --block: invalid int value: 'x'; see"),
    (["fetch", "no"], "unknown model 'no' in run 'tiny'; use one of dcgan, "),
    (
        ["steer", "strong"],
        "no job 'strong' in steering; they are astronaut, strongest, tuned, shif",
    ),
    (["steer", "../x"], "no job '../x' in steering; they are astronaut, strongest, tuned, shifted"),
    (["steer", "-n"], "steer: the following arguments are required: JOB; see rosetta steer --help"),
    (["figure", "--concepts", "x"], "figure: argument --concepts: invalid int value: 'x'; see ros"),
    (["figure", "--concepts"], "figure: argument --concepts: expected at least one argument; see"),
    (["figure", "--examples", "0"], "--examples: 0 is too small; use at least 1"),
    (["figure", "--models", "no"], "unknown model 'no' in run 'tiny'; use one of dcgan, "),
    (["figure", "--jobs", "no"], "no job 'no' in steering; they are astronaut, strongest, tuned"),
    (["figure", "--jobs", "a", "--image", "1"], "--jobs: cannot be combined with other options"),
    (["figure", "--image", "1", "--images", "2"], "--image and --images: cannot be combined"),
    (
        ["export", "--format", "xml"],
        "export: argument --format: invalid choice: 'xml' (choose from",
    ),
]
WITHOUT_CONFIG: list[tuple[list[str], str]] = [
    (["convert", "no.pkl", "o.safetensors"], "no.pkl: no such file"),
    (["convert", "folder", "o.safetensors"], "folder: is a folder; give the file of weights"),
    (["convert", "w.pt", "o.safetensors"], "w.pt: is text ('no weights'), not weights"),
    (
        ["convert", "w.pt", "o.pt"],
        "o.pt: has another suffix; end the name in .safetensors",
    ),
    (
        ["convert", "w.pt"],
        "convert: the following arguments are required: OUT.safetensors; see ros",
    ),
    (["fetch-file", "{", "x"], "weights: invalid JSON: EOF while parsing an object at line 1"),
    (
        ["fetch-file", "[]", "x"],
        "weights: give one of file, url, hub, package, shipped, random, or",
    ),
    (["fetch-file", '{"file": "x"}', "x"], "weights: x cannot be downloaded"),
    (
        ["fetch-file", '{"url": "file:///etc/passwd"}', "x"],
        "url: 'file:///etc/passwd' is not an addr",
    ),
    (["--al"], f"unrecognized arguments: --al{HELP} --help"),
    (["train", "no.yaml"], "no.yaml: cannot be read: No such file or directory; give a YAML file"),
    (["train", "folder"], "folder: cannot be read: Is a directory; give a YAML file"),
    (["zoo", "x"], f"zoo: unrecognized arguments: x{HELP} zoo --help"),
]


@pytest.mark.parametrize(("arguments", "message"), COMMANDS)
def test_invalid_command_line(arguments: list[str], message: str, folder: Path, capsys) -> None:
    Path(CONFIG).write_text(yaml.safe_dump(tiny()))
    if arguments and "--config" not in arguments:
        arguments = [arguments[0], "--config", CONFIG, *arguments[1:]]
    refused(arguments, message, capsys)


@pytest.mark.parametrize(("arguments", "message"), WITHOUT_CONFIG)
def test_invalid_command_line_without_configuration(
    arguments, message: str, folder: Path, capsys
) -> None:
    refused(arguments, message, capsys)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"file": "onet.pt", "sha256": "0" * 64},
            "onet.pt: SHA-256 is 165bfbe42940…, but the co",
        ),
        ({"file": "onet.pt", "prefix": "x."}, "onet.pt: no entry starts with 'x.'"),
        (
            {"file": "other.safetensors"},
            "other.safetensors: entry 'conv1.weight' is missing",
        ),
    ],
)
def test_weights_of_another_network(given, message: str, folder, capsys, weights_file) -> None:
    Path("onet.pt").symlink_to(weights_file)
    save_file({"a": torch.zeros(1)}, "other.safetensors")
    Path(CONFIG).write_text(yaml.safe_dump(tiny(encoders=[model(weights=given)])))
    refused(["activations", "m", "--shard", "00000", "--config", CONFIG], message, capsys)


def test_results_folder_that_cannot_be_written(folder: Path, capsys) -> None:
    Path(CONFIG).write_text(yaml.safe_dump(tiny(results="/proc/rosetta")))
    line = refused(["sample", "--shard", "00000", "--config", CONFIG], "/proc/rosetta", capsys)
    assert "cannot be used: " in line


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory",
         folder, "--configfile", CONFIG, "--cores", "1", *arguments],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"neighbours": {"k": 0}}, "c.yaml: neighbours.k: input should be greater than or"),
        (
            {"run": "a b; $(touch x)"},
            "c.yaml: run: 'a b; $(touch x)' is not a name; use up to 64",
        ),
        (inverted("torn.jpg"), "steering: a: torn.jpg: cannot be read: "),
        ("run: a\nrun: b\n", "c.yaml: line 2, column 1: duplicate key 'run'; remove one"),
    ],
)
def test_snakemake_refuses_invalid_configurations(changes, message: str, folder: Path) -> None:
    text = changes if isinstance(changes, str) else yaml.safe_dump(tiny(**changes))
    Path(CONFIG).write_text(text)
    done = snakemake(folder)
    assert done.returncode == 2
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("rosetta: "))
    assert message in line
    assert "Traceback" not in done.stderr
    assert not (folder / "results").exists()


def test_no_shell_interprets_the_folders_of_a_run(folder: Path) -> None:
    """The words of a job's command are quoted, whatever characters they contain."""
    results = "r $(touch x);`touch x`&|<>"
    Path(CONFIG).write_text(yaml.safe_dump(tiny(results=results)))
    done = snakemake(folder, "--dry-run", "--printshellcmds")
    assert done.returncode == 0, done.stderr
    commands = [line.strip() for line in done.stdout.splitlines() if "rosetta_core " in line]
    assert len(commands) > 10
    for command in commands:
        words = shlex.split(command)
        if "fetch-file" not in words:
            assert words[words.index("--config") + 1] == f"{results}/tiny/config.yaml"
        log = words[words.index(">") + 1]
        assert log.startswith(f"{results}/tiny/logs/")
        assert words[words.index(">") + 2] == "2>&1"
        assert words[words.index(">>") + 1] == f"{log};"
    assert not os.path.lexists("x")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torchvision:resnet18/IMAGENET1K_V9", "resnet18 has no weights 'IMAGENET1K_V9' (did you"),
        ("torchvision:resnet19", "torchvision has no model 'resnet19' (did you mean 'resnet18'"),
        ("timm:resnet188", "timm:resnet188: timm has no weights with this name (did you mean"),
        ("open_clip:RN50/nobody", "open_clip:RN50/nobody: RN50 has no weights 'nobody'"),
    ],
)
def test_names_of_weights_that_no_library_has(name: str, message: str, tmp_path: Path) -> None:
    config = parse_config(tiny(encoders=[name], resources=str(tmp_path)))
    with pytest.raises(RosettaError) as error:
        check_config(config)
    assert message in str(error.value)
