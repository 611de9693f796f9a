"""Records of stages agree with the rules of the workflow."""

from conftest import ROOT, Checkout, tiny

from rosetta_core.config import parse_config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.registry import STAGES, jobs_of
from rosetta_core.stages.stage import job_name


def test_rules_write_what_records_list(finished: Checkout) -> None:
    config = parse_config(tiny())
    paths = RunPaths(config)
    listed = {str(path) for stage, job in jobs_of(config) for path in stage.writes(paths, job)}
    planned = {path for path in finished.planned("--forceall") if "resources/" not in path}
    assert planned == listed


def test_every_stage_has_a_file_of_rules_of_its_name() -> None:
    files = {path.stem for path in (ROOT / "workflow/rules").glob("*.smk")}
    assert files - {"common", "weights"} == set(STAGES)


def test_logs_and_benchmarks_are_named_after_jobs(finished: Checkout) -> None:
    config = parse_config(tiny())
    for kind, suffix in (("logs", "log"), ("benchmarks", "tsv")):
        files = {
            str(path.relative_to(finished.run / kind))
            for path in (finished.run / kind).rglob(f"*.{suffix}")
            if path.parent.name not in ("fetch", "costs", "provenance")
        }
        expected = {
            f"{stage.name}/{'.'.join(job_name(job)) or stage.name}.{suffix}"
            for stage, job in jobs_of(config)
            if stage.measured
        }
        assert files == expected


def test_stages_that_take_minutes_are_planned() -> None:
    quick = {"units", "join", "sweep", "sweep_curves", "steering_pages", "costs", "provenance"}
    planned = {stage.name for stage in STAGES.values() if stage.cost}
    assert planned == set(STAGES) - quick
