"""Only what changed is made again."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from conftest import HALVES_ONLY, NO_JOBS, ROOT, STEERING, Checkout, tiny
from near_ties import NEAR, assert_same_mining
from PIL import Image
from safetensors.torch import save_file

from rosetta_core import stages
from rosetta_core.config import Config, parse_config
from rosetta_core.runs.run import run_config

PAIRS = ["dcgan", "efficientnet_lite0", "mobilenet_v2", "mtcnn_onet"]
MEASURED = ["tables/costs.csv", "provenance.json"]
PAGES = ["dictionary", *MEASURED]
EXAMPLES = ["examples/concepts.zarr", *PAGES]
JOBS = {
    "astronaut": "inversions",
    "strongest": "shows",
    "tuned": "tunings",
    "shifted": "edits",
    "table": "evaluations",
}
SIGNIFICANCE = [
    f"tables/significance/{table}.parquet"
    for table in ("null_counts", "concepts", "pairs", "split_half")
]
LAYERS = [f"tables/{table}.parquet" for table in ("layers", "selectivity", "vargha_delaney")]
STEERED = [*(f"{folder}/{job}" for job, folder in JOBS.items()), "steering"]
CONCEPTS = ["tables/rosetta.parquet", "tables/concepts.parquet"]
JOINS = [*CONCEPTS, *SIGNIFICANCE, *LAYERS, *EXAMPLES, *STEERED]
NEURONS = "results/tiny/tables/rosetta.parquet"  # enough where pages are not what is asked about
PAIR_STATISTICS = (
    "tables/significance/pair_statistics.parquet"  # of the best buddies of all encoders
)


def outputs(
    *, samples=(), activations=(), units=(), corr=(), neighbours=(), examples=(), joins=JOINS
):
    """The paths that jobs make, as a plan lists them."""
    made = [f"samples/dcgan/{shard}{end}" for shard in samples for end in (".zarr", ".json")]
    made += [f"activations/{store}{end}" for store in activations for end in (".zarr", ".json")]
    made += [f"tables/units/{model}.parquet" for model in units]
    made += [f"correlations/dcgan--{model}.zarr" for model in corr]
    made += [
        f"tables/{table}/dcgan--{model}.parquet"
        for table in ("neighbours", "best_buddies")
        for model in neighbours
    ]
    made += [
        f"tables/significance/{table}/dcgan--{model}.parquet"
        for table in ("null_matches/permute_images", "null_corr/permute_images")
        for model in neighbours
        if model != "dcgan"
    ]
    made += [PAIR_STATISTICS] if set(neighbours) - {"dcgan"} else []
    made += [f"examples/units/{model}.zarr" for model in examples]
    return sorted(f"results/tiny/{path}" for path in [*made, *joins])


def steered(*jobs: str, more: Sequence[str] = ()) -> list[str]:
    """What steering makes again if these jobs run."""
    made = [f"{JOBS[job]}/{job}" for job in jobs]
    pages = ["dictionary"] if "strongest" in jobs else []
    return outputs(joins=[*made, *more, *pages, "steering", *MEASURED])


def edit(checkout: Checkout, file: str, old: str, new: str) -> None:
    path = checkout.folder / "rosetta_core" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_a_second_run_does_nothing(finished: Checkout) -> None:
    assert finished.planned() == []
    before = {path: path.stat().st_mtime_ns for path in finished.run.rglob("*")}
    assert "Nothing to be done" in finished.snakemake("--cores", "1").stderr
    assert {path: path.stat().st_mtime_ns for path in finished.run.rglob("*")} == before


def test_device_batch_and_memory_change_nothing(finished: Checkout) -> None:
    try:
        finished.configure(
            tiny(memory_budget="1 GiB", device="auto", activations={"batch_size": 3})
        )
        assert finished.planned() == []
    finally:
        finished.configure(tiny())


def test_a_change_of_k(rerun: Checkout) -> None:
    rerun.configure(tiny(neighbours={"k": 3}))
    assert rerun.planned() == outputs(neighbours=PAIRS)
    rerun.configure(tiny(neighbours={"k": 3}, steering=NO_JOBS, significance=HALVES_ONLY))
    rerun.snakemake("--cores", "2")
    assert rerun.planned() == []
    rerun.configure(tiny())
    assert rerun.planned() == outputs(neighbours=PAIRS)


def test_a_change_on_the_command_line(finished: Checkout) -> None:
    given = ("--config", "neighbours={k: 3}", "sampling={seed: 0}", "device=cpu")
    assert finished.planned(*given) == outputs(neighbours=PAIRS)


def test_a_new_encoder(rerun: Checkout, weights: Config) -> None:
    new = {**weights.model("mtcnn_onet").model_dump(mode="json"), "name": "new"}
    encoders = [*tiny()["encoders"], {**new, "layers": ["prelu3"]}]
    rerun.configure(tiny(encoders=encoders, steering=STEERING))
    assert rerun.planned() == outputs(
        activations=["new/00000", "new/00001"],
        units=["new"],
        corr=["new"],
        neighbours=["new"],
        examples=["new"],
    )


def test_another_run_of_the_same_models_fetches_nothing(rerun: Checkout) -> None:
    shutil.copytree(ROOT / "resources", rerun.folder / "resources")
    rerun.configure(tiny(resources="resources"))
    file = "resources/facenet-pytorch-2.6.0/facenet_pytorch/data/onet.pt"
    rerun.snakemake("--cores", "1", file, "--forcerun", file)
    rerun.configure(tiny(resources="resources", run="other"))
    planned = rerun.planned()
    assert len(planned) > 20
    assert not [path for path in planned if "resources" in path]


def test_one_encoder_less(rerun: Checkout) -> None:
    rerun.configure(tiny(encoders=tiny()["encoders"][:2], steering=STEERING))
    assert rerun.planned() == outputs(joins=[*JOINS, PAIR_STATISTICS])


def test_more_images(rerun: Checkout) -> None:
    rerun.configure(tiny(sampling={"images": 24}))
    assert rerun.planned() == outputs(
        samples=["00002"],
        activations=[f"{model}/00002" for model in PAIRS],
        units=PAIRS,
        corr=PAIRS,
        neighbours=PAIRS,
        examples=PAIRS,
    )


def test_other_layers_of_one_encoder(rerun: Checkout) -> None:
    encoders = tiny()["encoders"]
    encoders[2] = {**encoders[2], "layers": ["prelu*"]}
    rerun.configure(tiny(encoders=encoders, steering=STEERING))
    name = encoders[2]["name"]
    assert rerun.planned() == outputs(
        activations=[f"{name}/00000", f"{name}/00001"],
        units=[name],
        corr=[name],
        neighbours=[name],
        examples=[name],
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"examples": 2}, outputs(joins=PAGES)),
        ({"unit_examples": 2}, outputs(examples=PAIRS, joins=[*LAYERS, *PAGES])),
    ],
)
def test_only_what_is_shown(rerun: Checkout, changes, expected) -> None:
    rerun.configure(tiny(dictionary=changes))
    assert rerun.planned() == expected


def changed(job: str, **settings: object) -> dict:
    """The jobs, of which one has other settings."""
    return {
        kind: [{**its, **settings} if its["name"] == job else its for its in jobs]
        if isinstance(jobs, list)
        else jobs
        for kind, jobs in STEERING.items()
    }


def perceptual_changed(**distances: object) -> dict:
    """The jobs with other perceptual distances."""
    return {**STEERING, "perceptual": {**STEERING["perceptual"], **distances}}


OTHER_IMAGE = {"name": "other", "image": {"file": "other.png"}, "steps": 1, "restarts": 1}


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        (changed("astronaut", seed=1), steered("astronaut", "tuned", "shifted")),
        (changed("tuned", steps=3), steered("tuned", "shifted")),
        (changed("shifted", dx=0.5), steered("shifted")),
        (changed("strongest", target_std=2.0), steered("strongest")),
        (perceptual_changed(evaluation={"encoder": "mtcnn_onet"}),
         steered("astronaut", "tuned", "shifted", "table")),
        (perceptual_changed(loss={"encoder": "mtcnn_onet"}),
         steered("astronaut", "tuned", "shifted", "table")),
        ({**STEERING, "evaluate": []}, steered()),
    ],
)  # fmt: skip
def test_only_jobs_that_changed_and_what_goes_on_from_them(rerun: Checkout, jobs, expected) -> None:
    rerun.configure(tiny(steering=jobs))
    assert rerun.planned() == expected


def test_a_new_job_runs_alone_and_again_when_its_image_changes(rerun: Checkout) -> None:
    image = rerun.folder / "other.png"
    Image.new("RGB", (64, 64), "red").save(image)
    jobs = {**STEERING, "invert": [*STEERING["invert"], OTHER_IMAGE]}
    rerun.configure(tiny(steering=jobs))
    expected = steered(more=["inversions/other"])
    assert rerun.planned() == expected
    rerun.snakemake("--cores", "2")
    assert rerun.planned() == []
    Image.new("RGB", (64, 64), "blue").save(image)
    assert rerun.planned() == expected


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("mining/matching/best_buddies.py", "(ranks + 1)", "(1 + ranks)",
         outputs(neighbours=PAIRS, joins=JOINS)),
        ("mining/matching/topk.py", "k = min(k, ", "k = min(1 * k, ",  # best partners in halves
         outputs(corr=PAIRS, neighbours=PAIRS, joins=JOINS)),
        ("mining/matching/concepts.py", "directed=False", "directed=bool(0)", outputs(joins=JOINS)),
        ("mining/correlation/accumulator.py", "MOST_IMAGES = 128", "MOST_IMAGES = 64",
         outputs(corr=PAIRS, neighbours=PAIRS, joins=JOINS)),
        ("zoo/encoders/mtcnn_onet.py", "[0.5] * 3", "3 * [0.5]",
         outputs(activations=["mtcnn_onet/00000", "mtcnn_onet/00001"], units=["mtcnn_onet"],
                 corr=["mtcnn_onet"], neighbours=["mtcnn_onet"], examples=["mtcnn_onet"],
                 joins=JOINS)),
        ("mining/examples/units.py", "SPARE = 2", "SPARE = 3",
         outputs(examples=PAIRS, joins=[*LAYERS, *PAGES])),
        ("mining/examples/layers.py", "2 * ndtr", "ndtr", outputs(joins=[*LAYERS, *PAGES])),
        ("mining/examples/concept_score.py", "np.mean(means, axis=0)", "np.mean(means, 0)",
         outputs(joins=EXAMPLES)),
        ("pages/static/style.css", "{", "{ ", outputs(joins=[*PAGES, "steering"])),
        ("drawing/heatmap.py", "OPACITY = 0.72", "OPACITY = 0.5", outputs(joins=[*PAGES, *STEERED])),
        ("steering/jobs/edits.py", "side // 2", "int(side / 2)", steered("shifted")),
        ("steering/metrics/random_baseline.py", "RANDOM = 64", "RANDOM = 65",
         steered("astronaut", "strongest", "tuned", "shifted")),
        ("steering/result_io/evaluation_folder.py", "MOST_IMAGES = 12", "MOST_IMAGES = 8", steered("table")),
        ("pages/static/steering.css", "{", "{ ", outputs(joins=[*PAGES, "steering"])),
        ("costs.py", '"cpu_seconds"', '"cpu"', outputs(joins=MEASURED)),
    ],
)  # fmt: skip
def test_an_edit_to_code(rerun: Checkout, file, old, new, expected) -> None:
    edit(rerun, file, old, new)
    assert rerun.planned() == expected


def test_a_changed_comment(rerun: Checkout) -> None:
    for path in sorted((rerun.folder / "rosetta_core").rglob("*.py")):
        if path.read_text().startswith('"""'):
            path.write_text('"""Changed. ' + path.read_text()[3:] + "\n# a new comment\n")
    assert rerun.planned() == []


