"""A stranger's run is data: nothing in it is executed, and nothing outside of it is changed."""

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from checkout import ROOT
from hostile_runs import (
    ENCODER,
    JOB,
    PIVOT,
    build_run,
    change_config,
    rewrite_json,
    seal_store,
    seal_table,
)
from signing_keys import write_keys

from rosetta_core import open_run
from rosetta_core.cli.main import all_commands, main
from rosetta_core.config import load_config
from rosetta_core.errors import RosettaError
from rosetta_core.io.file_index import INDEX_NAME
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.provenance.digests import check_digests
from rosetta_core.runs.provenance.record import listed_digests
from rosetta_core.stages.registry import STAGES, jobs_of

SECONDS = 60  # after which a reader waits for something that never comes
STORE = f"activations/{ENCODER}/00000.zarr"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run; leave it as it is."""
    with contextlib.chdir(tmp_path_factory.mktemp("hostile")):
        return build_run()


@pytest.fixture
def run(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the run, next to folders that are not part of it; readers must not wait."""
    run = tmp_path / "results" / "tiny"
    shutil.copytree(built, run)
    for name in ("sibling", JOB, PIVOT, "units"):
        (tmp_path / "results" / name).mkdir()
        (tmp_path / "results" / name / "precious").write_text("precious")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def stop(*_: object) -> None:
        raise TimeoutError("a reader waits")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    yield run
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def outside(run: Path) -> dict[str, bytes]:
    """All files next to the run."""
    files = [path for path in run.parent.rglob("*") if path.is_file() and not path.is_symlink()]
    return {
        str(path.relative_to(run.parent)): path.read_bytes()
        for path in files
        if run not in path.parents
    }


def verify(run: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[str]]:
    code = main(["verify", str(run), *options])
    captured = capsys.readouterr()
    lines = captured.out.splitlines() + [
        line for line in captured.err.splitlines() if line.startswith("rosetta: ")
    ]
    assert all(line.isprintable() for line in lines)
    assert "Traceback" not in captured.err
    return code, lines


# --- verify: each problem is a line, and the rest is checked ---


def replace(path: Path, make: Callable[[Path], object]) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    make(path)


def table(run: Path, name: str, change: Callable[[Any], Any]) -> None:
    path = run / "tables" / name
    frame = change(pq.read_table(path).to_pandas())
    seal_table(path, pa.Table.from_pandas(frame, preserve_index=False))


def lists(path: Path) -> None:
    path.write_text("[" * 100_000)


def assign(**columns: Any) -> Callable[[Any], Any]:
    return lambda frame: frame.assign(**columns)


