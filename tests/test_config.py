"""The default is written down as it is; what is wrong is said in one line, before anything runs."""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import torch
import yaml
from conftest import ROOT, tiny

from rosetta_core import stages
from rosetta_core.cli import main
from rosetta_core.config import (
    Config,
    RandomWeights,
    default_yaml,
    json_schema,
    parse_bytes,
    parse_config,
)
from rosetta_core.errors import RosettaError
from rosetta_core.paths import RunPaths


def test_default_yaml_and_schema_are_in_step_with_the_models() -> None:
    assert (ROOT / "config.yaml").read_text() == default_yaml(), "run: rosetta defaults"
    assert (ROOT / "workflow/config.schema.json").read_text() == json_schema(), "rosetta schema"
    assert parse_config(yaml.safe_load(default_yaml())) == Config()


@pytest.mark.parametrize("name", ["config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))])
def test_editors_find_nothing_wrong_with_a_configuration_of_ours(name: str) -> None:
    jsonschema.validate(yaml.safe_load((ROOT / name).read_text()), json.loads(json_schema()))


def test_editors_know_the_short_forms_and_their_misspellings() -> None:
    schema = json.loads(json_schema())
    jsonschema.validate({"pivot": {"zoo": "stylegan2_ffhq1024", "weights": "random"}}, schema)
    short = ["mae_faces", {"zoo": "mae_faces", "untrained": True}, {**model(), "untrained": 7}]
    shipped = [model(weights={"shipped": "mae_faces"})]
    jsonschema.validate({"encoders": short + shipped}, schema)
    misspelt = [{"zoo": "mae_faces", "untrained": "yes"}, model(weights={"shipped": "mae_face"})]
    for encoder in misspelt:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"encoders": [encoder]}, schema)
    for pivot in ("stylegan_2", {"zoo": "stylegan2_ffhq1024", "weight": "random"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"pivot": pivot}, schema)


def test_every_key_of_the_default_is_explained() -> None:
    lines = default_yaml().splitlines()
    keys = {line.strip().removeprefix("- ").split(":")[0] for line in lines if ":" in line}
    explained = {
        after.strip().removeprefix("- ").split(":")[0]
        for line, after in pairwise(lines)
        if line.strip().startswith("#")
    }
    assert {key for key in keys if not key.startswith("#")} <= explained


def test_shards_cover_the_images_once() -> None:
    config = parse_config(tiny(sampling={"images": 21, "shard_size": 8}))
    assert config.shards == ["00000", "00001", "00002"]
    images = [image for shard in config.shards for image in config.shard_images(shard)]
    assert images == list(range(21))


@pytest.mark.parametrize(
    ("text", "size"), [("2 GiB", 2**31), ("64MiB", 2**26), ("1.5 KiB", 1536), ("1 TiB", 2**40)]
)
def test_amounts_of_memory(text: str, size: int) -> None:
    assert parse_bytes(text) == size


def model(**changes):
    return {"name": "m", "family": "mtcnn_onet", "weights": {"file": "w.pt"}, **changes}


def steering(**jobs):
    """Jobs of a kind each, and what they have in common."""
    common = {"invert": {"name": "a", "image": {"seed": 0}}, "show": {"name": "b"}}
    common |= {"edit": {"name": "c"}, "tune": {"name": "d"}, "evaluate": {"name": "e"}}
    return {
        "steering": {
            kind: [{**common[kind], **job}] if kind in common else job for kind, job in jobs.items()
        }
    }


