"""The command line and the workflow start without the libraries that take seconds to import."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, tiny

from rosetta_core.config import Config

SLOW = ("matplotlib", "pandas", "pyarrow", "scipy", "timm", "torch", "torchvision", "zarr")


def imports_of_the_workflow() -> str:
    """The import statements of the rules."""
    text = (ROOT / "workflow/rules/common.smk").read_text()
    return "\n".join(re.findall(r"^from rosetta_core[^(\n]*(?:\([^)]*\))?$", text, re.M))


@pytest.mark.parametrize(
    "code", ["import rosetta_core.cli.main", "import rosetta_core", imports_of_the_workflow()]
)
def test_no_slow_library_is_imported(code: str) -> None:
    report = f"{code}\nimport sys; print([name for name in {SLOW} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_configuration_that_was_checked_is_checked_again_without_torch(
    tmp_path: Path, weights: Config
) -> None:
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny()))
    report = f"""
import sys
from pathlib import Path
from rosetta_core.config import load_config
from rosetta_core.stages.tools.check import check_config
check_config(load_config(Path({str(tmp_path / "tiny.yaml")!r})))
print([name for name in {SLOW} if name in sys.modules])"""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True
        )
    assert done.stdout.strip() == "[]"
