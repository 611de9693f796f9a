"""Verification of all artifacts of a finished run, which may come from others.

Every artifact is checked, whatever is wrong with another. Nothing is written and no code of the run
is executed. Damaged artifacts are deleted on request, inside the run only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosetta_core.config import Config
from rosetta_core.errors import RosettaError, describe_exception, one_line
from rosetta_core.runs.paths import RunPaths

if TYPE_CHECKING:
    import minisign
    import pandas as pd

    from rosetta_core.runs.artifacts import Artifact

__all__ = ["Verification", "delete_damaged", "sign_run", "verify_run"]


@dataclass(frozen=True)
class Verification:
    """Result of a verification.

    Attributes:
        artifacts: number of artifacts that were checked.
        bytes: their size.
        problems: one line per damaged, missing or outdated artifact.
        damaged: damaged artifacts that Snakemake can regenerate: by the path that it is asked for,
            the files and folders to delete.
        unlisted: files of the run that its provenance does not list.
    """

    artifacts: int
    bytes: int
    problems: list[str]
    damaged: dict[Path, tuple[Path, ...]]
    unlisted: list[Path]


def verify_run(config: Config, *, everything: bool = False) -> Verification:
    """Read every artifact of a run and report those that are missing, damaged or outdated.

    Images and activation maps are outdated if the weights of their model are other ones now.

    Args:
        config: configuration of the run.
        everything: also compare the SHA-256 of stores, which carry other checksums.
    """
    from rosetta_core.runs.artifacts import list_artifacts
    from rosetta_core.runtime.progress import Progress
    from rosetta_core.stages.registry import verified_outputs

    paths = RunPaths(config)
    artifacts = list_artifacts(config, verified_outputs(config))
    sizes = [artifact.size for artifact in artifacts]
    problems: list[str] = []
    damaged: dict[Path, tuple[Path, ...]] = {}
    tables: dict[Path, pd.DataFrame] = {}

    def report(problem: object, artifact: "Artifact | None") -> None:
        problems.append(one_line(str(problem)))
        if artifact is not None and artifact.parts:
            damaged[artifact.target] = artifact.parts

    with Progress(f"verifying {config.run}", total=sum(sizes), unit="bytes") as progress:
        for artifact, size in zip(artifacts, sizes, strict=True):
            try:
                _check(artifact, config, tables)
            except Exception as error:  # of content by others; the rest is still checked
                report(_describe(artifact.target, error), artifact)
            progress.advance(size)
    by_part = {part: artifact for artifact in artifacts for part in artifact.parts}
    for path, problem in _unit_problems(config, tables):
        report(problem, by_part.get(path))
    listed, reason = _listed(paths)
    if reason:
        problems.append(reason)
    unlisted = _unlisted(paths.run, listed) if listed else []
    for path, problem in _digest_problems(paths, listed, by_part, everything=everything):
        if path not in by_part or by_part[path].target not in damaged:
            report(problem, by_part.get(path))
    for parts, line in _stale_stores(config):
        problems.append(line)
        if parts:
            damaged[parts[0]] = parts
    return Verification(len(artifacts), sum(sizes), problems, damaged, unlisted)


def delete_damaged(config: Config, damaged: Mapping[Path, Sequence[Path]]) -> None:
    """Delete damaged artifacts inside a run.

    Raises:
        RosettaError: a path leads out of the run, or is neither a file nor a folder of files;
            nothing was deleted.
    """
    from rosetta_core.io.regular_files import delete_inside

    delete_inside(RunPaths(config).run, [part for parts in damaged.values() for part in parts])


def sign_run(config: Config, key: "minisign.SecretKey", unlisted: Sequence[Path]) -> Path:
    """Sign the provenance of a run that was verified; return the signature.

    Args:
        config: configuration of the run.
        key: secret key, decrypted.
        unlisted: files of the run that its provenance does not list; they are added to it.
    """
    from rosetta_core.runs.provenance.digests import digests
    from rosetta_core.runs.provenance.record import read_provenance, write_provenance
    from rosetta_core.runs.provenance.signatures import sign_provenance

    paths = RunPaths(config)
    if unlisted:
        content = read_provenance(paths.provenance)
        content["artifacts"] |= digests(paths.run, unlisted)
        write_provenance(paths.provenance, content)
    return sign_provenance(paths.run, key)


def _check(artifact: "Artifact", config: Config, tables: "dict[Path, pd.DataFrame]") -> None:
    """Check an artifact; keep tables, whose units are compared with each other."""
    from rosetta_core.runs.finished.table_checks import check_columns, table_kinds

    content = artifact.check()
    kinds = table_kinds(config)
    if artifact.target in kinds:
        table: Any = content
        check_columns(artifact.target, table, kind=kinds[artifact.target][0])
        tables[artifact.target] = table


def _unit_problems(
    config: Config, tables: "Mapping[Path, pd.DataFrame]"
) -> Iterator[tuple[Path, RosettaError]]:
    from rosetta_core.runs.finished.table_checks import check_units, table_kinds

    return check_units(tables, table_kinds(config), models=[model.name for model in config.models])


def _listed(paths: RunPaths) -> tuple[dict[str, str], str]:
    """Return the digests that the provenance of a run lists, or why there are none."""
    from rosetta_core.runs.provenance.record import listed_digests

    try:
        return listed_digests(paths.provenance), ""
    except RosettaError as error:
        return {}, one_line(error)


def _unlisted(run: Path, listed: Mapping[str, str]) -> list[Path]:
    from rosetta_core.runs.provenance.digests import unlisted_files

    return unlisted_files(run, listed)


def _digest_problems(
    paths: RunPaths, listed: Mapping[str, str], by_part: Mapping[Path, object], *, everything: bool
) -> Iterator[tuple[Path, RosettaError]]:
    """Yield files and folders that differ from the digests that the provenance lists.

    Folders of artifacts carry checksums of their own, which were compared; they are left out unless
    everything is compared.
    """
    from rosetta_core.runs.provenance.digests import check_digests

    names = [
        name
        for name in listed
        if everything or paths.run / name not in by_part or (paths.run / name).is_file()
    ]
    for name, error in check_digests(paths.run, listed, names):
        yield paths.run / name, error


def _stale_stores(config: Config) -> Iterator[tuple[tuple[Path, ...], str]]:
    """Yield the parts of stores that other weights computed, with a line each; none for errors."""
    from rosetta_core.runs.provenance.weights import stale_stores

    for model in config.models:
        try:
            for stale in stale_stores(config, model, remember=False):
                yield stale.parts, one_line(str(stale))
        except (RosettaError, OSError) as error:
            yield (), one_line(_describe(Path(model.name), error))


def _describe(path: Path, error: Exception) -> str:
    if isinstance(error, RosettaError):
        return str(error)
    return f"{path}: cannot be checked ({describe_exception(error)}); delete it and run again"
