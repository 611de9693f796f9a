"""Provenance of a finished run, and its comparison with another run."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import Checkout

from rosetta_core.cli.main import main
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import file_sha256
from rosetta_core.runs.finished.location import run_config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.provenance.record import read_provenance


def test_the_provenance_of_a_finished_run(finished: Checkout, monkeypatch) -> None:
    monkeypatch.chdir(finished.folder)
    provenance = json.loads((finished.run / "provenance.json").read_text())
    config = run_config(finished.run)
    assert provenance["libraries"]["torch"] == version("torch")
    assert "pytest" not in provenance["libraries"]  # an extra
    assert provenance["seed"] == config.sampling.seed
    assert provenance["machine"]["cores"] >= 1
    for model in config.models:
        file = RunPaths(config).weights(model)
        assert file
        assert provenance["weights"][model.name]["sha256"] == file_sha256(file)
    stages = {name.split()[0] for name in provenance["code"]}
    assert {"sample", "activations", "correlations", "concepts", "steer"} <= stages
    activations = [f"activations {model} 00000" for model in ("dcgan", "mtcnn_onet")]
    assert len({provenance["code"][job] for job in activations}) == 2  # other networks
    assert read_provenance(finished.run / "provenance.json") == provenance


def test_missing_and_damaged_provenance(tmp_path: Path) -> None:
    path = tmp_path / "provenance.json"
    assert read_provenance(path) == {}
    path.write_text('{"run": ')
    with pytest.raises(RosettaError, match=r"provenance.json: cannot be read \(.*\); delete it"):
        read_provenance(path)


def test_a_run_compared_with_itself(finished: Checkout, capsys) -> None:
    assert main(["compare", str(finished.run), str(finished.run)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(": identical")


def test_a_run_compared_with_an_empty_folder(finished: Checkout, tmp_path, capsys) -> None:
    assert main(["compare", str(finished.run), str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert str(tmp_path) in message
