"""Verification of all artifacts of a finished run."""

from dataclasses import dataclass
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import remove
from rosetta_core.runs.paths import RunPaths

__all__ = ["Verified", "verify_run"]


@dataclass(frozen=True)
class Verified:
    """What there is of a run.

    Attributes:
        pieces: how many were checked.
        bytes: how many they have.
        problems: a line for each damaged piece.
        targets: what the workflow makes again of those that were deleted.
    """

    pieces: int
    bytes: int
    problems: list[str]
    targets: list[Path]


def verify_run(config: Config, *, delete: bool = False) -> Verified:
    """Read every piece of a run, and say which are missing or damaged.

    Args:
        config: the run.
        delete: damaged pieces; what is a user's own, or came with this package, is left.
    """
    from rosetta_core.runs.artifacts import artifacts_of
    from rosetta_core.runtime.progress import Progress
    from rosetta_core.stages.registry import jobs_of

    paths = RunPaths(config)
    outputs = [
        path
        for stage, job in jobs_of(config)
        if stage.verified
        for path in stage.writes(paths, job)
    ]
    pieces = artifacts_of(config, outputs)
    sizes = [piece.size for piece in pieces]
    problems, targets = [], []
    with Progress(f"verifying {config.run}", total=sum(sizes), unit="bytes") as progress:
        for piece, size in zip(pieces, sizes, strict=True):
            try:
                piece.check()
            except (RosettaError, OSError) as error:
                problems.append(str(error))
                if delete and piece.parts:
                    for part in piece.parts:
                        remove(part)
                    targets.append(piece.target)
            progress.advance(size)
    return Verified(len(pieces), sum(sizes), problems, targets)
