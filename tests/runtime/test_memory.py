"""A full disk, no memory, a lost card: one line, nothing that looks whole, and another try."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
import zarr
from conftest import ROOT, tiny

from rosetta_core import stages
from rosetta_core.cli.main import main
from rosetta_core.config import Config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path
from rosetta_core.io.stores.store import read_manifest
from rosetta_core.runtime.memory import exhaustion_message, out_of_memory_device
from rosetta_core.stages.retry import retry_with_less_memory
from rosetta_core.validation import parse_bytes

GPU_FULL = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB"
LOST = "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported"
CPU_FULL = (
    "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you "
    "tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)"
)


def no_array() -> None:
    np.empty(2**60, np.uint8)


def no_tensor() -> None:
    torch.empty(2**60, dtype=torch.uint8)


@pytest.mark.parametrize("allocate", [no_array, no_tensor])
def test_what_numpy_and_torch_raise_without_memory_is_known(allocate) -> None:
    with pytest.raises((MemoryError, RuntimeError)) as caught:
        allocate()
    assert out_of_memory_device(caught.value) == "host"
    assert (exhaustion_message(caught.value) or "").startswith(
        "out of memory; lower memory_budget, run f"
    )


@pytest.mark.parametrize(
    ("error", "where", "said"),
    [
        (torch.OutOfMemoryError(GPU_FULL), "gpu", "the GPU is out of memory; lower memory_budget"),
        (
            RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
            "gpu",
            "the GPU is",
        ),
        (
            torch.AcceleratorError(LOST),
            None,
            "the GPU failed (CUDA error: unspecified launch failu",
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), None, "the GPU failed (cuDNN"),
        (RuntimeError(CPU_FULL), "host", "out of memory; lower memory_budget"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "host", "out of memory; lower"),
        (
            OSError(errno.EDQUOT, "Disk quota exceeded"),
            None,
            "the quota of the disk is used up; ma",
        ),
        (
            RuntimeError("PytorchStreamWriter failed writing file data/1"),
            None,
            "the disk is full; ",
        ),
        (RosettaError("bad"), None, None),
        (RuntimeError("shapes differ"), None, None),
        (OSError(errno.EACCES, "Permission denied"), None, None),
    ],
)
def test_what_gave_out_is_said(error: BaseException, where: str | None, said: str | None) -> None:
    assert out_of_memory_device(error) == where
    found = exhaustion_message(error)
    assert found is None if said is None else (found or "").startswith(said)
    assert "\n" not in (found or "")


def test_an_error_on_account_of_a_full_disk_counts_as_that(tmp_path: Path) -> None:
    with pytest.raises(RosettaError) as caught, atomic_path(tmp_path / "out.bin"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RosettaError("cannot be written") from error
    said = exhaustion_message(caught.value) or ""
    assert said.startswith(f"{tmp_path}/out.bin: the disk is full, with ")
    assert said.endswith(" MiB free after its removal; make room and run again")


class Greedy:
    """A stage that needs the more memory the larger its budget is, and has no more than there is.

    Attributes:
        tried: the budgets in MiB and the images per forward pass that it was given.
    """

    def __init__(self, there: int, error: BaseException) -> None:
        self.there, self.error = there, error
        self.tried: list[tuple[int, int | None]] = []

    def __call__(self, config: Config, *, model: str) -> str:
        budget = parse_bytes(config.memory_budget) // 2**20
        self.tried.append((budget, config.activations.batch_size))
        if budget > self.there:
            raise self.error
        return model


@pytest.mark.parametrize(
    ("error", "batches"),
    [
        (torch.OutOfMemoryError(GPU_FULL), [None, 8, 4]),  # half of a GPU's sixteen, and so on
        (MemoryError("std::bad_alloc"), [None, None, None]),
        (RuntimeError(CPU_FULL), [None, None, None]),
    ],
)
def test_a_job_without_memory_starts_over_with_half(error, batches, caplog) -> None:
    stage = Greedy(600, error)
    assert retry_with_less_memory(stage)(Config(), model="m") == "m"
    assert stage.tried == list(zip([2048, 1024, 512], batches, strict=True))
    assert [record.getMessage() for record in caplog.records] == [
        f"out of memory; retrying with memory_budget: {budget} MiB" for budget in (1024, 512)
    ]


def test_it_gives_up_after_three() -> None:
    stage = Greedy(1, torch.OutOfMemoryError(GPU_FULL))
    with pytest.raises(torch.OutOfMemoryError):
        retry_with_less_memory(stage)(parse_config({"activations": {"batch_size": 5}}), model="m")
    assert stage.tried == [(2048, 5), (1024, 2), (512, 1), (256, 1)]


@pytest.mark.parametrize("error", [RosettaError("bad"), RuntimeError(LOST), OSError(28, "full")])
def test_other_errors_are_no_reason_to_start_over(error: Exception) -> None:
    stage = Greedy(1, error)
    with pytest.raises(type(error)):
        retry_with_less_memory(stage)(Config(), model="m")
    assert len(stage.tried) == 1


# --- the real thing: a limit on memory, and a disk of half a megabyte

LIMITED = """
import resource, sys
import numpy, torch, zarr
from pathlib import Path
from rosetta_core.cli.main import main
from rosetta_core.config import load_config
from rosetta_core.runs.live_source import live_activations
from rosetta_core.runtime.memory import keep_freed_memory
import rosetta_core.mining.sources.recording

