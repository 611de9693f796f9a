"""Estimated costs count what a stage does: activations, products, passes, bytes; by hand."""

import math
from typing import Any

import pytest
from conftest import tiny

from rosetta_core.config import Config, parse_config
from rosetta_core.runs.plan import Cost, Rates, RunShapes, StageCost, job_resources
from rosetta_core.stages.dictionary import CONCEPT, PAGE
from rosetta_core.stages.registry import STAGES
from rosetta_core.stages.sample import READ_IMAGE
from rosetta_core.stages.steer import BACKWARD
from rosetta_core.stages.unit_examples import BINS, LOOK, SPARE
from rosetta_core.zoo.layers import Layer
from rosetta_core.zoo.model_info import ModelInfo

IMAGES = 16  # of the tiny run
MODELS = {  # pivot, then encoders
    "dcgan": ModelInfo([Layer("a", 3, 4, 4), Layer("b", 2, 60, 50)], 11, 1000, image_pixels=90),
    "efficientnet_lite0": ModelInfo([Layer("c", 5, 2, 3)], 13, 200),
    "mobilenet_v2": ModelInfo([Layer("d", 7, 4, 4)], 17, 30),
    "mtcnn_onet": ModelInfo([Layer("e", 1, 8, 5)], 19, 4),
}
UNITS = {"dcgan": 5, "efficientnet_lite0": 5, "mobilenet_v2": 7, "mtcnn_onet": 1}
SIZE = {"dcgan": 3 * 16 + 2 * 3000, "efficientnet_lite0": 30, "mobilenet_v2": 112, "mtcnn_onet": 40}
VALUES = IMAGES * sum(SIZE.values())  # activations of all models
FLOPS = IMAGES * 1234
PAIRS = 5 * (5 + 5 + 7 + 1)
# operations per image of products at the smaller grid: 2 · channels · channels · positions
PRODUCTS = {
    "dcgan": 2 * (3 * 3 * 16 + 2 * 3 * 2 * 16 + 2 * 2 * 3000),
    "efficientnet_lite0": 2 * (3 * 5 + 2 * 5) * 6,
    "mobilenet_v2": 2 * (3 * 7 + 2 * 7) * 16,
    "mtcnn_onet": 2 * (3 * 1 * 16 + 2 * 1 * 40),
}
# bytes of one map of each unit, of at most 48 × 48
SHOWN = {"dcgan": 48 + 2 * 48 * 48, "efficientnet_lite0": 30, "mobilenet_v2": 112, "mtcnn_onet": 40}
GIB = 2**30
INSTANT = {"hooked": 0.0, "written": 0.0, "read": 0.0, "reduced": 0.0}
RATES = [*INSTANT, "products", "forward"]


def config(**changes: Any) -> Config:
    return parse_config(tiny(**changes))


LIVE = {"activations": {"store": "none"}}


def cost(stage: str, changes: dict[str, Any], *, budget: int = 2 * GIB, **rates: Any) -> Cost:
    """The cost on a machine that does everything in no time, given rates aside."""
    instant = {**INSTANT, "products": math.inf, "forward": math.inf, **rates}
    estimate = STAGES[stage].cost
    assert estimate is not None
    shapes = RunShapes(config(**changes), MODELS, Rates(**instant))
    assert shapes.budget == 2 * GIB
    shapes.budget = budget
    return estimate(shapes)


def amounts(stage: str, **changes: Any) -> dict[str, float]:
    """How often a stage does what a rate is the time of."""
    fixed = cost(stage, changes).seconds
    one = {name: cost(stage, changes, **{name: 1.0}).seconds - fixed for name in RATES}
    return {name: round(count) for name, count in one.items() if count}


def test_activations_are_counted_per_stage() -> None:
    assert amounts("sample") == {"forward": IMAGES * 1000}
    assert amounts("activations") == {"forward": FLOPS, "hooked": VALUES, "written": VALUES}
    assert amounts("concept_examples") == {"read": VALUES, "reduced": VALUES}
    assert amounts("concept_examples", **LIVE) == {
        **{"forward": FLOPS, "hooked": VALUES, "reduced": VALUES},
    }
    assert amounts("unit_examples") == {"read": VALUES, "reduced": LOOK * VALUES}
    assert amounts("pair_statistics") == {"read": VALUES, "reduced": VALUES}
    rows = 3 * IMAGES * SIZE["dcgan"]  # the pivot's maps, once more for each encoder
    products = IMAGES * sum(PRODUCTS.values())
    for blocks in (1, 2):
        read = blocks * (VALUES + rows)
        changes = {"correlation": {"blocks": blocks}}
        assert amounts("correlations", **changes) == {
            **{"products": products, "read": read, "reduced": read},
        }
    assert amounts("correlations", **LIVE) == {
        **{"products": products, "reduced": VALUES, "forward": FLOPS, "hooked": VALUES},
    }


@pytest.mark.parametrize("nulls", [["permute_images"], ["roll_positions", "untrained"]])
def test_null_models_mine_every_encoder(nulls: list[str]) -> None:
    changes = {"significance": {"nulls": nulls}}
    encoders = list(MODELS)[1:]
    count, products = len(nulls), IMAGES * sum(PRODUCTS[name] for name in encoders)
    read = count * IMAGES * sum(SIZE["dcgan"] + SIZE[name] for name in encoders)
    passes = 2 * IMAGES * 234 * ("untrained" in nulls)
    expected = {"products": count * products, "read": read, "reduced": read}
    expected |= {"forward": passes} if passes else {}
    assert amounts("null_models", **changes) == expected
    estimate = cost("null_models", changes)
    assert estimate.operations == count * products + passes
    assert estimate.reads == pytest.approx(2 * read / 1.5)
    assert estimate.seconds == pytest.approx(3 * count * (1 + 5 * 7 * 1e-7))
    maps = 4 * IMAGES * sum(SIZE["dcgan"] + SIZE[name] for name in encoders) / 3
    assert estimate.memory == pytest.approx(GIB + 8 * 19 + 8 * 5 * 7 + maps)
    small = cost("null_models", changes, budget=1024)
    assert small.memory == GIB + 8 * 19 + 1024


