"""Commands under limits of the system: one line, whatever runs out."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT


def run(folder: Path, *arguments: str, kind: int, limit: int) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "rosetta_core", *arguments],
        cwd=folder,
        env={**environment, "XDG_CACHE_HOME": str(folder / "cache")},
        preexec_fn=lambda: resource.setrlimit(kind, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("gigabytes", [0.4, 1.0, 2.0, 2.5])
def test_an_address_space_too_small_for_libraries_is_one_line(
    tmp_path: Path, gigabytes: float
) -> None:
    """Torch's shared objects do not fit: an ImportError or a MemoryError, wherever it is raised."""
    (tmp_path / "config.yaml").write_text("run: a\n")
    done = run(tmp_path, "check", kind=resource.RLIMIT_AS, limit=int(gigabytes * 1e9))
    lines = done.stderr.splitlines()
    assert done.returncode == 1, done.stderr
    assert lines[-1].startswith("rosetta: out of memory"), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("files", [8, 16])
def test_too_few_open_files_are_one_line(tmp_path: Path, files: int) -> None:
    (tmp_path / "config.yaml").write_text("run: a\n")
    done = run(tmp_path, "check", kind=resource.RLIMIT_NOFILE, limit=files)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1)


def test_a_limit_of_file_sizes_is_one_line(tmp_path: Path) -> None:
    source = ROOT / "tests/goldens/checkpoint_stylegan2_rosinality_r32.pt"
    arguments = ("convert", str(source), "a.safetensors", "--entry", "g_ema")
    done = run(tmp_path, *arguments, kind=resource.RLIMIT_FSIZE, limit=10_000)
    assert done.returncode == 1
    assert done.stderr.startswith("rosetta: ") and done.stderr.count("\n") == 1, done.stderr
    assert "exceeds the limit of file sizes" in done.stderr
    assert not list(tmp_path.glob("*.safetensors*")) + list(tmp_path.glob(".*"))
