"""Large models in several safetensors files, with an index that names the file of each tensor.

The index is JSON, `{"weight_map": {TENSOR: FILE}}`; the files lie next to it.
"""

import json
from hashlib import sha256
from pathlib import Path

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import file_sha256

__all__ = ["is_index", "read_index", "weights_digest", "weights_files"]

SUFFIX = ".index.json"


def is_index(path: Path) -> bool:
    """Return whether a file of weights is an index of several files, by its name."""
    return path.name.endswith(SUFFIX)


def read_index(path: Path) -> dict[Path, list[str]]:
    """Return the names of the tensors in each file of an index, in order.

    Raises:
        RosettaError: the index is damaged, or names a file elsewhere than next to it.
    """
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["weight_map"].items()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RosettaError(
            f"{path}: cannot be read as an index of weights ({type(error).__name__}); download it "
            "again"
        ) from error
    shards: dict[Path, list[str]] = {}
    for tensor, file in files:
        if (
            not isinstance(file, str)
            or Path(file).name != file
            or file in ("", "..")
            or "\\" in file
        ):
            raise RosettaError(
                f"{path}: places {tensor!r} in {file!r}, which is not a file next to it; give the "
                "index of the original model"
            )
        if not file.endswith(".safetensors"):
            raise RosettaError(
                f"{path}: names {file!r}, which is not safetensors; give the safetensors of the "
                "model"
            )
        shards.setdefault(path.parent / file, []).append(tensor)
    if not shards:
        raise RosettaError(f"{path}: names no files; download it again")
    if absent := [shard for shard in shards if not shard.is_file()]:
        raise RosettaError(
            f"{path}: {absent[0].name} is missing next to it ({len(absent)} of {len(shards)} files "
            "are); download all files of the model into one folder"
        )
    return shards


def weights_files(path: Path) -> list[Path]:
    """Return all files of a model's weights: one, or an index and the files that it names."""
    return [path, *read_index(path)] if is_index(path) else [path]


def weights_digest(path: Path) -> str:
    """Return the SHA-256 of a file of weights; of an index, that of the digests of all files.

    Raises:
        RosettaError: an index is damaged, or a file that it names is missing.
    """
    digests = [file_sha256(file) for file in weights_files(path)]
    return digests[0] if len(digests) == 1 else sha256(" ".join(digests).encode()).hexdigest()
