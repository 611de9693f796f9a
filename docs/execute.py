"""Run the notebooks of docs/notebooks and write them with their outputs to build/notebooks.

`python docs/execute.py`. They run one after the other in build/notebooks, where a later notebook
finds what an earlier one has saved. All run again if one of them or the package has changed. A cell
that raises ends the run with exit code 1. `make docs` puts the outputs into the pages.
"""

import hashlib
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "docs" / "notebooks"
EXECUTED = ROOT / "build" / "notebooks"
DIGEST = EXECUTED / "digest"
CELL_SECONDS = 1800  # limit of a cell


def main() -> int:
    """Run all notebooks unless nothing changed; return the exit code."""
    notebooks = sorted(NOTEBOOKS.glob("*.ipynb"))
    current = digest([*notebooks, *sorted((ROOT / "rosetta_core").rglob("*.py"))])
    if DIGEST.is_file() and DIGEST.read_text() == current:
        return 0
    EXECUTED.mkdir(parents=True, exist_ok=True)
    DIGEST.unlink(missing_ok=True)
    resources = EXECUTED / "resources"  # the weights that the repository's own runs have fetched
    if not resources.is_symlink():
        (ROOT / "resources").mkdir(exist_ok=True)
        resources.symlink_to(ROOT / "resources")
    for notebook in notebooks:
        started = time.monotonic()
        try:
            execute(notebook)
        except CellExecutionError as error:
            print(f"{notebook.relative_to(ROOT)}: {error.ename}: {error.evalue}", file=sys.stderr)
            return 1
        print(f"{notebook.relative_to(ROOT)}: {time.monotonic() - started:.0f} s", flush=True)
    DIGEST.write_text(current)
    return 0


def execute(notebook: Path) -> None:
    """Run a notebook and write it with its outputs."""
    content = nbformat.read(notebook, as_version=4)
    client = NotebookClient(
        content,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(EXECUTED)}},
    )
    client.execute()
    nbformat.write(content, EXECUTED / notebook.name)


def digest(files: list[Path]) -> str:
    """Return the SHA-256 of the names and contents of files."""
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.relative_to(ROOT)}\n".encode())
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