BUDDIES = f"best_buddies/{PIVOT}--{ENCODER}.parquet"
NEIGHBOURS = f"neighbours/{PIVOT}--{ENCODER}.parquet"
ATTACKS: dict[str, tuple[Callable[[Path], object], str]] = {
    "index of open lists": (
        lambda run: lists(run / STORE / INDEX_NAME), "contents.json: is damaged (nested more"),
    "index is a list": (
        lambda run: (run / STORE / INDEX_NAME).write_text("[]"), "not a JSON object"),
    "sealed index of another shape": (
        lambda run: rewrite_json(run / STORE / INDEX_NAME, lambda c: c | {"files": [1]}),
        "files: not a mapping"),
    "sealed index without files": (
        lambda run: rewrite_json(run / STORE / INDEX_NAME, lambda c: c | {"files": {}}),
        "is not listed"),
    "empty manifest": (
        lambda run: (run / STORE).with_suffix(".json").write_text(""), "00000.json: is damaged"),
    "sealed empty manifest": (
        lambda run: rewrite_json((run / STORE).with_suffix(".json"), lambda c: {}),
        "does not match its manifest"),
    "manifest of invalid UTF-8": (
        lambda run: (run / STORE).with_suffix(".json").write_bytes(b"\xff\xfe"), "is damaged"),
    "pipe for a manifest": (
        lambda run: replace((run / STORE).with_suffix(".json"), os.mkfifo), "is a named pipe"),
    "pipe for an index": (
        lambda run: replace(run / STORE / INDEX_NAME, os.mkfifo), "is a named pipe"),
    "pipe for a chunk": (
        lambda run: replace(run / STORE / "prelu1/mean/c/0", os.mkfifo), "is a named pipe"),
    "pipe for a table": (
        lambda run: replace(run / "tables" / BUDDIES, os.mkfifo), "is a named pipe"),
    "device for a table": (
        lambda run: replace(run / "tables" / BUDDIES, lambda p: p.symlink_to("/dev/zero")),
        "is a link"),
    "folder for a table": (
        lambda run: replace(run / "tables/rosetta.parquet", Path.mkdir), "is a folder"),
    "file for a store": (
        lambda run: replace(run / STORE, lambda p: p.write_text("x")), "contents.json"),
    "link of a store to itself": (
        lambda run: replace(run / STORE, lambda p: p.symlink_to(p.name)), "00000.zarr"),
    "store within itself": (
        lambda run: (run / STORE / "again").symlink_to("."), "is not listed"),
    "object array": (
        lambda run: objects(run / STORE), "data type 'object' is not a type of numbers"),
    "unknown model": (
        lambda run: table(run, "rosetta.parquet", assign(model="evil")), "unknown model 'evil'"),
    "model of markup": (
        lambda run: table(run, "rosetta.parquet", assign(model="\x1b[31m<script>")),
        r"unknown model '\x1b[31m<script>'"),
    "unknown column": (
        lambda run: table(run, "concepts.parquet", assign(evil=1)), "unknown column 'evil'"),
    "missing column": (
        lambda run: table(run, BUDDIES, lambda t: t.drop(columns="corr")), "'corr' is missing"),
    "texts for numbers": (
        lambda run: table(run, BUDDIES, assign(corr="high")), "'corr' does not have floats"),
    "floats for units": (
        lambda run: table(run, BUDDIES, assign(unit=0.5)), "'unit' does not have integers"),
    "negative units": (
        lambda run: table(run, BUDDIES, assign(unit=-1)), "names units that the run lacks"),
    "huge units": (
        lambda run: table(run, NEIGHBOURS, assign(neighbour=2**40)),
        "'neighbour' names units that the run lacks"),
    "other sides": (
        lambda run: table(run, NEIGHBOURS, assign(side="left")), "other values than pivot"),
    "concepts that are missing": (
        lambda run: table(run, "rosetta.parquet", assign(concept=10**6)), "names concepts"),
    "units that are numbered twice": (
        lambda run: table(run, f"units/{ENCODER}.parquet", assign(unit=0)), "not numbered from 0"),
    "maps without a side": (
        lambda run: table(run, f"units/{ENCODER}.parquet", assign(height=0)), "values below 1"),
    "no units": (
        lambda run: table(run, f"units/{ENCODER}.parquet", lambda t: t[:0]),
        "not numbered from 0"),
    "job file that is a link": (
        lambda run: replace(run / f"shows/{JOB}/job.json", lambda p: p.symlink_to("/etc/passwd")),
        "is a link"),
    "job with another file": (
        lambda run: (run / f"shows/{JOB}/evil.py").write_text("x"), "is not listed"),
    "provenance of open lists": (
        lambda run: lists(run / "provenance.json"), "provenance.json: cannot be read (nested"),
    "provenance is missing": (
        lambda run: (run / "provenance.json").unlink(), "lists no artifacts with their SHA-256"),
    "provenance is a list": (
        lambda run: (run / "provenance.json").write_text("[]"), "not a JSON object"),
    "provenance of a pipe": (
        lambda run: replace(run / "provenance.json", os.mkfifo), "is a named pipe"),
    "provenance lists a file outside": (
        lambda run: provenance(run, {"../sibling/precious": "0" * 64}), "is not listed with a SHA"),
    "provenance lists an absolute file": (
        lambda run: provenance(run, {"/etc/passwd": "0" * 64}), "is not listed with a SHA-256"),
    "provenance lists numbers": (
        lambda run: provenance(run, {"config.yaml": 1}), "is not listed with a SHA-256"),
    "provenance lists nothing": (
        lambda run: provenance(run, {}, keep=False), "lists no artifacts"),
    "changed page": (
        lambda run: (run / "dictionary/index.html").write_text("<script>"), "dictionary: SHA-256"),
    "page that is added": (
        lambda run: (run / "dictionary/evil.js").write_text("x"), "dictionary: SHA-256 is"),
    "page that is a link": (
        lambda run: (run / "dictionary/evil").symlink_to("/etc/passwd"), "is a link"),
    "changed configuration": (
        lambda run: change_config(memory_budget="1 GiB"), "config.yaml: SHA-256 is"),
    "samples of fewer images": (
        lambda run: rewrite_json(
            run / f"samples/{PIVOT}/00000.json", lambda c: c | {"images": [0, 1]}),
        "00000.json: SHA-256 is"),
    "digest of weights in colours": (
        lambda run: rewrite_json(
            (run / STORE).with_suffix(".json"), lambda c: c | {"weights": "\x1b[31m"}),
        "00000.json: SHA-256 is"),
}  # fmt: skip


