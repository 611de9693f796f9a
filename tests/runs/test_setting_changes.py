"""Names of the settings that changed since the results of a run were computed."""

from pathlib import Path
from typing import Any

import pytest
from conftest import tiny

from rosetta_core.config import Config, parse_config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.setting_changes import describe_changes, record_changes, setting_changes
from rosetta_core.stages.tools.prepare import write_config


def start(config: Config, *, finish: bool) -> list[str]:
    """What a start of a run does with its settings; return what it prints."""
    changes = setting_changes(config)
    record_changes(config, changes)
    write_config(config)
    if finish:
        record_changes(config, {})
    return describe_changes(config.run, changes)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config_with(**changes: Any) -> Config:
    return parse_config(tiny(**changes))


def test_a_changed_setting_is_named_with_both_values(here: Path) -> None:
    assert start(config_with(), finish=True) == []
    assert start(config_with(), finish=True) == []
    changed = config_with(neighbours={"k": 3}, sampling={"classes": [1]}, resources="elsewhere")
    assert start(changed, finish=True) == [
        "tiny: setting changed: sampling.classes: null → [1]",
        "tiny: setting changed: neighbours.k: 5 → 3",
    ]
    assert start(changed, finish=True) == []


def test_settings_of_models_and_jobs_have_their_names(here: Path) -> None:
    content = tiny()
    start(parse_config(content), finish=True)
    content["encoders"][1]["layers"] = ["features.2.conv.1.2"]
    content["steering"]["invert"][0]["steps"] = 7
    lines = start(parse_config(content), finish=True)
    assert "tiny: setting changed: steering.invert.astronaut.steps: 4 → 7" in lines
    assert lines[0].startswith("tiny: setting changed: encoders.mobilenet_v2.layers: [")
    del content["steering"]["show"][0]
    removed = start(parse_config(content), finish=True)
    assert any("steering.show.strongest.concept: 0 → (missing)" in line for line in removed)


def test_changes_are_named_until_a_start_finishes(here: Path) -> None:
    """Results of an interrupted start still have the settings before it."""
    start(config_with(), finish=True)
    expected = ["tiny: setting changed: neighbours.k: 5 → 3"]
    assert start(config_with(neighbours={"k": 3}), finish=False) == expected
    assert start(config_with(neighbours={"k": 3}), finish=False) == expected
    assert start(config_with(neighbours={"k": 4}), finish=False) == [
        "tiny: setting changed: neighbours.k: 5 → 4"
    ]
    assert start(config_with(), finish=False) == []
    assert start(config_with(), finish=True) == []


def test_damaged_records_name_nothing(here: Path) -> None:
    start(config_with(), finish=False)
    paths = RunPaths(config_with())
    (paths.run / ".changed-settings.json").write_text("{")
    assert len(setting_changes(config_with(neighbours={"k": 3}))) == 1
    paths.config.write_text("a: [")
    assert setting_changes(config_with(neighbours={"k": 3})) == {}


def test_many_changes_stay_a_dozen_lines() -> None:
    changes = {f"key{number}": (0, "long " * 40) for number in range(30)}
    lines = describe_changes("tiny", changes)
    assert len(lines) == 12 and lines[-1] == "tiny: 19 more settings changed"
    assert max(map(len, lines)) < 120
