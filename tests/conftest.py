"""The face zoo's weights, small configurations of it, and one whole run that tests share."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import settings

from rosetta_core import stages
from rosetta_core.config import Config, parse_config
from rosetta_core.paths import RunPaths

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

ROOT = Path(__file__).resolve().parent.parent
LAYERS = {  # few enough that maps can be enlarged outright
    "dcgan": ["main.8", "main.11"],
    "efficientnet_lite0": ["blocks.2.1.bn2.act", "blocks.5.3.bn2.act"],
    "mobilenet_v2": ["features.2.conv.1.2", "features.14.conv.1.2"],
    "mtcnn_onet": ["prelu[12]"],
}


def tiny(**changes: Any) -> dict[str, Any]:
    """The face zoo with few layers and 16 images in two shards, as a configuration file has it."""
    content = Config().model_dump(mode="json")
    for model in [content["pivot"], *content["encoders"]]:
        model["layers"] = LAYERS[model["name"]]
    content |= {"run": "tiny", "resources": str(ROOT / "resources"), "device": "cpu"}
    content["sampling"] |= {"images": 16, "shard_size": 8}
    content["dictionary"]["examples"] = 3
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    return content


@pytest.fixture(scope="session")
def weights() -> Config:
    """The default configuration, after its weights were fetched into the checkout's resources."""
    config = parse_config({**tiny()})
    for model in config.models:
        if not RunPaths(config).weights(model).is_file():
            stages.fetch(config, model=model.name)
    return config


@dataclass(frozen=True)
class Checkout:
    """A copy of the project's code with a configuration, in which Snakemake is run."""

    folder: Path

    def configure(self, content: dict[str, Any]) -> None:
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(content))

    def snakemake(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "snakemake", "--configfile", "tiny.yaml", *arguments]
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
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
        return sorted(path for line in made for path in line.split(", "))

    @property
    def run(self) -> Path:
        return self.folder / "results" / "tiny"


def copy_checkout(folder: Path) -> Checkout:
    """Copy what a clone would have."""
    for name in ("Snakefile", "rosetta_core", "workflow", "profiles", "envs"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return Checkout(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, weights: Config) -> Checkout:
    """A checkout in which the tiny configuration was run by Snakemake; leave it as it is."""
    checkout = copy_checkout(tmp_path_factory.mktemp("finished"))
    checkout.configure(tiny())
    checkout.snakemake("--cores", "2")
    return checkout


@pytest.fixture
def rerun(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished checkout, to change something and see what would run again."""
    folder = tmp_path / "checkout"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Checkout(folder)


__all__ = ["ROOT", "Checkout", "tiny"]
