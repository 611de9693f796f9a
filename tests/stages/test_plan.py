"""A plan counts what a run really has, and its estimates follow from that."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from conftest import ROOT, Checkout, tiny

from rosetta_core.cli.plan_report import format_plan
from rosetta_core.config import parse_config
from rosetta_core.runs.plan import Rates, StageCost, job_resources, pair_operations
from rosetta_core.stages.tools.machine_rates import measure_rates
from rosetta_core.stages.tools.plan import plan_run
from rosetta_core.zoo.layers import Layer
from rosetta_core.zoo.loading import build
from rosetta_core.zoo.probing import measure_forward

MODELS = ["dcgan", "efficientnet_lite0", "mobilenet_v2", "mtcnn_onet"]


def by_name(**changes):
    plan = plan_run(parse_config(tiny(**changes)))
    return plan, {stage.name: stage for stage in plan.stages}


def test_operations_of_pairs() -> None:
    first = [Layer("a", 3, 4, 4), Layer("b", 2, 8, 6)]
    second = [Layer("x", 5, 6, 6)]
    smaller = 2 * (3 * 5 * 16 + 2 * 5 * 36)
    enlarged = 2 * (3 * 5 * 36 + 2 * 5 * 48)
    assert pair_operations(first, second) == (smaller, enlarged)


def test_counts_are_those_of_the_finished_run(finished: Checkout) -> None:
    plan, stage = by_name()
    written = 0
    for model in MODELS:
        manifests = sorted((finished.run / "activations" / model).glob("*.json"))
        layers = json.loads(manifests[0].read_text())["layers"]
        assert [vars(layer) for layer in plan.models[model].layers] == layers
        written += sum(
            2 * 16 * layer["channels"] * layer["height"] * layer["width"] for layer in layers
        )
    assert stage["activations"].writes * 1.5 == written
    on_disk = sum(
        path.stat().st_size for path in (finished.run / "activations").rglob("*") if path.is_file()
    )
    assert 0.5 < stage["activations"].writes / on_disk < 1.5
    assert stage["activations"].jobs == 8
    assert stage["correlations"].jobs == 4
    assert stage["sample"].writes == 16 * 3 * 64 * 64
    corr = sum(4 * 192 * sum(x.channels for x in plan.models[m].layers) for m in MODELS)
    # of two halves each unit's 32 best partners and their correlations
    best = 8 * 32 * sum(192 + sum(x.channels for x in plan.models[m].layers) for m in MODELS)
    assert stage["correlations"].writes == corr + 2 * best
    assert plan.pairs == corr / 4


def test_memory_is_not_below_what_jobs_took(finished: Checkout) -> None:
    _, stage = by_name()
    for name in stage:
        for file in (finished.run / "benchmarks" / name).glob("*.tsv"):
            header, values = (line.split("\t") for line in file.read_text().splitlines())
            took = dict(zip(header, values, strict=True))["max_rss"]
            if took not in ("NA", "-"):
                assert float(took) <= job_resources(stage[name])["mem_mb"], name


def test_operations_of_a_network() -> None:
    config = parse_config(tiny())
    pixels, operations = measure_forward(build(config.pivot))
    assert pixels == 64 * 64
    network = build(config.pivot).network
    expected, maps = 0, torch.zeros(1, 100, 1, 1)
    for module in network.modules():
        if isinstance(module, torch.nn.ConvTranspose2d):
            positions = maps.shape[2] * maps.shape[3]
            expected += 2 * positions * module.weight.numel()
            maps = module(maps)
    assert operations == expected


def test_what_changes_the_plan() -> None:
    _, stage = by_name()
    _, live = by_name(activations={"store": "none"})
    assert "activations" not in live
    for name in ("correlations", "unit_examples", "concept_examples"):
        assert live[name].reads == 0
        assert live[name].operations > stage[name].operations
    assert live["dictionary"] == stage["dictionary"]
    _, shown = by_name(dictionary={"unit_examples": 8})
    assert shown["unit_examples"].writes > stage["unit_examples"].writes
    _, many = by_name(sampling={"images": 100_000})
    _, large = by_name(sampling={"images": 1_000_000})  # the pivot's maps are read once
    assert (many["correlations"].jobs, large["correlations"].jobs) == (4, 1)
    assert large["correlations"].reads < 10 * many["correlations"].reads
    _, few = by_name(correlation={"keep_matrix": False})
    assert few["correlations"].writes < stage["correlations"].writes
    _, more = by_name(sampling={"images": 32})
    for name in ("sample", "activations"):
        assert more[name].operations == 2 * stage[name].operations
        assert more[name].seconds == pytest.approx(2 * stage[name].seconds)
    asked = job_resources(more["activations"])
    assert asked.keys() == {"mem_mb", "disk_mb", "runtime"}
    assert all(isinstance(value, int) and value > 0 for value in asked.values())


def test_layers_stored_as_float32_take_twice_the_bytes_of_float16() -> None:
    plan, stage = by_name()
    content = tiny()
    content["pivot"]["float32_layers"] = ["main.8"]
    content["encoders"][0]["float32_layers"] = ["**"]
    config = parse_config(content)
    wide = {stage.name: stage for stage in plan_run(config).stages}
    (first,) = [layer for layer in plan.models["dcgan"].layers if layer.name == "main.8"]
    encoder = sum(layer.size for layer in plan.models[content["encoders"][0]["name"]].layers)
    added = {
        "activations": first.size + encoder,
        "unit_examples": first.size + encoder,
        "correlations": 4 * first.size + encoder,  # the pivot's maps are read by every job
        "null_models": len(config.nulls) * (3 * first.size + encoder),
    }
    for name, size in added.items():
        kind = "writes" if name == "activations" else "reads"
        more = getattr(wide[name], kind) - getattr(stage[name], kind)
        assert more == pytest.approx(2 * 16 * size / 1.5), name
    report = format_plan(config, plan_run(config), Rates(), cores=1)
    assert re.search(
        rf"^{content['encoders'][0]['name']} .* {4 * encoder / 2**10:,.1f} KiB", report, re.M
    )


def test_time_of_a_stage_on_several_cores() -> None:
    cost = StageCost(memory=0, seconds=12, jobs=3)
    assert [cost.elapsed(cores) for cores in (1, 2, 6)] == [12, 6, 2]
    single = replace(cost, single_core=True)
    assert [single.elapsed(cores) for cores in (1, 2, 6)] == [12, 6, 4], "a job uses one core"


def test_rates_and_report() -> None:
    config = parse_config(tiny(correlation={"blocks": 2}))
    rates = measure_rates(config)
    assert rates.products > 1e9
    assert set(rates.networks) == set(MODELS)
    for seconds in (rates.hooked, rates.written, rates.read, rates.reduced):
        assert 1e-11 < seconds < 1e-6
    text = format_plan(config, plan_run(config, rates), rates, cores=2)
    for model in MODELS:
        assert re.search(rf"^{model} +\d+ +[\d,]+ ", text, re.M)
    assert re.search(r"^correlations +8 ", text, re.M)


def test_the_verb() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rosetta_core", "plan"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "26,357,760 pairs of units" in done.stdout
    assert "10,240" in done.stdout
    assert done.stderr == ""
