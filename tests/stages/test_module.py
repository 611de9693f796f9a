"""Another workflow uses this one by Snakemake's `module`."""

import subprocess
import sys

import pytest
import yaml
from conftest import Checkout, tiny

OUTER = """
configfile: "outer.yaml"


module rosetta:
    snakefile:
        "Snakefile"
    config:
        config["rosetta"]


use rule * from rosetta as rosetta_*


rule count:
    default_target: True
    input:
        "results/tiny/tables/concepts.parquet",
    output:
        "count.txt",
    shell:
        "stat --format=%s {input} > {output}"
"""


def snakemake(checkout: Checkout, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "--snakefile", "outer.smk", *arguments]
    done = subprocess.run(command, cwd=checkout.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


@pytest.mark.whole_run
def test_a_rule_of_another_workflow_reads_a_table(rerun: Checkout) -> None:
    (rerun.folder / "outer.smk").write_text(OUTER)
    outer = {"rosetta": tiny(), "other": 1}
    (rerun.folder / "outer.yaml").write_text(yaml.safe_dump(outer))
    snakemake(rerun, "--cores", "1")
    size = int((rerun.folder / "count.txt").read_text())
    assert size == (rerun.run / "tables/concepts.parquet").stat().st_size
    again = snakemake(rerun, "--cores", "1")
    assert "Nothing to be done" in again.stderr
    outer["rosetta"] = tiny(neighbours={"k": 3})
    (rerun.folder / "outer.yaml").write_text(yaml.safe_dump(outer))
    planned = snakemake(rerun, "--cores", "1", "--dry-run").stdout
    assert "rule rosetta_neighbours:" in planned and "rule count:" in planned
    assert "rule rosetta_correlations" not in planned
