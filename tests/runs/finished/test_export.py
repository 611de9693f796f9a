"""Exported tables are the run's tables, every unit with its name, whole or not at all."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from checkout import Checkout
from read_only import read_only

from rosetta_core import RosettaError, open_run
from rosetta_core.cli.main import main
from rosetta_core.config import load_config
from rosetta_core.mining.named_tables import COLUMNS
from rosetta_core.mining.run_tables import RunTables
from rosetta_core.runs.finished import export
from rosetta_core.runs.finished.export import export_tables
from rosetta_core.runs.finished.run_tables import read_run_tables

LISTS = ["pivot_ids", "pivot_units"]
FLOATS = [
    "mean",
    "std",
    "corr",
    "mean_corr",
    "min_corr",
    "rosetta_share",
    "vargha_delaney_a",
    "p_value",
]
FLOATS += [
    "sparsity",
    "sparsity_other",
    "selectivity",
    "selectivity_other",
    "vargha_delaney_a_pooled",
]


@pytest.fixture(scope="module")
def findings(finished: Checkout) -> RunTables:
    return read_run_tables(open_run(finished.run).config)


def plain_tables(folder: Path, name: str) -> pd.DataFrame:
    """A table over all models, as the run's Parquet files have it."""
    single = folder / "tables" / f"{name}.parquet"
    if single.is_file():
        return pd.read_parquet(single)
    config = load_config(folder / "config.yaml")
    prefix = "" if name == "units" else f"{config.pivot.name}--"
    files = [folder / "tables" / name / f"{prefix}{model.name}.parquet" for model in config.models]
    return pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)


