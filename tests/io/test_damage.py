"""Damaged files of a run: found before they reach a table, and named in one line."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Checkout, tiny

from rosetta_core import stages
from rosetta_core.cli.main import main
from rosetta_core.config import Config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import file_sha256
from rosetta_core.io.file_index import sign, verify_signature
from rosetta_core.io.tables import read_table, write_table
from rosetta_core.mining.correlation.store import read_correlations
from rosetta_core.mining.examples.stores import StoredConceptExamples, read_unit_examples
from rosetta_core.mining.matching.topk_store import read_topk
from rosetta_core.mining.sampling.samples import Samples
from rosetta_core.mining.sources.stored import StoredActivations
from rosetta_core.runs.artifacts import finished_job
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.tools.prepare import write_config
from rosetta_core.steering.result_reader import read_arrays
from rosetta_core.zoo.weights.checksums import (
    DownloadRecord,
    verify_weights,
    write_record,
)

TRAINED, UNTRAINED = "mtcnn_onet", "untrained"  # of one architecture: their files are equally long
SHOWN = "strongest"


def small(results: Path, **changes: Any) -> dict[str, Any]:
    """A generator and one encoder twice, trained and not, and a steering job; four images."""
    (trained,) = (model for model in tiny()["encoders"] if model["name"] == TRAINED)
    untrained = {**trained, "name": UNTRAINED, "weights": {"random": 0}}
    show = {"name": SHOWN, "concept": 0, "steps": 1, "restarts": 1}
    return tiny(
        results=str(results),
        encoders=[trained, untrained],
        sampling={"images": 4, "shard_size": 2},
        steering={"show": [show]},
        **changes,
    )


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory, weights: Config) -> Path:
    """The results of a small run without its pages; leave them as they are."""
    results = tmp_path_factory.mktemp("damage") / "results"
    config = parse_config(small(results))
    write_config(config)
    names = [model.name for model in config.models]
    for shard in config.shards:
        stages.sample.run(config, shard=shard)
        for name in names:
            stages.activations.run(config, model=name, shard=shard)
    for name in names:
        stages.units.run(config, model=name)
        stages.correlations.run(config, models=[name])
        stages.neighbours.run(config, model=name)
        stages.unit_examples.run(config, model=name)
    stages.concepts.run(config)
    for name in names[1:]:
        stages.null_models.run(config, model=name, null="permute_images")
    stages.significance.run(config)
    stages.concept_examples.run(config)
    stages.layers.run(config)
    stages.steer.run(config, job=SHOWN)
    stages.provenance.run(config)
    return results


@pytest.fixture
def run(mined: Path, tmp_path: Path) -> Config:
    """The configuration of a copy of it, to damage."""
    shutil.copytree(mined, tmp_path / "results")
    config = parse_config(small(tmp_path / "results"))
    write_config(config)  # says where it is
    stages.provenance.run(config)
    return config


def samples(config: Config) -> list[Any]:
    found = Samples(RunPaths(config).sample_stores)
    every = range(found.count)
    return [found.latents(every), found.images(every), found.classes(every), found.origins()]


def activations(config: Config) -> list[Any]:
    found = StoredActivations(
        [RunPaths(config).activations(TRAINED, shard) for shard in config.shards]
    )
    maps = [found.read(layer, range(found.images)).numpy() for layer in range(len(found.layers))]
    moments = [value for its in found.moments() for value in (its.count, its.mean, its.deviation)]
    return [found.name, [vars(layer) for layer in found.layers], *maps, *moments]


def correlations(config: Config) -> list[Any]:
    return [read_correlations(RunPaths(config).correlations(TRAINED))]


def nearest(config: Config) -> list[Any]:
    pivot, encoder = read_topk(RunPaths(config).correlations(TRAINED), 2)
    assert encoder is not None
    return [pivot.neighbour, pivot.corr, encoder.neighbour, encoder.corr]


def unit_examples(config: Config) -> list[Any]:
    layers = read_unit_examples(RunPaths(config).unit_examples(TRAINED))
    return [array for layer in layers for array in vars(layer).values()]


def concept_examples(config: Config) -> list[Any]:
    paths = RunPaths(config)
    names = [model.name for model in config.models]
    units = {name: read_table(paths.units(name)) for name in names}
    found = StoredConceptExamples(paths.concept_examples, units)
    assert len(found.scores)
    maps = [found.maps(0, name) for name in found.models]
    return [found.models, found.representative, found.scores, *maps]


def job(config: Config) -> list[Any]:
    folder = finished_job(config, SHOWN)
    files = ("job.json", "metrics.parquet", "contact_sheet.png")
    arrays = list(read_arrays(folder / "images.npz").values())
    return [arrays, *((folder / name).read_bytes() for name in files)]


def tables(config: Config) -> list[Any]:
    paths = RunPaths(config)
    files = (paths.units(TRAINED), paths.neighbours(TRAINED), paths.best_buddies(TRAINED))
    return [read_table(path) for path in (*files, paths.rosetta, paths.concepts)]


READERS: dict[Callable[[Config], list[Any]], str] = {
    samples: "samples/dcgan",
    activations: f"activations/{TRAINED}",
    correlations: f"correlations/dcgan--{TRAINED}.zarr",
    unit_examples: f"examples/units/{TRAINED}.zarr",
    concept_examples: "examples/concepts.zarr",
    job: f"shows/{SHOWN}",
}


def same(a: Any, b: Any) -> bool:
    """Whether two results are the same to the last bit."""
    if isinstance(a, pd.DataFrame):
        return a.equals(b) and a.dtypes.equals(b.dtypes)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@contextmanager
def changed(path: Path, content: bytes | None) -> Iterator[None]:
    """Another content of a file, or no file; what it was comes back."""
    before = path.read_bytes()
    try:
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        yield
    finally:
        path.write_bytes(before)


def damages(content: bytes, random: np.random.Generator, flips: int) -> Iterator[bytes | None]:
    """The file is gone, is cut off, or has one bit flipped."""
    yield None
    yield content[: int(random.integers(len(content)))]
    for place in random.integers(len(content), size=flips):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(random.integers(8))
        yield bytes(flipped)


def check_fuzzed(
    config: Config, read: Callable[[Config], list[Any]], files: list[Path], *, flips: int = 12
) -> None:
    """Read with every file damaged in turn: an error in one line about it, or what was there.

    Some bits say nothing: white space of JSON, statistics in a table's footer.
    """
    random, sound, noticed, tried = np.random.default_rng(0), read(config), 0, 0
    assert files
    for file in files:
        for content in damages(file.read_bytes(), random, flips):
            tried += 1
            with changed(file, content):
                try:
                    found = read(config)
                except RosettaError as error:
                    noticed += 1
                    said = str(error)
                    assert "\n" not in said
                    assert said.startswith(str(RunPaths(config).run))
                    assert "run again" in said or "run the stage" in said or "run that job" in said
                    store = next((p for p in file.parents if p.suffix == ".zarr"), file.parent)
                    about = store if file.suffix != ".parquet" else file
                    assert str(about) in said or str(file) in said
                else:
                    assert content is not None
                    assert same(found, sound), file
    assert noticed > 0.6 * tried


def damage(file: Path) -> None:
    """Flip a bit of a file; cut a table off, of which many bits say nothing."""
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 16
    file.write_bytes(content[:middle] if file.suffix == ".parquet" else content)


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_no_damaged_file_is_ever_read_as_another_result(run: Config, read) -> None:
    check_fuzzed(run, read, files_below(RunPaths(run).run / READERS[read]))


def test_no_damaged_table_is_ever_read_as_another_result(run: Config) -> None:
    paths = RunPaths(run)
    files = [paths.units(TRAINED), paths.best_buddies(TRAINED), paths.rosetta, paths.concepts]
    check_fuzzed(run, tables, files, flips=100)


def test_no_damaged_list_of_best_partners_is_ever_read(run: Config) -> None:
    config = run.model_copy(
        update={"correlation": run.correlation.model_copy(update={"keep_matrix": False})}
    )
    stages.correlations.run(config, models=[TRAINED])
    check_fuzzed(config, nearest, files_below(RunPaths(config).correlations(TRAINED)))


def swap(a: Path, b: Path) -> None:
    aside = a.with_name("aside")
    a.rename(aside)
    b.rename(a)
    aside.rename(b)


SWAPS = [
    (activations, f"activations/{TRAINED}/00000", f"activations/{UNTRAINED}/00000", [".zarr"]),
    (activations, f"activations/{TRAINED}/00000", f"activations/{UNTRAINED}/00000", [".json"]),
    (activations, f"activations/{TRAINED}/00000", f"activations/{UNTRAINED}/00000",
     [".zarr", ".json"]),
    (activations, f"activations/{TRAINED}/00000", f"activations/{TRAINED}/00001", [".zarr"]),
    (activations, f"activations/{TRAINED}/00000", f"activations/{TRAINED}/00001",
     [".zarr", ".json"]),
    (samples, "samples/dcgan/00000", "samples/dcgan/00001", [".zarr"]),
    (samples, "samples/dcgan/00000", "samples/dcgan/00001", [".zarr", ".json"]),
    (correlations, f"correlations/dcgan--{TRAINED}", f"correlations/dcgan--{UNTRAINED}", [".zarr"]),
    (unit_examples, f"examples/units/{TRAINED}", f"examples/units/{UNTRAINED}", [".zarr"]),
    (tables, f"tables/units/{TRAINED}", f"tables/units/{UNTRAINED}", [".parquet"]),
    (tables, f"tables/neighbours/dcgan--{TRAINED}", f"tables/best_buddies/dcgan--{TRAINED}",
     [".parquet"]),
]  # fmt: skip


@pytest.mark.parametrize(("read", "a", "b", "ends"), SWAPS)
def test_a_piece_in_the_place_of_another_is_noticed(run: Config, read, a, b, ends) -> None:
    folder = RunPaths(run).run
    for end in ends:
        swap(folder / f"{a}{end}", folder / f"{b}{end}")
    with pytest.raises(RosettaError, match=r"another name|match its manifest") as caught:
        read(run)
    assert str(folder / a) in str(caught.value)


def test_a_store_of_the_same_name_from_another_run_is_noticed(run: Config, tmp_path: Path) -> None:
    """Equally long, of the same model and shard: only what is in it differs."""
    drawn = small(tmp_path / "other")
    drawn["sampling"]["seed"] = 1
    other = parse_config(drawn)
    stages.sample.run(other, shard="00000")
    ours, theirs = RunPaths(run).samples("00000"), RunPaths(other).samples("00000")
    shutil.rmtree(ours)
    shutil.copytree(theirs, ours)
    with pytest.raises(RosettaError, match="does not match its manifest"):
        samples(run)


@pytest.mark.parametrize(
    ("file", "command", "to_delete"),
    [
        ("samples/dcgan/00000.zarr/images/c/0/0/0/0",
         ["activations", TRAINED, "--shard", "00000"], "samples/dcgan/00000.json"),
        (f"activations/{TRAINED}/00001.zarr/prelu2/zarr.json",
         ["correlations", TRAINED], f"activations/{TRAINED}/00001.json"),
        (f"activations/{TRAINED}/00001.zarr/prelu2/mean/c/0",
         ["units", TRAINED], f"activations/{TRAINED}/00001.json"),
        (f"activations/{TRAINED}/00001.json",
         ["unit-examples", TRAINED], f"activations/{TRAINED}/00001.json"),
        (f"correlations/dcgan--{TRAINED}.zarr/corr/c/0/0",
         ["neighbours", TRAINED], f"correlations/dcgan--{TRAINED}.zarr"),
        (f"tables/best_buddies/dcgan--{TRAINED}.parquet",
         ["concepts"], f"tables/best_buddies/dcgan--{TRAINED}.parquet"),
        ("tables/rosetta.parquet", ["concept-examples"], "tables/rosetta.parquet"),
        (f"tables/units/{TRAINED}.parquet", ["export"], f"tables/units/{TRAINED}.parquet"),
        (f"shows/{SHOWN}/job.json", ["steering-pages"], f"shows/{SHOWN}"),
    ],
)  # fmt: skip
def test_a_stage_that_meets_damage_says_what_to_delete_and_leaves_nothing(
    run: Config, capsys: pytest.CaptureFixture[str], file: str, command, to_delete: str
) -> None:
    folder = RunPaths(run).run
    damage(folder / file)
    before = {path: path.stat().st_mtime_ns for path in files_below(folder)}
    assert main([*command, "--config", str(folder / "config.yaml")]) == 2
    (line,) = (ln for ln in capsys.readouterr().err.splitlines() if ln.startswith("rosetta: "))
    named = f"delete {folder / to_delete} and run again"
    assert line.endswith(named) or line.startswith(f"rosetta: {folder / to_delete}: is damaged")
    left = {path: path.stat().st_mtime_ns for path in files_below(folder)}
    assert {path: time for path, time in left.items() if ".lock" not in path.name} == before


def test_damaged_weights_are_noticed_when_they_are_loaded(weights: Config, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for model in (weights.model("mtcnn_onet"), weights.model("mobilenet_v2")):
        sound = RunPaths(weights).weights(model).read_bytes()
        for content in damages(sound, random, 12):
            if content is not None and content != sound:
                (tmp_path / "weights").write_bytes(content)
                with pytest.raises(RosettaError, match=r"weights: SHA-256 is .* delete the file"):
                    verify_weights(tmp_path / "weights", model.weights)


def test_weights_without_a_checksum_are_held_to_that_of_their_first_fetch(
    weights: Config, tmp_path: Path
) -> None:
    content = small(tmp_path)["encoders"][0]
    url = {**content, "weights": {"url": "https://example.org/onet.pt"}}
    (fetched,) = parse_config(tiny(encoders=[url])).encoders
    file = tmp_path / "onet.pt"
    file.write_bytes(b"sound")
    write_record(file, DownloadRecord("url", None, file_sha256(file), 5, None, "2026-01-01"))
    verify_weights(file, fetched.weights)
    file.write_bytes(b"sounD")
    with pytest.raises(RosettaError, match=r"SHA-256 is .* delete both to fetch it again"):
        verify_weights(file, fetched.weights)


def test_a_sealed_text_says_what_was_put_in_or_nothing() -> None:
    content = {"model": "a", "layers": [{"name": "ü", "height": 3}], "truncation": 0.7}
    text = sign(content).encode()
    random = np.random.default_rng(0)
    for changed_text in damages(text, random, 1000):
        try:
            found = verify_signature((changed_text or b"").decode())
        except ValueError:
            continue
        assert {name: value for name, value in found.items() if name != "checksum"} == content


def test_tables_stay_ordinary_parquet_and_their_bytes_the_same(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "unit": np.arange(4, dtype=np.int32),
            "layer": ["ä", "", "c\nd", None],
            "corr": np.array([0.5, np.nan, -0.0, 1], np.float32),
            "alive": [True, False, True, True],
            "members": [[1, 2], [], [3], [4, 5, 6]],
        }
    )
    for rows in (table, table[:0]):
        path = write_table(rows, tmp_path / "tables" / "units.parquet")
        first = path.read_bytes()
        pd.testing.assert_frame_equal(read_table(path), pd.read_parquet(path))
        pd.testing.assert_frame_equal(
            read_table(path).drop(columns="members"),
            rows.astype({"layer": "str"}).drop(columns="members"),
        )
        assert [list(one) for one in read_table(path)["members"]] == rows["members"].tolist()
        write_table(read_table(path), path)
        assert path.read_bytes() == first


def test_a_table_that_others_wrote_is_not_taken_for_a_stages(tmp_path: Path) -> None:
    pd.DataFrame({"unit": [1]}).to_parquet(tmp_path / "units.parquet")
    with pytest.raises(RosettaError, match=r"units.parquet: is damaged; delete it and run again"):
        read_table(tmp_path / "units.parquet")


def test_a_sound_run_is_verified_and_left_as_it_is(run: Config, capsys) -> None:
    folder = RunPaths(run).run
    before = {path: path.stat().st_mtime_ns for path in files_below(folder)}
    assert main(["verify", str(folder)]) == 0
    stores, jobs = 2 * (1 + 3) + 3 + 3 + 1, 1
    # of three models, of concepts, of two encoders, of evidence, of layers
    tables = 3 * 3 + 2 + 2 * 2 + 3 + 3
    weights = {RunPaths(run).weights(model) for model in run.models} - {None}
    files = {*before, *weights} - {folder / "config.yaml", folder / "provenance.json"}
    read = sum(path.stat().st_size for path in files)
    assert capsys.readouterr().out.splitlines() == [
        f"{stores + tables + jobs + len(weights)} artifacts, {read:,} bytes checked: no damage"
    ]
    assert {path: path.stat().st_mtime_ns for path in files_below(folder)} == before


def test_verify_names_every_damaged_piece(run: Config, capsys) -> None:
    folder = RunPaths(run).run
    shutil.rmtree(folder / "examples/concepts.zarr")
    (folder / f"tables/units/{TRAINED}.parquet").write_bytes(b"PAR1")
    chunk = folder / f"activations/{UNTRAINED}/00001.zarr/prelu1/maps/c/0/0/0/0"
    content = bytearray(chunk.read_bytes())
    content[1000] ^= 4
    chunk.write_bytes(content)
    assert main(["verify", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    manifest = folder / f"activations/{UNTRAINED}/00001.json"
    assert lines[0] == f"{chunk}: is damaged; delete {manifest} and run again"
    assert lines[1].startswith(f"{folder}/tables/units/{TRAINED}.parquet: is damaged (")
    assert lines[2] == f"{folder}/examples/concepts.zarr: is missing; run the stage that writes it"
    assert lines[3] == f"to delete damaged artifacts: rosetta verify {folder} --delete"
    assert lines[4].endswith("bytes checked: 3 damaged")
    assert len(lines) == 5


def test_verify_of_a_run_that_was_moved(run: Config, tmp_path: Path, capsys) -> None:
    moved = tmp_path / "elsewhere" / "moved"
    moved.parent.mkdir()
    RunPaths(run).run.rename(moved)
    assert main(["verify", str(moved)]) == 0
    (moved / "tables/rosetta.parquet").unlink()
    assert main(["verify", str(moved)]) == 1
    assert f"{moved}/tables/rosetta.parquet: no readable table" in capsys.readouterr().out


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_verify_of_what_is_no_run(tmp_path: Path, folder: str, capsys) -> None:
    assert main(["verify", str(tmp_path / folder)]) == 2
    assert "not a finished run" in capsys.readouterr().err


DAMAGED = {  # a file of a piece, and what is made again
    "activations/mobilenet_v2/00001.zarr/features.2.conv.1.2/maps/c/0/0/0/0": [
        "activations/mobilenet_v2/00001.json",
        "activations/mobilenet_v2/00001.zarr",
    ],
    "correlations/dcgan--mtcnn_onet.zarr/corr/zarr.json": ["correlations/dcgan--mtcnn_onet.zarr"],
    "tables/units/efficientnet_lite0.parquet": ["tables/units/efficientnet_lite0.parquet"],
    "inversions/astronaut/latents.npz": ["inversions/astronaut"],
}


@pytest.mark.whole_run
def test_only_a_damaged_piece_is_made_again(
    finished: Checkout, rerun: Checkout, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(rerun.folder)
    before = {file: (rerun.run / file).read_bytes() for file in DAMAGED}
    for file, made in reversed(DAMAGED.items()):
        shutil.rmtree(rerun.run)
        shutil.copytree(finished.run, rerun.run)
        damage(rerun.run / file)
        assert main(["verify", "results/tiny", "--delete", "--yes"]) == 1
        problem, *_, deleted, last = capsys.readouterr().out.splitlines()
        assert problem.startswith(f"results/tiny/{made[0].removesuffix('.json')}")
        assert last.endswith(": 1 damaged")
        targets = deleted.partition(" -- ")[2].split()
        assert rerun.planned("--", *targets) == [f"results/tiny/{path}" for path in made]
    rerun.snakemake("--cores", "2", "--", *targets)  # the shard, the first of them
    assert (rerun.run / file).read_bytes() == before[file]
    assert {Path(path).name for path in rerun.planned()} <= {"costs.csv", "provenance.json"}