PACKAGE = {"package": "a==1", "member": "a/b", "sha256": "0" * 64}
BROKEN = [
    ({"runn": "x"}, "runn: unknown key (did you mean 'run'?)"),
    ({"sampling": {"imagse": 4}}, "sampling.imagse: unknown key (did you mean 'images'?)"),
    ({"pivot": model(family="dcgan", wieghts={})}, "pivot.wieghts: unknown key"),
    ({"neighbours": {"k": "5"}}, "neighbours.k: input should be a valid integer, not '5'"),
    ({"neighbours": {"k": 0}}, "neighbours.k: input should be greater than or equal to 1, not 0"),
    ({"neighbours": {"k": 2.0}}, "neighbours.k: input should be a valid integer"),
    ({"neighbours": None}, "neighbours: input should be a valid dictionary"),
    ({"sampling": {"images": True}}, "sampling.images: input should be a valid integer"),
    ({"sampling": {"images": -3}}, "sampling.images: input should be greater than"),
    ({"sampling": {"truncation": 1.5}}, "sampling.truncation: input should be less than"),
    ({"activations": {"near_constant": 1}}, "activations.near_constant: input should be less"),
    ({"run": "a/b"}, "run: 'a/b' is no name"),
    ({"run": "../up"}, "run: '../up' is no name"),
    ({"run": "two\nlines"}, "run: 'two\\nlines' is no name"),
    ({"run": "$(reboot)"}, "run: '$(reboot)' is no name"),
    ({"run": ""}, "run: '' is no name"),
    ({"run": 7}, "run: input should be a valid string, not 7"),
    ({"results": "a{b}"}, "results: 'a{b}' is no folder"),
    ({"resources": "a'b"}, 'resources: "a\'b" is no folder'),
    ({"device": "gpu"}, "device: 'gpu' is no device; use auto, cpu, cuda or cuda:N"),
    ({"memory_budget": "2 GB"}, "memory_budget: '2 GB' is no amount of memory"),
    ({"memory_budget": "1 KiB"}, "memory_budget: '1 KiB' is too little memory"),
    ({"memory_budget": 2048}, "memory_budget: input should be a valid string, not 2048"),
    ({"encoders": []}, "encoders: list should have at least 1 item"),
    ({"encoders": "resnet50"}, "encoders: input should be a valid list"),
    ({"encoders": [model(), model()]}, "two models are named 'm'; give each a name of its own"),
    ({"encoders": [model(name="dcgan")]}, "two models are named 'dcgan'"),
    ({"encoders": [model(name="a--b")]}, "encoders[0].name: 'a--b' is no name"),
    ({"encoders": [model(family="tim")]}, "encoders[0].family: input should be 'timm', 'torch"),
    ({"encoders": [model(family="timm")]}, "encoders[0]: family timm needs an architecture"),
    ({"encoders": [model(architecture="x")]}, "encoders[0]: family mtcnn_onet takes no arch"),
    ({"encoders": [model(layers=[])]}, "encoders[0].layers: list should have at least 1 item"),
    ({"encoders": [model(layers="x")]}, "encoders[0].layers: input should be a valid list"),
    ({"encoders": [model(input={"size": 4})]}, "encoders[0].input.mean: this key is missing"),
    ({"encoders": [{"name": "m", "family": "mtcnn_onet"}]}, "encoders[0]: weights is missing; na"),
    ({"encoders": [model(weights={**PACKAGE, "package": "a"})]}, "encoders[0].weights.package:"),
    ({"encoders": [model(weights={**PACKAGE, "sha256": "0"})]}, "encoders[0].weights.sha256:"),
    ({"encoders": [model(weights={**PACKAGE, "member": "../b"})]}, "'../b' leaves the package"),
    ({"encoders": [model(weights={**PACKAGE, "member": "/b"})]}, "'/b' leaves the package"),
    ({"encoders": [model(weights={"file": "w", "match": "size"})]}, "encoders[0].weights.match:"),
    ({"encoders": [model(weights="randm")]}, "encoders[0].weights: give one of file, url, hub, pa"),
    ({"encoders": [model(weights={"shipped": "mae_face"})]},
     "encoders[0].weights.shipped: no weights named 'mae_face' lie in this package; those of mae_"),
    ({"encoders": [model(weights={"shipped": "mae_face"})]}, "do (did you mean 'mae_faces'?)"),
    ({"encoders": [model(weights={"shipped": ["mae"]})]}, "weights.shipped: input should be a val"),
    ({"encoders": [model(weights={"shipped": "mae_faces", "sha256": "0"})]}, "weights.sha256: str"),
    ({"encoders": [{"zoo": "mae_faces", "untraind": True}]},
     "encoders[0].untraind: unknown key (did you mean 'untrained'?)"),
    ({"encoders": [{"zoo": "mae_faces", "untrained": "yes"}]},
     "encoders[0]: untrained is true, false, or a seed from 0 on, not 'yes'"),
    ({"encoders": [{"zoo": "mae_faces", "untrained": -1}]}, "encoders[0]: untrained is true, "),
    ({"encoders": [{"zoo": "mae_faces", "untrained": 2**63}]}, "encoders[0]: untrained is tru"),
    ({"encoders": [{"zoo": "mae_face", "untrained": True}]}, "encoders[0]: the zoo has no model"),
    ({"encoders": [{"name": "m", "family": "python", "target": "m:f", "untrained": True}]},
     "encoders[0]: untrained can't be, for the python target loads its own weights; name one that"),
    ({"encoders": [{"zoo": "mae_faces", "untrained": seed} for seed in (True, 7)]},
     "two models are named 'mae_faces_untrained'; give each a name of its own"),
    ({"encoders": [model(weights={"fil": "w"})]}, "encoders[0].weights: give one of file, url, "),
    ({"encoders": [model(weights={"file": "w", "hub": "h"})]}, "random; not file and hub"),
    ({"encoders": [model(weights={"random": 2**63})]}, "encoders[0].weights.random: input should"),
    ({"encoders": [model(weights={"file": "{w}.pt"})]}, "encoders[0].weights.file: "),
    ({"encoders": [model(weights={**PACKAGE, "member": "{b}"})]}, "Snakemake reads braces"),
    ({"pivot": {"zoo": ["resnet50"]}}, "pivot: the zoo has no model ['resnet50']"),
    ({"pivot": {"name": "m", "family": "python", "target": "m:f", "architecture": "a"}},
     "pivot: family python takes no architecture; name the function in target"),
    ({"activations": {"keepbits": 10}}, "activations.keepbits: input should be less than or equal"),
    ({"mining": {"store": "zar"}}, "mining.store: input should be 'zarr' or 'none', not 'zar'"),
    ({"correlation": {"blocks": 0}}, "correlation.blocks: input should be greater than"),
    ({"correlation": {"keep": False}}, "correlation.keep: unknown key"),
    (
        {"mining": {"store": "none"}, "correlation": {"blocks": 2}},
        "broken.yaml: correlation.blocks: 2 needs stored maps, since every block would run all",
    ),
    ({"dictionary": {"examples": 0}}, "dictionary.examples: input should be greater than"),
    (
        {"dictionary": {"unit_examples": 0}},
        "dictionary.unit_examples: input should be greater than",
    ),
    (steering(invert={}, show={"name": "a", "concept": 0}),
     "steering: two jobs are named 'a'; give each a name of its own"),
    (steering(invert={"name": "a b"}), "steering.invert[0].name: 'a b' is no name"),
    (steering(invert={"image": {}}),
     "steering.invert[0].image: give one of file, sample, seed as the image; none is given"),
    (steering(invert={"image": {"file": "a.png", "seed": 0}}), "; file and seed are given"),
    (steering(invert={"image": {"sample": "cat"}}), "image.sample: input should be 'astronaut', "),
    (steering(invert={"image": {"seed": 0, "box": [0, 1]}}), "box: list should have at least 3"),
    (steering(invert={"step": 3}), "steering.invert[0].step: unknown key (did you mean 'steps'"),
    (steering(invert={"activations": 0.0, "prior_weight": 0.0}),
     "steering.invert[0]: all weights are 0; raise one of activations, pixel_weight, perceptual_"),
    (steering(invert={"encoders": ["mtcnn"]}), "steering: a: no encoder 'mtcnn'; they are eff"),
    (steering(invert={"encoders": ["mtcnn"]}), "mae_faces (did you mean 'mtcnn_onet'?)"),
    (steering(invert={"encoders": ["dcgan"]}), "steering: a: no encoder 'dcgan'; they are eff"),
    (steering(perceptual={"encoder": "vit"}),
     "steering.perceptual.encoder: no encoder 'vit'; they are efficientnet_lite0, mobilenet_v2"),
    (steering(judge={"encoder": "vit"}), "steering.judge.encoder: no encoder 'vit'; they are"),
    (steering(judge={}), "steering.judge: give one of encoder, lpips as the distance; none"),
    (steering(judge={"encoder": "mtcnn_onet", "lpips": "vgg"}), "; encoder and lpips are given"),
    (steering(judge={"lpips": "vgg", "size": 64}), "judge: lpips takes no size and no layers"),
    (steering(show={}), "show[0]: give one of concept, unit as what to show; none is given"),
    (steering(show={"concept": 0, "unit": "l/1"}), "what to show; concept and unit are given"),
    (steering(edit={"do": "zoom"}),
     "steering.edit[0]: give one of of_seed, of_job as the image to edit; none is given"),
    (steering(edit={"do": "zoom", "of_seed": 0, "of_job": "a"}), "; of_seed and of_job are given"),
    (steering(edit={"do": "zom", "of_seed": 0}), "steering.edit[0].do: input should be 'zoom', 's"),
    (steering(edit={"do": "remove", "of_seed": 0}),
     "steering.edit[0]: give one of concept, units as what to remove; none is given"),
    (steering(edit={"do": "add", "of_seed": 0, "units": []}), "units: list should have at least 1"),
    (steering(edit={"do": "shift", "of_seed": 0, "mask": "m.png"}),
     "steering.edit[0]: shift takes no concept, units or mask; remove and add do"),
    (steering(edit={"do": "shift", "of_seed": 0, "right": 1.5}), "right: input should be less"),
    (steering(edit={"do": "custom", "of_seed": 0}), "custom needs a function, FILE.py:NAME"),
    (steering(edit={"do": "zoom", "of_seed": 0, "function": "f.py:f"}),
     "steering.edit[0]: zoom takes no function; custom does"),
    (steering(invert={"name": "face"}, tune={"of_job": "fase"}),
     "steering: d: there is no inversion named 'fase' (did you mean 'face'?)"),
    (steering(show={"concept": 0}, edit={"do": "zoom", "of_job": "b"}),
     "steering: c: there is no inversion or tuning named 'b'"),
    (steering(invert={}, tune={"of_job": "a", "pixel_weight": 0.0, "perceptual_weight": 0.0}),
     "steering.tune[0]: all weights are 0; raise one of pixel_weight, perceptual_weight"),
    (steering(evaluate={"seeds": 0}), "steering.evaluate[0]: give seeds, images, or both"),
    (["run"], "expected keys and values, found list"),
    ("run", "expected keys and values, found str"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "said"), BROKEN)
