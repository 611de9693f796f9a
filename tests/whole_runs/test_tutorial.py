"""The cells of the tutorial on mining in memory run, and show what it says."""

import re
from pathlib import Path

import matplotlib as mpl
import pytest
from conftest import ROOT
from matplotlib.figure import Figure

import rosetta_core as rosetta

TUTORIAL = ROOT / "docs/tutorials/mine-in-a-notebook.md"


def test_its_cells_run(weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mpl.use("Agg")
    (tmp_path / "resources").symlink_to(ROOT / "resources")
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    values = []
    for cell in re.findall(r"```python\n(.*?)```", TUTORIAL.read_text(), re.S):
        *_, last = cell.strip().split("\n")
        exec(cell.replace("256)", "16)"), scope)
        if not re.match(r"\w+ = |\)|import", last):
            values.append(eval(last.partition("  #")[0], scope))
    assert isinstance(scope["mined"], rosetta.Mined)
    assert sum(isinstance(value, Figure) for value in values) == 2
    assert any(isinstance(value, rosetta.Model) for value in values)
    assert (tmp_path / "site/index.html").is_file()
