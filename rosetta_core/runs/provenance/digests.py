"""SHA-256 of everything in a run, as `provenance.json` lists it.

The digest of a folder is that of the list of its files which `sha256sum` prints, sorted by name, so
it covers names and contents:

    find . -type f ! -name .snakemake_timestamp | LC_ALL=C sort | xargs sha256sum | sha256sum

Files that change without a job, such as locks, are left out; see `UNLISTED`.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rosetta_core.errors import RosettaError, one_line
from rosetta_core.io.file_index import SNAKEMAKE_TIMESTAMP
from rosetta_core.io.regular_files import open_regular
from rosetta_core.runs.lock import JOB_LOCK, RUN_LOCK

__all__ = ["PROVENANCE", "SIGNATURE", "check_digests", "digest", "digests", "unlisted_files"]

PROVENANCE = "provenance.json"
SIGNATURE = f"{PROVENANCE}.minisig"
UNLISTED = {PROVENANCE, SIGNATURE}  # at the top of a run
EMPTY = {RUN_LOCK, JOB_LOCK, SNAKEMAKE_TIMESTAMP}  # names of files without content
THREADS = 4
BUFFER = 2**20  # bytes read at once


def digest(path: Path) -> str:
    """Return the SHA-256 of a regular file, or of a folder of regular files.

    Raises:
        OSError: a file is missing, cannot be read, or is not a regular file.
    """
    if path.is_symlink() or not path.is_dir():
        with open_regular(path) as file:
            sha256 = hashlib.sha256()
            while part := file.read(BUFFER):
                sha256.update(part)
            return sha256.hexdigest()
    lines = [
        b"%b  ./%b\n" % (digest(file).encode(), os.fsencode(file.relative_to(path).as_posix()))
        for file in _files(path)
        if not _is_left_out(file)
    ]
    return hashlib.sha256(b"".join(lines)).hexdigest()


def digests(run: Path, paths: Sequence[Path]) -> dict[str, str]:
    """Return the digests of existing files and folders of a run, by path relative to it."""
    existing = [path for path in dict.fromkeys(paths) if os.path.lexists(path)]
    with ThreadPoolExecutor(THREADS) as workers:
        found = workers.map(digest, existing)
        return {
            path.relative_to(run).as_posix(): sha256
            for path, sha256 in zip(existing, found, strict=True)
        }


def check_digests(
    run: Path, listed: Mapping[str, str], names: Sequence[str]
) -> Iterator[tuple[str, RosettaError]]:
    """Yield the names of files and folders that differ from their listed digest, and an error.

    Args:
        run: folder of the run.
        listed: digests by path relative to the run.
        names: paths to compare.
    """

    def problem(name: str) -> RosettaError | None:
        try:
            found = digest(run / name)
        except FileNotFoundError:
            return RosettaError(f"{run / name}: is missing; run again")
        except OSError as error:
            reason = one_line(error.strerror or error)
            return RosettaError(
                f"{error.filename or run / name}: {reason}; delete it and run again"
            )
        if found == listed[name]:
            return None
        return RosettaError(
            f"{run / name}: SHA-256 is {found[:12]}…, not {listed[name][:12]}… as in {PROVENANCE}; "
            "run rosetta provenance if you changed it, or else delete it and run again"
        )

    with ThreadPoolExecutor(THREADS) as workers:
        for name, error in zip(names, workers.map(problem, names), strict=True):
            if error:
                yield name, error


def unlisted_files(run: Path, listed: Mapping[str, str]) -> list[Path]:
    """Return the files of a run that no listed path covers, and links and pipes of any name."""
    return [
        path
        for path in _files(run)
        if path.relative_to(run).as_posix() not in UNLISTED
        and not _is_left_out(path)
        and not _is_covered(path.relative_to(run), listed)
    ]


def _is_covered(name: Path, listed: Mapping[str, str]) -> bool:
    return any(part.as_posix() in listed for part in (name, *name.parents))


def _is_left_out(path: Path) -> bool:
    """Return whether a file is one of those without content that programs leave behind."""
    empty = not path.is_symlink() and path.is_file() and path.stat().st_size == 0
    return path.name in EMPTY and empty


def _files(folder: Path) -> list[Path]:
    """Return everything below a folder that is not a folder, sorted by the bytes of its path."""
    found: list[Path] = []
    pending = [folder]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(Path(entry.path))
                else:
                    found.append(Path(entry.path))
    return sorted(found, key=lambda path: os.fsencode(path.relative_to(folder).as_posix()))
