"""Only what changed is made again."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import HALVES_ONLY, NO_JOBS, ROOT, STEERING, Checkout, tiny
from near_ties import NEAR, assert_same_mining
from PIL import Image
from planned_outputs import (
    JOINS,
    LAYERS,
    NEURONS,
    PAGES,
    PAIR_STATISTICS,
    PAIRS,
    edit,
    outputs,
    steered,
)

from rosetta_core import stages
from rosetta_core.config import Config, parse_config
from rosetta_core.runs.finished.location import run_config


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


@pytest.mark.whole_run
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


@pytest.mark.whole_run
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


@pytest.mark.whole_run
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


def test_an_edit_to_code(rerun: Checkout) -> None:
    """K of the mutual nearest neighbours in the stage's own module, and in what it imports."""
    edit(rerun, "stages/neighbours.py", "config.neighbours.k", "config.neighbours.k + 1")
    assert rerun.planned() == outputs(neighbours=PAIRS)
    edit(rerun, "mining/sampling/samples.py", "def ", "SPARE = 1\n\n\ndef ")
    assert "samples/dcgan/00000.zarr" in " ".join(rerun.planned())


def test_an_edit_to_a_page_or_a_job(rerun: Checkout) -> None:
    edit(rerun, "steering/jobs/transform_edits.py", "side // 2", "int(side / 2)")
    assert rerun.planned() == steered("shifted")
    edit(rerun, "pages/static/steering.css", "{", "{ ")
    assert rerun.planned() == sorted({*steered("shifted"), *outputs(joins=PAGES)})


def test_a_changed_comment(rerun: Checkout) -> None:
    for path in sorted((rerun.folder / "rosetta_core").rglob("*.py")):
        if path.read_text().startswith('"""'):
            path.write_text('"""Changed. ' + path.read_text()[3:] + "\n# a new comment\n")
    assert rerun.planned() == []


@pytest.mark.whole_run
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


@pytest.mark.whole_run
def test_a_failed_job_says_why_and_leaves_nothing(rerun: Checkout) -> None:
    encoders = tiny()["encoders"]
    name = encoders[2]["name"]
    (chunk,) = rerun.run.glob("samples/*/00001.zarr/images/c/0/0/0/0")
    content = chunk.read_bytes()
    chunk.write_bytes(content[: len(content) // 2])
    encoders[2] = {**encoders[2], "layers": ["prelu1"]}  # its activations are recorded again
    rerun.configure(tiny(encoders=encoders))
    done = rerun.snakemake("--cores", "2", check=False)
    assert done.returncode == 1
    short = r"rosetta: \S*samples/\S*00001\.zarr/\S+: has \d+ bytes, not \d+"
    assert re.search(short, done.stdout + done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    folder: Path = rerun.run / "activations" / name
    assert not (folder / "00001.zarr").exists()
    assert not list(folder.glob("*.part*"))
    chunk.write_bytes(content)
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
