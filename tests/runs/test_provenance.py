"""A run says what made it."""

import json
from importlib.metadata import version

from conftest import Checkout

from rosetta_core.cli.main import main
from rosetta_core.io.atomic import file_sha256
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.run import run_config


def test_a_finished_run_says_what_made_it(finished: Checkout, monkeypatch) -> None:
    monkeypatch.chdir(finished.folder)
    made = json.loads((finished.run / "provenance.json").read_text())
    config = run_config(finished.run)
    assert made["libraries"]["torch"] == version("torch")
    assert made["seed"] == config.sampling.seed
    assert made["machine"]["cores"] >= 1
    for model in config.models:
        file = RunPaths(config).weights(model)
        assert file
        assert made["weights"][model.name]["sha256"] == file_sha256(file)
    stages = {name.split()[0] for name in made["code"]}
    assert {"sample", "activations", "correlations", "concepts", "steer"} <= stages
    assert len({made["code"][f"activations {m}"] for m in ("dcgan", "mtcnn_onet")}) == 2


def test_a_run_compared_with_itself(finished: Checkout, capsys) -> None:
    assert main(["compare", str(finished.run), str(finished.run)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(": identical")


def test_a_run_compared_with_nothing(finished: Checkout, tmp_path, capsys) -> None:
    assert main(["compare", str(finished.run), str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert str(tmp_path) in said
