"""Copies of the project's code in which Snakemake is run.

ROOT             the checkout that the tests are in
Checkout         a copy with a configuration
copy_checkout    make one
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

__all__ = ["ROOT", "Checkout", "copy_checkout"]

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Checkout:
    """A copy of the project's code with a configuration, in which Snakemake is run."""

    folder: Path

    def configure(self, content: dict[str, Any]) -> None:
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(content))

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", "--configfile", "tiny.yaml", *arguments]
        # as from an environment that is not activated: jobs find their interpreter all the same
        folders = os.environ["PATH"].split(os.pathsep)
        active = str(Path(sys.executable).parent)
        path = os.pathsep.join(folder for folder in folders if folder != active)
        environment = {**os.environ, "PATH": path or os.defpath}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def planned(self, *arguments: str) -> list[str]:
        """The outputs that a run would make now."""
        lines = self.snakemake("--dry-run", *arguments).stdout.splitlines()
        made = [line.split("output: ")[1] for line in lines if line.startswith("    output: ")]
        return sorted(path.removesuffix(" (update)") for line in made for path in line.split(", "))

    @property
    def run(self) -> Path:
        return self.folder / "results" / "tiny"


def copy_checkout(folder: Path, *, of: Path = ROOT) -> Checkout:
    """Copy what a clone would have, of the code that is in a folder."""
    for name in ("Snakefile", "rosetta_core", "workflow", "profiles", "envs"):
        source = of / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy(source, folder / name)
    return Checkout(folder)