def objects(store: Path) -> None:
    path = store / "prelu1/maps/zarr.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data_type": "object"}))
    seal_store(store, manifest=True)


def provenance(run: Path, listed: dict[str, Any], *, keep: bool = True) -> None:
    content = json.loads((run / "provenance.json").read_text())
    content["artifacts"] = (content["artifacts"] if keep else {}) | listed
    (run / "provenance.json").write_text(json.dumps(content))


@pytest.mark.parametrize(("attack", "expected"), ATTACKS.values(), ids=ATTACKS.keys())
def test_verify_reports_a_problem_and_checks_the_rest(
    run: Path, capsys, attack: Callable[[Path], object], expected: str
) -> None:
    before = outside(run)
    attack(run)
    code, lines = verify(run, capsys)
    assert code == 1
    assert any(expected in line for line in lines), lines
    assert "28 artifacts" in lines[-1]
    assert sum(str(run) in line for line in lines) <= 5
    assert outside(run) == before


def test_many_problems_are_each_a_line(run: Path, capsys) -> None:
    names = ("sealed index of another shape", "pipe for a table", "unknown column", "texts for",
             "provenance lists a file outside", "job file that is a link")  # fmt: skip
    chosen = [ATTACKS[name] for name in ATTACKS if name.startswith(names)]
    chosen = [one for one in chosen if one[1] != "'corr' does not have floats"]
    for attack, _ in chosen:
        attack(run)
    code, lines = verify(run, capsys)
    assert code == 1
    for _, expected in chosen:
        assert sum(expected in line for line in lines) == 1


# --- open_run: one line ---


CONFIGS: dict[str, Callable[[Path], object]] = {
    "pipe": lambda path: replace(path, os.mkfifo),
    "device": lambda path: replace(path, lambda p: p.symlink_to("/dev/zero")),
    "folder": lambda path: replace(path, Path.mkdir),
    "large": lambda path: path.write_text("# " + "x" * 5_000_000),
    "open lists": lambda path: path.write_text("[" * 100_000),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "python tag": lambda path: path.write_text("run: !!python/object/apply:os.mkdir [executed]\n"),
    "python name": lambda path: path.write_text("run: !!python/name:os.system\n"),
    "many shards": lambda path: change_config(sampling={"images": 10_000_000, "shard_size": 1}),
    "name of a folder above": lambda path: edit(path, run=".."),
    "name with a slash": lambda path: edit(path, run="a/b"),
    "job of a folder above": lambda path: edit(path, steering={"show": [{"name": "../x"}]}),
    "job that is absolute": lambda path: edit(path, steering={"show": [{"name": "/x"}]}),
    "job with a NUL": lambda path: edit(path, steering={"show": [{"name": "a\0"}]}),
    "job with a line": lambda path: edit(path, steering={"show": [{"name": "a\nb"}]}),
    "model of a folder above": lambda path: edit_model(path, name="../x"),
    "model of markup": lambda path: edit_model(path, name="<script>"),
}


def edit(path: Path, **changes: Any) -> None:
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def edit_model(path: Path, **changes: Any) -> None:
    content = yaml.safe_load(path.read_text())
    content["encoders"][0] |= changes
    path.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("attack", CONFIGS.values(), ids=CONFIGS.keys())
def test_configurations_of_runs_are_refused_in_one_line(run: Path, capsys, attack) -> None:
    before = outside(run)
    attack(run / "config.yaml")
    with pytest.raises(RosettaError) as caught:
        open_run(run)
    assert len(str(caught.value).splitlines()) == 1
    code, lines = verify(run, capsys)
    assert (code, len(lines)) == (2, 1)
    assert not Path("executed").exists()
    assert outside(run) == before