def test_what_is_wrong_is_said_in_one_line(content, said: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(yaml.safe_dump(content))
    assert main(["check", "--config", str(path)]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"rosetta: {path}: ")
    assert said in err
    assert err.count("\n") == 1
    assert not out
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run: [", "line 1"),
        ("run: a\n  sampling: x", "line 2"),
        ("run: !!python/object/apply:os.system [id]", "could not determine a constructor"),
    ],
)
def test_files_that_are_no_yaml(text: str, said: str, tmp_path: Path, capsys) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    assert main(["check", "--config", str(path)]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


def test_a_file_that_is_not_there(tmp_path: Path, capsys) -> None:
    assert main(["check", "--config", str(tmp_path / "none.yaml")]) == 2
    assert "none.yaml: cannot be read: No such file" in capsys.readouterr().err


def test_two_files_of_one_package_lie_apart() -> None:
    members = ["big/w.pt", "small/w.pt"]
    encoders = [
        model(name=f"m{i}", weights={**PACKAGE, "member": m}) for i, m in enumerate(members)
    ]
    config = parse_config(tiny(encoders=encoders))
    assert len({RunPaths(config).weights(encoder) for encoder in config.encoders}) == 2


def test_jobs_are_found_by_name() -> None:
    jobs = parse_config(tiny()).steering
    assert list(jobs.jobs) == ["astronaut", "strongest", "tuned", "shifted", "table"]
    assert [jobs.job(name).name for name in jobs.jobs] == list(jobs.jobs)
    with pytest.raises(
        RosettaError, match=r"no job 'tune' in steering; they .* \(did you mean 'tun"
    ):
        jobs.job("tune")


def test_other_models_have_no_jobs_unless_they_are_given() -> None:
    names = list(Config().steering.jobs)
    assert len(names) > 5
    assert list(parse_config({"run": "x"}).steering.jobs) == names
    assert not parse_config({"steering": {}}).steering.jobs
    assert not parse_config({"encoders": [model()]}).steering.jobs
    pivot = Config().pivot.model_dump(mode="json")
    assert not parse_config({"pivot": pivot}).steering.jobs
    own = parse_config({"encoders": [model()], **steering(invert={"encoders": ["m"]})})
    assert list(own.steering.jobs) == ["a"]
    assert (own.perceptual.encoder, own.judge.encoder) == ("m", "m")
    with pytest.raises(RosettaError, match="no job 'a' in steering; there are none"):
        parse_config({"steering": {}}).steering.job("a")


def test_the_face_zoo_has_five_encoders_of_three_kinds_of_supervision() -> None:
    names = [encoder.name for encoder in Config().encoders]
    assert names == ["efficientnet_lite0", "mobilenet_v2", "mtcnn_onet", "mae_faces"]
    assert parse_config({"pivot": "dcgan", "encoders": names}).models == Config().models


def test_untrained_is_short_for_random_weights_and_a_name() -> None:
    short = ["mae_faces", {"zoo": "mae_faces", "untrained": True}]
    config = parse_config({"encoders": short})
    trained, untrained = config.encoders
    assert untrained.weights == RandomWeights(random=0)
    assert untrained == trained.model_copy(
        update={"name": "mae_faces_untrained", "weights": RandomWeights(random=0)}
    )
    resolved = config.model_dump(mode="json")
    assert "untrained" not in resolved["encoders"][1]
    assert parse_config(resolved) == config


@pytest.mark.parametrize(("given", "seed"), [(True, 0), (0, 0), (1, 1), (7, 7)])
def test_untrained_takes_a_seed(given: bool | int, seed: int) -> None:
    encoders = [
        {**model(), "untrained": given},
        {"zoo": "resnet50", "name": "control", "weights": {"file": "w"}, "untrained": given},
        {"name": "new", "family": "timm", "architecture": "resnet18", "untrained": given},
        {"name": "own", "family": "python", "target": "m:f", "weights": "random"}
        | {"untrained": given},
    ]
    found = parse_config({"encoders": encoders}).encoders
    assert [encoder.name for encoder in found] == ["m", "control", "new", "own"]
    assert all(encoder.weights == RandomWeights(random=seed) for encoder in found)


def test_what_is_not_untrained_is_as_if_nothing_were_said() -> None:
    encoders = [{"zoo": "mae_faces", "untrained": False}, {**model(), "untrained": False}]
    assert parse_config({"encoders": encoders}) == parse_config(
        {"encoders": ["mae_faces", model()]}
    )


def test_several_errors_are_counted() -> None:
    with pytest.raises(RosettaError, match=r"\(and 1 more\)$"):
        parse_config({"run": 7, "device": "gpu"})


OF_A = {"do": "zoom", "of_job": "a"}
REMOVE = {"do": "remove", "of_seed": 0, "units": ["main.8/3"]}
MISFITS = [
    (
        steering(invert={"image": {"file": "no.png"}}, tune={"of_job": "a"}, edit=OF_A),
        "steering: a: no file 'no.png'",
    ),
    (steering(evaluate={"images": [{"file": "no.png"}]}), "steering: e: no file 'no.png'"),
    (steering(edit={**REMOVE, "mask": "no.png"}), "steering: c: no file 'no.png'"),
    (
        steering(edit={"do": "custom", "of_seed": 0, "function": "no.py:f"}),
        "steering: c: no file 'no.py'",
    ),
    (steering(edit={"do": "custom", "of_seed": 0, "function": "f"}), "steering: c: no file ''"),
    (
        steering(show={"unit": "main.9/3"}),
        "steering: b: no unit 'main.9/3' of dcgan; write layer/channel, with one of the layers ma",
    ),
    (steering(show={"unit": "dcgan/main.8/128"}), "b: no unit 'dcgan/main.8/128' of dcgan; write"),
    (steering(edit={**REMOVE, "units": ["main.8/3", "main.11"]}), "c: no unit 'main.11' of dcgan"),
    ({"neighbours": {"k": 96}}, "neighbours.k: 96 is too large for mtcnn_onet, which has 96 units"),
    ({"dictionary": {"examples": 17}}, "dictionary.examples: 17 is more than sampling.images: 16"),
    ({"encoders": [model()]}, "m: no file of weights at w.pt"),
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
        "m: layers: 'prelu[z-a]' is no pattern",
    ),
    (
        {"encoders": [model(family="timm", architecture="resnet-50", weights=PACKAGE)]},
        "timm has no model 'resnet-50' (did you mean 'resnet50'",
    ),
]


def test_units_may_be_named_with_their_model() -> None:
    units = ["main.8/127", "dcgan/main.11/0"]
    stages.check(parse_config(tiny(**steering(edit={**REMOVE, "units": units}))))


@pytest.mark.parametrize(("changes", "said"), MISFITS)
def test_what_does_not_fit_the_models_is_said_before_a_job_starts(changes, said: str) -> None:
    with pytest.raises(RosettaError) as caught:
        stages.check(parse_config(tiny(**changes)))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there() -> None:
    with pytest.raises(RosettaError, match="device: 'cuda:1' isn't there"):
        stages.check(parse_config(tiny(device="cuda:1")))


def test_snakemake_says_it_too_and_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(tiny(neighbours={"k": 0})))
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory",
         tmp_path, "--configfile", "c.yaml", "--cores", "1"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if line.startswith("rosetta: ")]
    assert said == ["rosetta: configuration: neighbours.k: input should be greater than or equal "
                    "to 1, not 0"]  # fmt: skip
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "results").exists()