torch.set_num_threads(1)
config = load_config(Path("c.yaml"))
maps = live_activations(config, "mobilenet_v2", shard="00000")  # held before the first map
from rosetta_core.runtime.threads import TorchThreadPool
with TorchThreadPool(1) as workers:
    maps.load(range(1), workers)
del maps
keep_freed_memory()
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
sys.exit(main(sys.argv[2:]))
"""


def stored(store: Path) -> dict[str, Any]:
    """All arrays of a store of maps."""
    group, layers = zarr.open_group(store, mode="r"), read_manifest(store)["layers"]
    names = [f"{x['name']}/{part}" for x in layers for part in ("maps", "mean", "deviation")]
    return {name: group[name][...] for name in names}


def run_limited(folder: Path, spare: int) -> subprocess.CompletedProcess[str]:
    """Record the maps of a model with so many MiB more than it holds before."""
    arguments = ["activations", "mobilenet_v2", "--shard", "00000", "--config", "c.yaml"]
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(spare), *arguments, "--threads", "1"],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "MALLOC_ARENA_MAX": "1"},  # an arena a thread would take addresses
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Config) -> Path:
    """A working folder with the samples of a run whose maps take 300 MiB a model."""
    monkeypatch.chdir(tmp_path)
    content = tiny(sampling={"images": 64, "shard_size": 64}, steering={}, memory_budget="1 GiB")
    for model in [content["pivot"], *content["encoders"]]:
        model["layers"] = None
    Path("c.yaml").write_text(yaml.safe_dump(content))
    stages.sample.run(parse_config(content), shard="00000")
    return tmp_path


@pytest.mark.whole_run
def test_a_job_at_the_limit_of_memory_comes_to_the_same_numbers(folder: Path) -> None:
    store = folder / "results/tiny/activations/mobilenet_v2/00000.zarr"
    done = run_limited(folder, 400)  # a budget of 1 GiB takes 515 MiB, one of 512 MiB 355
    assert done.returncode == 0, done.stderr
    assert "out of memory; retrying with memory_budget: 512 MiB" in done.stderr
    assert "Traceback" not in done.stderr
    limited = stored(store)
    shutil.rmtree(store)
    assert main(["activations", "mobilenet_v2", "--shard", "00000", "--config", "c.yaml"]) == 0
    unlimited = stored(store)
    assert len(unlimited) == 3 * 18
    assert list(limited) == list(unlimited)
    for name, values in unlimited.items():
        if name.endswith("/maps"):
            np.testing.assert_array_equal(limited[name], values)
        else:  # moments are pooled in float64, piece by piece
            np.testing.assert_allclose(limited[name], values, rtol=1e-12)


@pytest.mark.whole_run
def test_a_job_far_beyond_the_limit_says_so_in_one_line_and_leaves_nothing(folder: Path) -> None:
    done = run_limited(folder, 20)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("rosetta: "))
    assert line.startswith("rosetta: out of memory; lower memory_budget, run fewer jobs at once")
    left = folder / "results/tiny/activations/mobilenet_v2"
    assert not left.exists() or not list(left.iterdir())


def may_mount() -> bool:
    """Whether this process can have a file system of its own."""
    try:
        return subprocess.run(
            ["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"],
            capture_output=True, check=False,
        ).returncode == 0  # fmt: skip
    except FileNotFoundError:
        return False


small_disk = pytest.mark.skipif(not may_mount(), reason="no right to mount a file system")


def on_a_small_disk(folder: Path, size: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in a folder whose `results` are a disk of a size, by itself."""
    (folder / "results").mkdir(exist_ok=True)
    mount = f"mount -t tmpfs -o size={size} none results && "
    return subprocess.run(
        ["unshare", "-m", "bash", "-c", mount + script],
        cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHON": sys.executable, "ROOT": str(ROOT)},
    )  # fmt: skip


@small_disk
@pytest.mark.parametrize("size", ["16k", "200k", "600k"])
def test_a_disk_that_fills_in_the_middle_of_a_write(size: str, tmp_path: Path, weights) -> None:
    """64 images of 64 × 64 pixels take about 700 KiB."""
    content = tiny(sampling={"images": 64, "shard_size": 64}, steering={})
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(content))
    script = (
        "$PYTHON -m rosetta_core sample --shard 00000 --config c.yaml; code=$?; "
        "find results -type f -o -name '*.zarr' -o -name '*.part'; exit $code"
    )
    done = on_a_small_disk(tmp_path, size, script)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("rosetta: "))
    assert line.startswith("rosetta: results/tiny/samples/dcgan/00000.zarr: the disk is full, with")
    assert line.endswith(" MiB free after its removal; make room and run again")
    assert not done.stdout


@pytest.mark.whole_run
@small_disk
def test_a_job_on_a_full_disk_shows_its_line_in_the_terminal(tmp_path: Path, weights) -> None:
    content = tiny(sampling={"images": 64, "shard_size": 64}, steering={})
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(content))
    script = (
        "$PYTHON -m snakemake --snakefile $ROOT/Snakefile --directory . --configfile c.yaml "
        "--cores 1 results/tiny/samples/dcgan/00000.zarr; code=$?; "
        "find results/tiny/samples -type f -o -name '*.zarr' -o -name '*.part'; exit $code"
    )
    done = on_a_small_disk(tmp_path, "300k", script)
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if "the disk is full" in line]
    assert lines
    assert all(line.startswith("rosetta: results/tiny/samples/dcgan/00000.zarr") for line in lines)
    assert not done.stdout