OPENED = [
    name
    for name in ATTACKS
    if name.split()[-1]
    in (
        "table",
        "model",
        "column",
        "numbers",
        "units",
        "sides",
        "markup",
        "twice",
        "side",
    )
    or name == "concepts that are missing"
]
OPENED = [name for name in OPENED if not name.startswith("provenance")]  # fmt: skip


@pytest.mark.parametrize("name", OPENED)
def test_open_run_refuses_tables_in_one_line(run: Path, name: str) -> None:
    attack, _ = ATTACKS[name]
    attack(run)
    with pytest.raises(RosettaError) as caught:
        open_run(run)
    assert str(caught.value).isprintable()


def test_open_run_refuses_other_numbers_of_images(run: Path) -> None:
    rewrite_json(run / f"samples/{PIVOT}/00001.json", lambda c: c | {"images": [2, 3]})
    with pytest.raises(RosettaError, match="has samples for 3 images, not for 4"):
        open_run(run).images()


# --- code that comes with a run ---

MODULE = "from pathlib import Path\nPath('executed').write_text('')\n\n\ndef build():\n    ...\n"


def with_code(run: Path, **changes: Any) -> None:
    """Make the encoder one of a Python file in the run, and store no maps."""
    (run / "evil.py").write_text(MODULE)
    content = yaml.safe_load((run / "config.yaml").read_text())
    (encoder,) = content["encoders"]
    encoder |= {"family": "python", "target": f"{run}/evil.py:build", "architecture": None}
    encoder |= {"weights": None, **changes}
    content["activations"]["store"] = "none"
    content["significance"] = {"nulls": [], "splits": 0, "intervals": False}
    (run / "config.yaml").write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    "target", ["{run}/evil.py:build", "evil:build", "results/tiny/evil.py:build"]
)
def test_maps_of_a_run_execute_no_code_without_consent(run: Path, monkeypatch, target: str) -> None:
    with_code(run, target=target.format(run=run))
    if target == "evil:build":
        monkeypatch.chdir(run)
    path = list(sys.path)
    opened = open_run(run)
    unit = (ENCODER, 0)
    with pytest.raises(RosettaError, match=r"executes '.*evil.*trust_code=True") as caught:
        opened.maps(unit)
    with pytest.raises(RosettaError, match=r"executes '.*evil.*trust_code=True"):
        opened.score(np.zeros((1, 8, 8, 3), np.uint8))
    assert str(caught.value).isprintable()
    assert not list(run.parent.parent.rglob("executed"))
    assert sys.path == path
    with pytest.raises(RosettaError, match="target"):  # it runs, and returns no network
        open_run(run, trust_code=True).maps(unit)
    assert list(run.parent.parent.rglob("executed"))
    sys.modules.pop("evil", None)
    sys.path[:] = path


def test_maps_of_built_in_networks_need_no_consent(run: Path) -> None:
    content = yaml.safe_load((run / "config.yaml").read_text())
    content["activations"]["store"] = "none"
    content["significance"] = {"nulls": [], "splits": 0, "intervals": False}
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    assert open_run(run).maps((ENCODER, 0), [0]).shape[0] == 1


SCORE = ["score", str(ROOT / "docs/viewer.png"), "--concept", "0", "--run"]
READ_ONLY_VERBS = [
    ["verify", "{run}"], ["verify", "{run}", "--delete", "--yes"], ["compare", "{run}", "{run}"],
    ["translate", "{run}", "{run}"], ["where", "--config", "{run}/config.yaml"],
    ["figure", "--config", "{run}/config.yaml"], ["export", "--config", "{run}/config.yaml"],
    ["figure", "--jobs", JOB, "--config", "{run}/config.yaml"], [*SCORE, "{run}"],
]  # fmt: skip


def with_pivot_of_code(run: Path) -> None:
    """Make the pivot one of a Python file in the run, which stores maps."""
    (run / "evil.py").write_text(MODULE)
    content = yaml.safe_load((run / "config.yaml").read_text())
    content["pivot"] |= {"family": "python", "target": f"{run}/evil.py:build"}
    content["pivot"] |= {"architecture": None, "weights": None}
    (run / "config.yaml").write_text(yaml.safe_dump(content))


