"""Default configuration, schema, short forms and derived settings."""

import json
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
import yaml
from conftest import ROOT, tiny

from rosetta_core.config import (
    Config,
    default_yaml,
    json_schema,
    load_config,
    parse_config,
    read_yaml,
    typed_values,
    write_yaml,
)
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths
from rosetta_core.validation import parse_bytes
from rosetta_core.zoo.weights.local import RandomWeights


def test_default_yaml_and_schema_are_up_to_date() -> None:
    assert (ROOT / "config.yaml").read_text() == default_yaml(), "run: rosetta defaults"
    assert (ROOT / "workflow/config.schema.json").read_text() == json_schema(), "rosetta schema"
    assert parse_config(yaml.safe_load(default_yaml())) == Config()


def test_command_line_texts_are_typed_as_in_a_file() -> None:
    assert typed_values(yaml.load(default_yaml(), yaml.BaseLoader)) == yaml.safe_load(
        default_yaml()
    )
    texts = {"a": ["1", "-2.5", "true", "null", "1 GiB", "2024-01-01", "", "0x_"], "b": 3}
    assert typed_values(texts) == {
        "a": [1, -2.5, True, None, "1 GiB", "2024-01-01", None, "0x_"], "b": 3
    }  # fmt: skip


@pytest.mark.parametrize("name", ["config.yaml", *sorted((ROOT / "configs").glob("*.yaml"))])
def test_schema_accepts_our_configurations(name: str) -> None:
    jsonschema.validate(yaml.safe_load((ROOT / name).read_text()), json.loads(json_schema()))


def test_schema_knows_short_forms_and_their_misspellings() -> None:
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


def test_every_key_of_the_default_has_a_comment() -> None:
    lines = default_yaml().splitlines()
    keys = {line.strip().removeprefix("- ").split(":")[0] for line in lines if ":" in line}
    explained = {
        after.strip().removeprefix("- ").split(":")[0]
        for line, after in pairwise(lines)
        if line.strip().startswith("#")
    }
    assert {key for key in keys if not key.startswith("#")} <= explained


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "+1e-3", "1.0e-3", "10e-4", "0.001"])
def test_numbers_with_an_exponent(text: str, tmp_path: Path) -> None:
    """YAML 1.1 takes most of these for text."""
    path = tmp_path / "c.yaml"
    path.write_text(f"activations: {{min_relative_std: {text}}}")
    assert load_config(path).activations.min_relative_std == 0.001
    assert typed_values({"a": text}) == {"a": 0.001}


def test_written_yaml_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    content = {"texts": ["1e-3", "1e5", "-2E7", "true", "1", "é"], "numbers": [1e-9, 1e22, 7, 0.1]}
    path.write_text(write_yaml(content), encoding="utf-8")
    assert read_yaml(path) == content


def test_anchors_stand_under_keys_that_begin_with_x(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "x-few: &few {images: 16}\nx-list: [1, 2]\nsampling: {<<: *few, seed: 3}\nx-: null\n"
    )
    config = load_config(path)
    assert (config.sampling.images, config.sampling.seed) == (16, 3)
    assert "x-few" not in config.model_dump()
    jsonschema.validate(yaml.safe_load(path.read_text()), json.loads(json_schema()))


def test_later_files_change_keys_of_earlier_ones(tmp_path: Path) -> None:
    """As Snakemake merges several configuration files, and `--config`."""
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("run: a\nsampling: {images: 16, seed: 3, classes: [1, 2]}\n")
    two.write_text("sampling: {images: 32, classes: [3]}\n")
    sampling = load_config(one, two, changes={"sampling": {"seed": 4}, "run": "b"}).sampling
    assert (sampling.images, sampling.seed, sampling.classes) == (32, 4, [3])
    two.write_text("a list")
    with pytest.raises(RosettaError, match=r"two\.yaml: expected keys and values, found str"):
        load_config(one, two)


def test_shards_cover_the_images_once() -> None:
    config = parse_config(tiny(sampling={"images": 21, "shard_size": 8}))
    assert config.shards == ["00000", "00001", "00002"]
    images = [image for shard in config.shards for image in config.shard_images(shard)]
    assert images == list(range(21))


@pytest.mark.parametrize(
    ("text", "size"), [("2 GiB", 2**31), ("64MiB", 2**26), ("1.5 KiB", 1536), ("1 TiB", 2**40)]
)
def test_memory_sizes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


def model(**changes):
    return {"name": "m", "family": "mtcnn_onet", "weights": {"file": "w.pt"}, **changes}


def steering(**jobs):
    """One steering job per kind, with its required keys."""
    common = {"invert": {"name": "a", "image": {"seed": 0}}, "show": {"name": "b"}}
    common |= {"edit": {"name": "c"}, "tune": {"name": "d"}, "evaluate": {"name": "e"}}
    return {
        "steering": {
            kind: [{**common[kind], **job}] if kind in common else job for kind, job in jobs.items()
        }
    }


PACKAGE = {"package": "a==1", "member": "a/b", "sha256": "0" * 64}


def test_two_files_of_one_package_have_different_paths() -> None:
    members = ["big/w.pt", "small/w.pt"]
    encoders = [
        model(name=f"m{i}", weights={**PACKAGE, "member": m}) for i, m in enumerate(members)
    ]
    config = parse_config(tiny(encoders=encoders))
    assert len({RunPaths(config).weights(encoder) for encoder in config.encoders}) == 2


def test_jobs_by_name() -> None:
    jobs = parse_config(tiny()).steering
    assert list(jobs.jobs) == ["astronaut", "strongest", "tuned", "shifted", "table"]
    assert [jobs.job(name).name for name in jobs.jobs] == list(jobs.jobs)
    with pytest.raises(
        RosettaError, match=r"no job 'tune' in steering; they .* \(did you mean 'tun"
    ):
        jobs.job("tune")


def test_runs_with_other_models_have_no_default_jobs() -> None:
    names = list(Config().steering.jobs)
    assert len(names) > 5
    assert list(parse_config({"run": "x"}).steering.jobs) == names
    assert not parse_config({"steering": {}}).steering.jobs
    assert not parse_config({"encoders": [model()]}).steering.jobs
    pivot = Config().pivot.model_dump(mode="json")
    assert not parse_config({"pivot": pivot}).steering.jobs
    own = parse_config({"encoders": [model()], **steering(invert={"encoders": ["m"]})})
    assert list(own.steering.jobs) == ["a"]
    assert (own.loss_distance.encoder, own.evaluation_distance.encoder) == ("m", "m")
    with pytest.raises(RosettaError, match="no job 'a' in steering; there are none"):
        parse_config({"steering": {}}).steering.job("a")


def test_the_face_zoo_has_five_encoders_of_four_kinds_of_supervision() -> None:
    names = [encoder.name for encoder in Config().encoders]
    assert names == [
        *("efficientnet_lite0", "mobilenet_v2", "mtcnn_onet"),
        *("mae_faces", "dino_faces"),
    ]
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
    parsed = parse_config({"encoders": encoders}).encoders
    assert [encoder.name for encoder in parsed] == ["m", "control", "new", "own"]
    assert all(encoder.weights == RandomWeights(random=seed) for encoder in parsed)


def test_untrained_false_is_the_default() -> None:
    encoders = [{"zoo": "mae_faces", "untrained": False}, {**model(), "untrained": False}]
    assert parse_config({"encoders": encoders}) == parse_config(
        {"encoders": ["mae_faces", model()]}
    )


def test_several_errors_are_counted() -> None:
    with pytest.raises(RosettaError, match=r"\(and 1 more\)$"):
        parse_config({"run": 7, "device": "gpu"})