def read_back(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        return pd.read_parquet(path)
    if path.suffix == ".json":
        return pd.DataFrame(json.loads(path.read_text(encoding="utf-8")))
    exact = dict.fromkeys(FLOATS, str)  # not every pandas parses the last digit
    table = pd.read_csv(path, dtype=exact)
    for column in table.columns.intersection(LISTS):
        table[column] = [str(value).split(";") for value in table[column]]
    if "pivot_units" in table:
        table["pivot_units"] = [[int(unit) for unit in units] for units in table["pivot_units"]]
    return table


@pytest.mark.parametrize("format", ["csv", "json", "parquet"])
def test_what_is_read_back_is_the_run(
    findings: RunTables, finished: Checkout, tmp_path: Path, format
) -> None:
    folder = export_tables(findings, tmp_path / "new" / "export", format=format)
    assert {path.name for path in folder.iterdir()} == {f"{name}.{format}" for name in COLUMNS}
    units = read_back(folder / f"units.{format}").set_index("id")
    for name, columns in COLUMNS.items():
        found, plain = read_back(folder / f"{name}.{format}"), plain_tables(finished.run, name)
        assert found.columns.tolist() == columns
        assert len(found) == len(plain)
        for column in plain:
            if column in LISTS:
                assert [list(x) for x in found[column]] == [list(x) for x in plain[column]]
            else:
                values = found[column].to_numpy().astype(plain[column].to_numpy().dtype)
                np.testing.assert_array_equal(values, plain[column].to_numpy())
        if "concept_id" in columns:
            ids = [findings.concept_ids[number] for number in found["concept"]]
            assert found["concept_id"].tolist() == ids
        unit_ids = [column for column in columns if column == "id" or column.endswith("_id")]
        for id in [column for column in unit_ids if column != "concept_id"]:
            side = id.removesuffix("id")
            named = units.loc[found[id]]
            number = "neighbour" if side == "neighbour_" else f"{side}unit"
            columns_of = {"model": f"{side}model", "layer": f"{side}layer", "unit": number}
            for part, column in {**columns_of, "channel": f"{side}channel"}.items():
                assert found[column].tolist() == named[part].tolist()


def test_the_files_are_plain_text(findings: RunTables, tmp_path: Path) -> None:
    pivot = findings.pivot
    layers = {name: table.assign(layer="é/\"," + table["layer"]) for name, table in
              findings.units.items()}  # fmt: skip
    layers[pivot].loc[0, "mean"] = np.nan
    named = replace(findings, units=layers)
    text = (export_tables(named, tmp_path / "csv") / "units.csv").read_bytes().decode("utf-8")
    assert "\r" not in text
    assert text.count("\n") == 1 + sum(map(len, layers.values()))
    first = layers[pivot].iloc[0]
    id = f"{pivot}/{first['layer']}/{first['channel']}"
    assert pd.read_csv(tmp_path / "csv" / "units.csv")["id"][0] == id
    export_tables(named, tmp_path / "json", format="json")
    text = (tmp_path / "json" / "units.json").read_text(encoding="utf-8")
    assert "NaN" not in text
    assert "é" in text
    corr = json.loads((tmp_path / "json" / "rosetta.json").read_text(encoding="utf-8"))[0]["corr"]
    assert repr(corr) == str(findings.rosetta["corr"].to_numpy()[0])  # no digits of float64
    record = json.loads(text)[0]
    assert (record["id"], record["mean"], record["alive"]) == (id, None, bool(first["alive"]))


def test_a_run_without_concepts(findings: RunTables, tmp_path: Path) -> None:
    none = replace(findings, rosetta=findings.rosetta[:0], concepts=findings.concepts[:0])
    for format in ("csv", "json", "parquet"):
        folder = export_tables(none, tmp_path / format, format=format)
        assert len(read_back(folder / f"rosetta.{format}")) == 0
        assert len(read_back(folder / f"concepts.{format}")) == 0


def test_only_an_export_is_replaced(findings: RunTables, tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "export"
    export_tables(findings, folder)
    export_tables(findings, folder, format="json")
    assert {path.suffix for path in folder.iterdir()} == {".json"}
    (folder / "notes.txt").write_text("mine")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RosettaError, match=r"^.*/export: not an earlier export of a run .*$"):
        export_tables(findings, folder)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    with pytest.raises(RosettaError, match=r"notes.txt: is a file; export into a folder"):
        export_tables(findings, folder / "notes.txt")
    with pytest.raises(RosettaError, match=r"deeper: cannot be written \(.*\); choose a folder"):
        export_tables(findings, folder / "notes.txt" / "deeper")
    with pytest.raises(
        RosettaError, match=r"^'xlsx' is not an export format; use csv, json, parquet$"
    ):
        export_tables(findings, tmp_path / "other", format="xlsx")

    def fail(_: RunTables) -> pd.DataFrame:
        raise RosettaError("stop")

    monkeypatch.setitem(export.TABLES, "rosetta", fail)
    with pytest.raises(RosettaError, match="stop"):
        export_tables(findings, tmp_path / "half")
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_the_verb(finished: Checkout, tmp_path: Path, capsys) -> None:
    content = yaml.safe_load((finished.run / "config.yaml").read_text())
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(content | {"results": str(tmp_path)}))
    shutil.copytree(finished.run / "tables", tmp_path / "tiny" / "tables")
    assert main(["export", "--config", str(config)]) == 0
    assert len(list((tmp_path / "tiny" / "export").glob("*.csv"))) == len(COLUMNS)
    there = tmp_path / "there"
    arguments = ["export", "--format", "parquet", "--to", str(there), "--config", str(config)]
    assert main(arguments) == 0
    assert len(list(there.glob("*.parquet"))) == len(COLUMNS)
    capsys.readouterr()
    assert main(["export", "--to", str(tmp_path), "--config", str(config)]) == 2
    assert "not an earlier export of a run" in capsys.readouterr().err.splitlines()[-1]


def test_a_read_only_run_is_exported_drawn_and_verified(
    rerun: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(rerun.folder)

    def refusal(*arguments: str) -> str:
        assert main([*arguments]) == 2
        return capsys.readouterr().err.splitlines()[-1]

    option, out = ("--config", "tiny.yaml"), str(tmp_path / "out")
    with read_only(rerun.folder / "results"):
        assert main(["export", "--to", out, *option]) == 0
        assert main(["figure", "--concepts", "0", "--out", f"{out}/a", *option]) == 0
        assert main(["verify", "results/tiny"]) == 0
        assert len(open_run("results/tiny").images([0, 1])) == 2
        refused = "results/tiny/{}: cannot be written (Read-only file system); choose a"
        assert refused.format("export") in refusal("export", *option)
        assert refused.format("figures") in refusal("figure", *option)
        assert "Read-only file system" in refusal("neighbours", "dcgan", *option)
    assert {path.name for path in (tmp_path / "out").iterdir()} > {"a.pdf", "a.png", "units.csv"}
