"""Conformance vectors: small seeded networks recorded from the reference implementations.

They are in tests/goldens, or in the folder of the environment variable ROSETTA_GOLDENS.
tests/goldens/README.md describes their origin and the bounds of conformance.
"""

import json
import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FOLDER = Path(os.environ.get("ROSETTA_GOLDENS") or Path(__file__).parent / "goldens")

# by family the bounds of max|a-g| / max|g| and |a-g| / |g| (README, "What 'conforms' means")
BOUNDS = {
    "latents": (5e-6, 2e-6),
    "stylegan2": (2e-5, 1e-5),
    "stylegan3": (1e-4, 2e-5),
    "styleganxl": (5e-5, 1e-5),
    "biggan-deep": (2e-4, 3e-5),
    "filters": (1e-6, 1e-6),
    "read": (0.0, 0.0),
}


class Golden:
    """A network with recorded outputs.

    Attributes:
        name: of its files.
        about: the JSON file: configuration, attributes of modules, cases.
    """

    def __init__(self, name: str) -> None:
        """Read the JSON file; arrays are read as they are asked for."""
        self.name = name
        self.about: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())

    @cached_property
    def _arrays(self) -> Mapping[str, NDArray]:
        return np.load(FOLDER / f"{self.name}.npz")

    def array(self, name: str) -> Tensor:
        """One array, by its whole name: in/z, out/psi1/image."""
        return torch.from_numpy(self._arrays[name])

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The arrays under a prefix, without it: state, out/psi1/layers."""
        names = [name for name in self._arrays if name.startswith(f"{prefix}/")]
        return {name.removeprefix(f"{prefix}/"): self.array(name) for name in names}


def golden_names(family: str) -> list[str]:
    """The names of a family's goldens."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
    return [name for name, about in found.items() if about.get("family") == family]


def table_names(prefix: str) -> list[str]:
    """The names of files of layer tables, which have no family."""
    return [path.stem for path in sorted(FOLDER.glob(f"{prefix}*.json"))]


def assert_near(found: Tensor, golden: Tensor, *, family: str, what: str = "") -> None:
    """Fail unless two tensors have one shape and differ within the bounds of the family."""
    assert tuple(found.shape) == tuple(golden.shape), what
    difference, golden = found.double() - golden.double(), golden.double()
    peak = float(difference.abs().max() / golden.abs().max().clamp_min(1e-300))
    norm = float(difference.norm() / golden.norm().clamp_min(1e-300))
    most_peak, most_norm = BOUNDS[family]
    assert peak <= most_peak, f"{what}: peak {peak:.2e} > {most_peak:.0e}"
    assert norm <= most_norm, f"{what}: norm {norm:.2e} > {most_norm:.0e}"
