"""Large models in several safetensors files, with an index that names the file of each tensor.

The index is JSON, `{"weight_map": {TENSOR: FILE}}`; the files lie next to it.
"""

import json
from hashlib import sha256
from pathlib import Path

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import file_sha256

__all__ = [
    "is_index",
    "read_index",
    "saved_weights",
    "shard_names",
    "shard_path",
    "weights_digest",
    "weights_files",
]

SUFFIX = ".index.json"
SAVED = "model.safetensors"  # as transformers writes it; in parts with an index
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
MAX_SHARDS = 1000


def is_index(path: Path) -> bool:
    """Return whether a file of weights is an index of several files, by its name or content.

    The name may end in the revision of a hub's file or in the query of an address, after an @.
    """
    name = path.name.partition("@")[0]
    if name != SAVED or not path.is_file():
        return name.endswith(SUFFIX)
    with path.open("rb") as file:  # of a model on the hub, which may be several files
        start = file.read(9)
    return start[:1] == b"{" and start[8:] != b"{"  # no safetensors, whose header follows 8 bytes


def saved_weights(folder: Path) -> Path:
    """Return the file of weights in a folder that transformers saved, or the index of several.

    Raises:
        ValueError: the folder has only pickled weights.
    """
    for name in (SAVED, f"{SAVED}{SUFFIX}"):
        if (folder / name).is_file():
            return folder / name
    pickles = [file.name for pattern in PICKLES for file in sorted(folder.glob(pattern))]
    if pickles:
        raise ValueError(
            f"{folder}: has no {SAVED}, only pickled weights ({pickles[0]}); save the model again "
            "as safetensors, or give the file in `weights`, which is read as data"
        )
    return folder / SAVED


def shard_path(index: Path, name: str) -> Path:
    """Return the path of a file that an index names: next to it, of the same revision."""
    _, at, revision = index.name.partition("@")
    return index.with_name(f"{name}{at}{revision}")


def read_index(path: Path) -> dict[Path, list[str]]:
    """Return the names of the tensors in each file of an index, in order.

    Raises:
        RosettaError: the index is damaged, or names a file elsewhere than next to it.
    """
    shards = {shard_path(path, name): tensors for name, tensors in shard_names(path).items()}
    if absent := [shard for shard in shards if not shard.is_file()]:
        raise RosettaError(
            f"{path}: {absent[0].name} is missing next to it ({len(absent)} of {len(shards)} files "
            "are); download all files of the model into one folder"
        )
    return shards


def shard_names(path: Path, *, of: str | None = None) -> dict[str, list[str]]:
    """Return the names of the tensors by the name of a file, from an index whose files may lack.

    Args:
        path: file of the index.
        of: name of the index in errors; None: its path.

    Raises:
        RosettaError: the index is damaged, or names a file elsewhere than next to it.
    """
    where = of or path
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["weight_map"].items()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise RosettaError(
            f"{where}: cannot be read as an index of weights ({type(error).__name__}); "
            "download it again"
        ) from error
    shards: dict[str, list[str]] = {}
    for tensor, file in files:
        if (
            not isinstance(file, str)
            or Path(file).name != file
            or file in ("", "..")
            or "\\" in file
        ):
            raise RosettaError(
                f"{where}: places {tensor!r} in {file!r}, which is not a file next to it; give the "
                "index of the original model"
            )
        if not file.endswith(".safetensors") or is_index(Path(file)):
            raise RosettaError(
                f"{where}: names {file!r}, which is not safetensors; give the safetensors of the "
                "model"
            )
        shards.setdefault(file, []).append(tensor)
    if not shards:
        raise RosettaError(f"{where}: names no files; download it again")
    if len(shards) > MAX_SHARDS:
        raise RosettaError(
            f"{where}: names {len(shards)} files, more than {MAX_SHARDS}; give the index of "
            "the original model"
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