def test_a_shard_that_was_lost_is_the_only_one_made_again(rerun: Checkout) -> None:
    (rerun.run / "activations/mobilenet_v2/00001.json").unlink()
    assert rerun.planned() == []  # what was made of it is still there
    rerun.configure(tiny(steering=NO_JOBS, significance=HALVES_ONLY))
    again = (NEURONS, "--forcerun", "results/tiny/tables/units/mobilenet_v2.parquet")
    assert [path for path in rerun.planned(*again) if "activations" in path] == [
        f"results/tiny/activations/mobilenet_v2/00001.{end}" for end in ("json", "zarr")
    ]
    before = (rerun.run / "tables/rosetta.parquet").read_bytes()
    rerun.snakemake("--cores", "2", *again)
    assert (rerun.run / "tables/rosetta.parquet").read_bytes() == before
    assert rerun.planned(NEURONS) == []


def test_a_failed_job_says_why_and_leaves_nothing(rerun: Checkout, weights: Config) -> None:
    encoders = tiny()["encoders"]
    bad = rerun.folder / "bad.safetensors"
    save_file({"of": torch.zeros(1)}, bad)  # another network
    encoders[2] = {**encoders[2], "weights": {"file": str(bad)}}
    rerun.configure(tiny(encoders=encoders))
    done = rerun.snakemake("--cores", "2", check=False)
    assert done.returncode == 1
    lacking = rf"rosetta: {re.escape(str(bad))}: has no entry '.+', which the network needs"
    assert re.search(lacking, done.stdout + done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    folder: Path = rerun.run / "activations" / encoders[2]["name"]
    assert not list(folder.glob("*.zarr"))
    rerun.configure(tiny(steering=NO_JOBS, significance=HALVES_ONLY))
    rerun.snakemake("--cores", "2", NEURONS)
    assert rerun.planned(NEURONS) == []


@pytest.mark.parametrize(
    ("changes", "bound"),
    [
        ({"sampling": {"shard_size": 11}, "memory_budget": "64 MiB"}, NEAR),
        # in batches, an activation's last bits differ, and its rounding to float16 may tip over
        ({"sampling": {"shard_size": 6}, "activations": {"batch_size": 4}}, 1e-5),
    ],
)
def test_the_same_but_for_near_ties_whatever_the_shards_batches_and_memory(
    finished: Checkout, tmp_path: Path, changes, bound: float
) -> None:
    config = parse_config(tiny(results=str(tmp_path), steering=NO_JOBS, **changes))
    for shard in config.shards:
        stages.sample.run(config, shard=shard)
    for model in PAIRS:
        for shard in config.shards:
            stages.activations.run(config, model=model, shard=shard)
        stages.units.run(config, model=model)
        stages.correlations.run(config, models=[model])
        stages.neighbours.run(config, model=model)
    stages.concepts.run(config)
    assert_same_mining(config, run_config(finished.run), bound=bound)