@pytest.mark.parametrize("make", [with_code, with_pivot_of_code])
@pytest.mark.parametrize("verb", READ_ONLY_VERBS, ids=" ".join)
def test_verbs_that_read_a_run_execute_nothing(
    run: Path, monkeypatch, verb: list[str], make: Callable[[Path], None]
) -> None:
    """Neither the code that the run names, nor modules or settings in the working directory."""
    make(run)
    for name in ("json", "numpy", "sitecustomize", "rosetta_core", "matplotlibrc"):
        text = "backend: module://evil\n" if name == "matplotlibrc" else MODULE
        (run / (name if name == "matplotlibrc" else f"{name}.py")).write_text(text)
    monkeypatch.chdir(run)
    path = list(sys.path)
    main([word.format(run=run) for word in verb])
    assert sys.path == path
    assert not list(run.parent.parent.rglob("executed"))
    assert "evil" not in sys.modules


# --- nothing outside of a run is deleted or overwritten ---

WRITING = os.O_WRONLY | os.O_RDWR


class Recorder:
    """Records the paths that calls of the file system delete, replace, truncate or create."""

    def __init__(self) -> None:
        self.active = False
        self.changed: list[Path] = []
        sys.addaudithook(self.record)  # for good; it does nothing unless active

    def record(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event in ("os.remove", "os.rmdir", "os.mkdir"):
            self.add(arguments[0], arguments[-1])
        elif event in ("os.rename", "os.link", "os.symlink"):
            self.add(arguments[0], arguments[2] if len(arguments) > 2 else -1)
            self.add(arguments[1], arguments[-1])
        elif event in ("os.truncate", "os.chmod", "os.chown", "shutil.rmtree", "shutil.move") or (
            event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        ):
            self.add(arguments[0], -1)

    def add(self, path: Any, folder: Any) -> None:
        if isinstance(path, int):
            return
        text = os.fsdecode(path)
        if isinstance(folder, int) and folder >= 0:
            text = str(Path(f"/proc/self/fd/{folder}").readlink() / text)
        # the folder resolved, and the name as it is: a link itself may be removed
        path = Path(text).absolute()
        self.changed.append(path.parent.resolve() / path.name)


RECORDER = Recorder()


def verbs(run: Path) -> dict[str, list[str]]:
    """Every command that takes a run, with the arguments of its first job."""
    config = load_config(run / "config.yaml")
    option = ["--config", str(run / "config.yaml")]
    jobs = {stage.name: job for stage, job in reversed(list(jobs_of(config)))}
    jobs |= {"sweep": {"model": ENCODER}, "sweep_curves": {}, "join": {"model": ENCODER}}
    lines = {}
    for stage in STAGES.values():
        words = [stage.command]
        for key, value in (jobs.get(stage.name) or {}).items():
            if value is None:
                continue
            named = [f"--{key}"] if key in ("shard", "null", "block") else []
            words += [*named, *map(str, value if isinstance(value, list | tuple) else [value])]
        lines[stage.command] = [*words, *option]
    return lines | {
        "where": ["where", *option],
        "figure": ["figure", *option],
        "export": ["export", *option],
        "verify": ["verify", str(run), "--delete", "--yes"],
        "compare": ["compare", str(run), str(run)],
        "translate": ["translate", str(run), str(run)],
        "score": [*SCORE, str(run), "--out", str(run / "scores.csv")],
    }


def test_every_verb_that_takes_a_run_is_walked(run: Path) -> None:
    groups = {name for name, command in all_commands().items() if command.group != "run"}
    assert set(verbs(run)) == groups - {"fetch-file"}  # takes a path of its own


def link(run: Path, name: str, target: str = "..") -> None:
    """Put a link in the place of a folder or file of the run."""
    path = run / name
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


INTACT = "nothing"  # where all verbs run to their end
LINKS = [
    INTACT,
    *("samples", "activations", "correlations", "tables", "examples", "shows", "steering"),
    *("dictionary", "figures", "export", "sweep", "logs", "benchmarks"),
    *(f"activations/{ENCODER}", "tables/units", ".started.lock", ".jobs.lock"),
    *("tables/rosetta.parquet", f"samples/{PIVOT}/00000.zarr", f"shows/{JOB}"),
]


@pytest.mark.parametrize("name", LINKS)
def test_no_verb_changes_what_is_outside_of_a_run(run: Path, name: str, capsys) -> None:
    """Walk all verbs on a run with a link; calls of the file system stay within the run.

    The user's cache, the temporary folder and `translations` next to the run are documented.
    """
    commands = verbs(run)
    (run.parent / "target").mkdir()
    (run.parent / "target" / JOB).mkdir()
    (run.parent / "target" / JOB / "precious").write_text("precious")
    (run.parent / "target.json").write_text("precious")
    is_file = (run / name).is_file() or name.startswith(".")
    if name != INTACT:
        link(run, name, str(run.parent / ("target.json" if is_file else "target")))
    before = outside(run)
    allowed = [run, run.parent / "translations", run.parent.parent / "cache", Path("/dev")]
    RECORDER.changed.clear()
    RECORDER.active = True
    try:
        for words in commands.values():
            try:
                main(words)
            except SystemExit as error:
                pytest.fail(f"{words}: {error}")
    finally:
        RECORDER.active = False
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    changed = {path for path in RECORDER.changed if not any(
        path == place or place in path.parents for place in allowed
    )}  # fmt: skip
    assert {path for path in changed if run.parent in path.parents} - {
        run.parent / "translations"
    } == set()
    after = outside(run)
    assert {name: after.get(name) for name in before} == before


def test_verify_deletes_no_sibling(run: Path, capsys) -> None:
    """The attack of the break test: a job is named as a sibling, and its folder links there."""
    content = yaml.safe_load((run / "config.yaml").read_text())
    content["steering"]["show"][0]["name"] = "sibling"
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    link(run, "shows", "..")
    before = outside(run)
    code, lines = verify(run, capsys, "--delete", "--yes")
    assert code == 2
    assert "shows: is a link" in lines[-1]
    assert outside(run) == before


def test_verify_deletes_no_weights(run: Path, capsys) -> None:
    """The run's configuration names files under a folder of the user as fetched weights."""
    precious = run.parent / "sibling" / "precious"
    content = yaml.safe_load((run / "config.yaml").read_text())
    content["resources"] = str(run.parent)
    content["encoders"][0]["weights"] = {
        "url": "https://example.org/sibling/precious", "sha256": "0" * 64,
    }  # fmt: skip
    (run / "config.yaml").write_text(yaml.safe_dump(content))
    place = RunPaths(load_config(run / "config.yaml")).weights(
        load_config(run / "config.yaml").encoders[0]
    )
    assert place is not None
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("precious")
    before = outside(run)
    code, lines = verify(run, capsys, "--delete", "--yes")
    assert code == 1
    assert any(str(place) in line and "SHA-256 is" in line for line in lines)
    assert not any(line.startswith("to delete") and str(place) in line for line in lines)
    assert outside(run) == before
    assert precious.exists()


def test_delete_asks_and_refuses_without_a_terminal(run: Path, capsys, monkeypatch) -> None:
    damaged = run / "tables/rosetta.parquet"
    damaged.write_bytes(b"x")
    code, lines = verify(run, capsys, "--delete")
    assert (code, len(lines)) == (2, 1)
    assert lines[0].endswith("there is no terminal to ask in; add --yes")
    assert damaged.exists()
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer, left in (("n", True), ("", True), ("yes", False)):
        monkeypatch.setattr("builtins.input", lambda _, answer=answer: answer)
        code, lines = verify(run, capsys, "--delete")
        assert "to delete: results/tiny/tables/rosetta.parquet" in lines
        assert damaged.exists() == left
    assert code == 1
    assert verify(run, capsys, "--yes") == (
        2, ["rosetta: --yes: has no effect without --delete; remove it"])  # fmt: skip


def test_a_run_behind_a_link_is_verified_and_cleaned(run: Path, capsys, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run)
    (run / "tables/rosetta.parquet").write_bytes(b"x")
    code, lines = verify(tmp_path / "link", capsys, "--delete", "--yes")
    assert code == 1
    assert any(line.startswith("deleted; regenerate with") for line in lines)
    assert not (run / "tables/rosetta.parquet").exists()


# --- the SHA-256 of everything ---


def test_provenance_lists_everything(run: Path) -> None:
    listed = listed_digests(run / "provenance.json")
    paths = RunPaths(load_config(run / "config.yaml"))
    for path in (paths.rosetta, paths.config, paths.samples("00000"), paths.dictionary):
        assert path.relative_to(paths.run).as_posix() in listed


def test_flipped_bits_in_all_regions_of_tables_are_noticed(run: Path, capsys) -> None:
    """Of small tables also those that change no value, as of statistics and padding."""
    listed = listed_digests(run / "provenance.json")
    tried = 0
    for name in [name for name in listed if name.endswith((".parquet", ".json", ".yaml"))]:
        sound = (run / name).read_bytes()
        for place in range(0, len(sound), max(1, len(sound) // 40)):
            flipped = bytearray(sound)
            flipped[place] ^= 1 << (place % 8)
            (run / name).write_bytes(flipped)
            ((found, error),) = check_digests(run, listed, [name])
            assert found == name
            assert str(run / name) in str(error)
            tried += 1
        (run / name).write_bytes(sound)
    assert tried > 500
    (run / "tables/layers.parquet").write_bytes(flip_unread(run / "tables/layers.parquet"))
    code, lines = verify(run, capsys)
    assert (code, len(lines)) == (1, 3)
    assert "layers.parquet: SHA-256 is" in lines[0]


def flip_unread(path: Path) -> bytes:
    """Flip a bit of a table that no value depends on: of the writer's name."""
    content = bytearray(path.read_bytes())
    content[content.rindex(b"parquet-cpp")] ^= 1
    return bytes(content)


# --- signatures ---


def test_a_signed_run_and_what_its_key_notices(run: Path, capsys, tmp_path: Path) -> None:
    secret, public = write_keys(tmp_path / "key")
    assert main(["export", "--config", str(run / "config.yaml")]) == 0  # not listed
    capsys.readouterr()
    code, lines = verify(run, capsys, "--key", str(public))
    assert (code, len(lines)) == (2, 1)
    assert "provenance.json.minisig: is missing" in lines[0]
    code, lines = verify(run, capsys, "--sign", str(secret))
    assert code == 0
    assert lines[-1] == "wrote results/tiny/provenance.json.minisig"
    code, lines = verify(run, capsys, "--key", str(public))
    assert code == 0
    assert lines[0].startswith("signature of tiny: valid")
    assert verify(run, capsys)[0] == 0
    store = run / f"activations/{ENCODER}/00000.zarr"
    objects(store)  # valid checksums
    (run / "evil").write_text("x")
    code, lines = verify(run, capsys, "--key", str(public))
    assert code == 1
    assert any(line.startswith("results/tiny/evil: is not listed") for line in lines)
    assert any(line.startswith(str(store.relative_to(tmp_path))) for line in lines)
    code, lines = verify(run, capsys, "--sign", str(secret))
    assert code == 1
    assert lines[-1] == "not signed, because of the damage"
    provenance(run, {})
    code, lines = verify(run, capsys, "--key", str(public))
    assert (code, len(lines)) == (2, 1)
    assert "was changed since" in lines[0]


def test_a_forged_store_is_found_by_its_sha256(run: Path, capsys, tmp_path: Path) -> None:
    """The values are changed, and all checksums that the store carries are valid."""
    secret, public = write_keys(tmp_path / "key")
    assert verify(run, capsys, "--sign", str(secret))[0] == 0
    store = run / f"examples/units/{ENCODER}.zarr"
    other = run / f"examples/units/{PIVOT}.zarr"
    shutil.rmtree(store)
    shutil.copytree(other, store)
    seal_store(store)
    assert verify(run, capsys)[0] == 0
    code, lines = verify(run, capsys, "--key", str(public))
    assert code == 1
    assert any(f"{ENCODER}.zarr: SHA-256 is" in line for line in lines)


def test_options_of_verify_that_contradict_each_other(run: Path, capsys) -> None:
    for options in (["--sign", "a", "--key", "b"], ["--sign", "a", "--delete", "--yes"]):
        code, lines = verify(run, capsys, *options)
        assert (code, len(lines)) == (2, 1)
