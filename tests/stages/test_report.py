"""Snakemake's report holds what a reader wants of a run, each with its caption."""

import json
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pandas as pd
import pytest
from conftest import ROOT, Checkout, tiny

from rosetta_core.config import parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.runs.costs import cost_table
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.registry import benchmarks

MODELS = ["dcgan", "efficientnet_lite0", "mobilenet_v2", "mtcnn_onet"]
ITEMS = {  # of the report, and their captions
    "dictionary/index.html": "dictionary",
    "dictionary/figures/concepts.png": "figures",
    "dictionary/figures/image.png": "figures",
    "tables/concepts.parquet": "concepts",
    "tables/rosetta.parquet": "rosetta",
    **{f"tables/{table}.parquet": table for table in ("layers", "selectivity", "vargha_delaney")},
    **{
        f"tables/significance/{table}.parquet": f"significance_{table}"
        for table in ("null_counts", "concepts", "pairs", "split_half")
    },
    "tables/costs.csv": "costs",
    "steering/index.html": "steering_pages",
    **{
        f"{job}/contact_sheet.png": "steering"
        for job in (
            "edits/shifted",
            "evaluations/table",
            "inversions/astronaut",
            "shows/strongest",
            "tunings/tuned",
        )
    },
    **{f"tables/units/{model}.parquet": "units" for model in MODELS},
    **{
        f"tables/{table}/dcgan--{model}.parquet": table
        for table in ("neighbours", "best_buddies")
        for model in MODELS
    },
}
HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def words(text: str) -> list[str]:
    """A caption's words, as they are written and as they are shown."""
    return re.sub(r"<[^>]*>|``", "", text).split()


@pytest.mark.whole_run
def test_the_report(finished: Checkout, tmp_path: Path) -> None:
    finished.snakemake("--report", str(tmp_path / "report.zip"))
    with ZipFile(tmp_path / "report.zip") as report:
        page = report.read("report/report.html").decode()
        found = re.search(r'var results = ({"results.*?});\s*</script>', page, re.S)
        assert found
        results = json.loads(found[1])
        assert sorted(results) == sorted(f"results/tiny/{item}" for item in ITEMS)
        for item, caption in ITEMS.items():
            result = results[f"results/tiny/{item}"]
            expected = (ROOT / "workflow" / "report" / f"{caption}.rst").read_text()
            assert words(result["caption"]) == words(expected)
            shown = report.read(f"report/{result['data_uri']}")
            assert shown == (finished.run / item).read_bytes()
        beside = Path(results["results/tiny/dictionary/index.html"]["data_uri"]).parent
        held = {
            name for name in report.namelist() if Path(f"report/{beside}") in Path(name).parents
        }
    pages = [path for path in (finished.run / "dictionary").rglob("*") if path.is_file()]
    assert len(held) == len([path for path in pages if path.name != ".snakemake_timestamp"])
    assert finished.planned() == []


def test_costs_are_those_of_every_job(finished: Checkout) -> None:
    table = pd.read_csv(finished.run / "tables/costs.csv", dtype={"job": str})
    assert table.columns.tolist() == [
        "stage", "job", "seconds", "cpu_seconds", "max_rss_mib", "read_mib", "written_mib",
    ]  # fmt: skip
    files = (finished.run / "benchmarks").rglob("*.tsv")
    assert sorted(zip(table["stage"], table["job"], strict=True)) == sorted(
        (file.parent.name, file.stem) for file in files
    )
    assert table.set_index(["stage", "job"]).loc[("activations", "mtcnn_onet.00001"), "seconds"] > 0


def test_measured_jobs_follow_the_configuration() -> None:
    def jobs(**changes: Any) -> set[tuple[str, str]]:
        files = benchmarks(parse_config(tiny(**changes)))
        return {(file.parent.name, file.stem) for file in files}

    blocks = jobs(correlation={"blocks": 2})
    assert ("correlations", "mtcnn_onet.0001") in blocks
    assert ("join", "mtcnn_onet") in blocks
    live = jobs(activations={"store": "none"})
    assert not {"activations", "units", "join"} & {stage for stage, _ in live}
    assert ("correlations", "dcgan.efficientnet_lite0.mobilenet_v2.mtcnn_onet") in live


def test_what_was_not_measured_is_empty(tmp_path: Path) -> None:
    file = RunPaths(parse_config(tiny(results=str(tmp_path)))).benchmark("concepts")
    file.parent.mkdir(parents=True)
    file.write_text(f"{HEADER}0.25\t0:00:00\t-\t-\t-\t-\t-\t-\tNA\tNA\n")
    row = cost_table([file]).iloc[0]
    assert row["stage"] == row["job"] == "concepts"
    assert row["seconds"] == 0.25
    assert row[["cpu_seconds", "max_rss_mib", "read_mib", "written_mib"]].isna().all()
    for damaged in ("", HEADER, "a\tb\n1\t2\n"):
        file.write_text(damaged)
        with pytest.raises(RosettaError, match="not a readable benchmark"):
            cost_table([file])