def test_operations_reads_and_writes() -> None:
    stored, products = 2 * VALUES / 1.5, IMAGES * sum(PRODUCTS.values())
    examples = {name: 3 * shown for name, shown in SHOWN.items()}
    concepts = 50 * IMAGES * sum(SHOWN[name] / UNITS[name] for name in MODELS)
    best = 8 * 32 * sum(5 + count for count in UNITS.values())
    rows = 3 * IMAGES * SIZE["dcgan"]
    matrix = 4 * PAIRS + 2 * best  # and the neighbours of two halves
    expected = {  # operations, reads, writes
        "sample": (IMAGES * 1000, 0, 3 * IMAGES * 90),
        "activations": (FLOPS, 0, stored),
        "correlations": (products, stored + 2 * rows / 1.5, matrix),
        "neighbours": (0, matrix, 0),
        "pair_statistics": (0, stored, 0),
        "unit_examples": (0, stored, sum(examples.values()) + 8 * BINS * 18),
        "concept_examples": (0, stored, concepts),
        "dictionary": (0, concepts + sum(examples.values()), 0),
    }
    for stage, values in expected.items():
        found = cost(stage, {})
        assert (found.operations, found.reads, found.writes) == pytest.approx(values), stage
    live = {"correlations": products + FLOPS, "unit_examples": FLOPS, "concept_examples": FLOPS}
    for stage, operations in live.items():
        found = cost(stage, LIVE)
        assert (found.operations, found.reads) == (operations, 0), stage
    few = cost("correlations", {"correlation": {"keep_matrix": False}})
    assert few.writes == pytest.approx(3 * best)


def test_memory() -> None:
    """A process, the largest network twice, and maps as far as the budget allows."""
    network, maps = GIB + 8 * 19, 2 * VALUES
    examples = {name: 3 * shown for name, shown in SHOWN.items()}
    candidates = SPARE * examples["dcgan"] + 8 * BINS * 7
    expected = {
        "sample": network,
        "activations": network + maps,
        "correlations": network + 8 * PAIRS + 4 * VALUES,
        "neighbours": GIB + 16 * 5 * 7,
        "pair_statistics": GIB + 4 * VALUES,
        "unit_examples": GIB + maps + candidates,
        "concept_examples": GIB + maps,
        "dictionary": GIB + 2 * sum(examples.values()),
        "steer": 2 * GIB + 4 * (11 + 13 + 17 + 19) + maps,
    }
    for stage, memory in expected.items():
        assert cost(stage, {}).memory == memory, stage
    assert cost("unit_examples", LIVE).memory == network + maps + candidates
    assert cost("concept_examples", LIVE).memory == network + maps
    for stage in ("activations", "correlations"):
        assert cost(stage, {}, budget=1024).memory == network + 1024
    assert cost("pair_statistics", {}, budget=1024).memory == GIB + 1024


def test_seconds_that_do_not_depend_on_the_machine() -> None:
    expected = {
        "sample": 0,
        "activations": 0,
        "neighbours": 4 + PAIRS * 1e-7,
        "pair_statistics": 1,
        "unit_examples": 4,
        "concept_examples": 1,
        "dictionary": 1 + 50 * CONCEPT + 18 * PAGE,
        "steer": 5,  # jobs
    }
    for stage, seconds in expected.items():
        assert cost(stage, {}).seconds == pytest.approx(seconds), stage


def test_a_timed_network_has_its_own_time() -> None:
    timed = cost("activations", {}, networks={"mtcnn_onet": 0.5}, forward=1.0)
    assert timed.seconds == IMAGES * (1230 + 0.5)
    assert cost("sample", {}, networks={"dcgan": 0.25}).seconds == IMAGES * 0.25


def test_steering_passes_forth_and_back_at_every_step() -> None:
    # inversion: 4 steps of 2 starts; maximisation: likewise; tuning: 2 steps; edit: 4 steps;
    # evaluation: 2 steps of 2 images by 3 encoders, all together and none
    steps = 4 * 2 + 4 * 2 + 2 + 4 + 2 * 2 * (3 + 1 + 1)
    assert cost("steer", {}).operations == BACKWARD * 1000 * steps
    assert amounts("steer") == {"forward": BACKWARD * 1000 * steps}


def test_images_of_a_folder_are_read_and_resized(tmp_path: Any) -> None:
    (tmp_path / "images").mkdir()
    content = tiny()
    content["pivot"], *content["encoders"] = content["encoders"]
    content["sampling"] |= {"folder": str(tmp_path / "images"), "size": 20}
    content["steering"] = {}
    estimate = STAGES["sample"].cost
    assert estimate is not None
    found = estimate(RunShapes(parse_config(content), MODELS, Rates()))
    assert found == Cost(memory=GIB, seconds=IMAGES * READ_IMAGE, writes=3 * IMAGES * 20 * 20)


def test_a_cluster_job_requests_its_share_and_a_margin() -> None:
    stage = StageCost(memory=650 * 2**20, seconds=3600, writes=80 * 2**20, jobs=4)
    assert stage.seconds_per_job == 900
    assert job_resources(stage) == {"mem_mb": 1000, "disk_mb": 120, "runtime": 65}
