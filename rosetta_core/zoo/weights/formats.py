"""Formats of files of weights, recognised by content; nothing is loaded, and torch not imported.

A safetensors file starts with the length of its header (8 bytes, little-endian) and the header,
which is JSON. `torch.save` writes a zip file with data.pkl in it, or before version 1.6 a pickle
that starts with a magic number. Other files are named in the error, with what to do.
"""

import json
import pickletools
import struct
import zipfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from rosetta_core.errors import RosettaError

__all__ = [
    "Format",
    "describe_foreign_file",
    "describe_foreign_pickle",
    "file_format",
    "read_safetensors_header",
]

Format = Literal["safetensors", "sharded", "torch", "legacy torch", "pickle"]

LEGACY_TORCH = 0x1950A86A20F9469CFC6C  # a torch.save before 1.6 starts with this number, pickled
PICKLE = b"\x80"  # the opcode PROTO, the start of every pickle since protocol 2
HEAD = 1024  # bytes that are read to recognise a file
MAX_INDEX = 64 * 2**20  # bytes of an index of shards
STATE_DICT = "give a safetensors file or a torch.save of its state dict"
DOWNLOAD = "download it again"
COMPRESSED = "decompress it, and give the file inside"

# starts of files that are not weights, or weights that are not read: what they are, what to do
STARTS: tuple[tuple[bytes, str, str], ...] = (
    (
        b"version https://git-lfs",
        "is a Git LFS pointer, not the file",
        "run git lfs pull, or download the file itself",
    ),
    (b"../.git/annex/", "is a git-annex pointer, not the file", "run git annex get"),
    (b"/annex/objects/", "is a git-annex pointer, not the file", "run git annex get"),
    (b"\x89HDF\r\n\x1a\n", "is an HDF5 file (h5), as Keras writes", STATE_DICT),
    (b"GGUF", "is a GGUF file, whose weights are quantised", STATE_DICT),
    (b"\x93NUMPY", "is a NumPy array", STATE_DICT),
    (b"\x1f\x8b", "is compressed with gzip", COMPRESSED),
    (b"BZh", "is compressed with bzip2", COMPRESSED),
    (b"\xfd7zXZ\0", "is compressed with xz", COMPRESSED),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd", COMPRESSED),
    (b"7z\xbc\xaf\x27\x1c", "is a 7z archive", COMPRESSED),
    (b"Rar!", "is a RAR archive", COMPRESSED),
    (b"\x89PNG", "is an image (PNG)", "give a file of weights"),
    (b"\xff\xd8\xff", "is an image (JPEG)", "give a file of weights"),
    (b"%PDF", "is a PDF", "give a file of weights"),
    (b"\x7fELF", "is a compiled program (ELF)", STATE_DICT),
    (b"ptrt", "is a TensorRT engine", STATE_DICT),
)
PICKLE_HEAD = 2**20  # bytes in which the classes of a pickle are looked for
TO_TORCH = "where you trust it, torch.save its arrays as tensors under the network's names"
# names in pickles of other libraries: what they are, what to do
PICKLED: tuple[tuple[bytes, str, str], ...] = (
    (
        b"dnnlib.tflib",
        "is a TensorFlow network, as the first StyleGANs are",
        "convert it with a legacy loader, for example legacy.py of stylegan3, and give the result",
    ),
    (b"tensorflow", "is a pickle of TensorFlow objects", TO_TORCH),
    (b"sklearn", "is a model of scikit-learn, not a network", "give a file of weights"),
    (b"jax", "is a pickle of JAX arrays", TO_TORCH),
    (b"numpy", "is a pickle of NumPy arrays, as of detectron2 and Caffe2", TO_TORCH),
)
WEB_PAGE = (b"<!doctype html", b"<html", b"<head", b"<script")
SUFFIXES = {  # formats that have no signature of their own
    ".onnx": "is an ONNX file, which is a program",
    ".pb": "is a TensorFlow graph",
    ".index": "is the index of a TensorFlow checkpoint",
    ".data-00000-of-00001": "is a TensorFlow checkpoint",
    ".msgpack": "is a msgpack file, as Flax writes",
    ".mlmodel": "is a Core ML model",
    ".pte": "is an ExecuTorch program",
}


def file_format(path: Path) -> Format:
    """Return the format of a file of weights, from its first bytes.

    Raises:
        RosettaError: the file is missing, cut short, or of another format.
    """
    if path.is_dir():
        raise RosettaError(
            f"{path}: is a folder; give the file of weights in it, for example model.safetensors"
        )
    if path.exists() and not path.is_file():  # reading would wait, or never end
        raise RosettaError(f"{path}: is a pipe, a socket or a device; give a file of weights")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        size = path.stat().st_size
        if foreign := describe_foreign_file(path):
            raise RosettaError(f"{path}: {foreign}")
        if head[8:9] == b"{" and (length := int.from_bytes(head[:8], "little")) < 2**32:
            if length > size - 8:
                raise RosettaError(f"{path}: is a safetensors file cut short; {DOWNLOAD}")
            return "safetensors"
        if head[:1] == b"{":
            return _json_format(path, size)
        if head.startswith(b"PK\x03\x04"):
            return _zip_format(path)
    except OSError as error:
        raise RosettaError(
            f"{path}: cannot be read as weights ({error}); give another file"
        ) from error
    if head.startswith(PICKLE):
        return "legacy torch" if LEGACY_TORCH in _first_values(head) else "pickle"
    raise RosettaError(
        f"{path}: is neither safetensors nor a torch.save nor a pickle; give a file of weights"
    )


def describe_foreign_file(path: Path, *, name: str | None = None) -> str | None:
    """Return what a file is and what to do, if its start shows that it has no weights to read.

    Args:
        path: the file.
        name: name that it will have; None: its present one.

    Returns:
        None for weights, and for files that are not recognised.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(HEAD)
    if not size:
        return f"is empty; {DOWNLOAD}"
    if not head.strip(b"\0") and len(head) == min(HEAD, size):
        return f"starts with zero bytes, as an unfinished download does; {DOWNLOAD}"
    return _describe_start(head) or _describe_suffix(name or path.name) or _describe_text(head)


def describe_foreign_pickle(path: Path) -> str | None:
    """Return what a pickle is and what to do, if it is one of another library; None otherwise."""
    with path.open("rb") as file:
        head = file.read(PICKLE_HEAD)
    if b"torch_utils" in head:
        return None
    return next((f"{kind}; {cure}" for name, kind, cure in PICKLED if name in head), None)


def _describe_start(head: bytes) -> str | None:
    for start, kind, cure in STARTS:
        if head.startswith(start):
            return f"{kind}; {cure}"
    if head[4:8] == b"TFL3":
        return f"is a TensorFlow Lite program; {STATE_DICT}"
    if head[257:262] == b"ustar":
        return f"is a tar archive; {COMPRESSED}"
    # the first fields of an ONNX model: its version and the name of its producer
    if head[:1] == b"\x08" and head[2:3] in (b"\x12", b"\x3a", b"\x42"):
        return f"{SUFFIXES['.onnx']}; {STATE_DICT}"
    return None


def _describe_suffix(name: str) -> str | None:
    kinds = (kind for suffix, kind in SUFFIXES.items() if name.lower().endswith(suffix))
    return next((f"{kind}; {STATE_DICT}" for kind in kinds), None)


def _describe_text(head: bytes) -> str | None:
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.lower().startswith(WEB_PAGE):
        return (
            "is a web page (HTML), not the file; download the file itself, whose address may need "
            "a login"
        )
    if text.lower().startswith((b"<?xml", b"<error")):
        return "is an XML document, for example an error of a server; download the file again"
    line = text.split(b"\n", 1)[0][:40].decode("utf-8", "replace").strip()
    if b"\0" in head or head[:1] in (b"{", PICKLE) or not line.isprintable():
        return None
    return f"is text ({line!r}), not weights; give a file of weights"


def read_safetensors_header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file: dtype, shape and data_offsets by tensor.

    Raises:
        RosettaError: the header is damaged, or the file is shorter than it states.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        tensors = {name: x for name, x in header.items() if name != "__metadata__"}
        end = max((int(x["data_offsets"][1]) for x in tensors.values()), default=0)
    except (OSError, ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise RosettaError(
            f"{path}: the header of safetensors is damaged ({type(error).__name__}); {DOWNLOAD}"
        ) from error
    missing = 8 + length + end - path.stat().st_size
    if missing > 0:
        raise RosettaError(
            f"{path}: is cut short, {missing:,} bytes are missing at its end; {DOWNLOAD}"
        )
    return header


def _json_format(path: Path, size: int) -> Format:
    """Return the format of a JSON file: an index of shards of safetensors."""
    try:
        content = json.loads(path.read_bytes()) if size <= MAX_INDEX else None
    except (ValueError, RecursionError):
        content = None
    files = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(files, dict):
        raise RosettaError(
            f"{path}: is a JSON file, for example a configuration or the error of a server; give "
            "the file of weights"
        )
    return "sharded"


# of names that are not in their encoding, later versions of the format, and lengths out of range
ZIP_ERRORS = (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError, struct.error)


def _zip_format(path: Path) -> Format:
    """Return the format of a zip file: one of torch.save, and not of programs or arrays."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except ZIP_ERRORS:
        raise RosettaError(
            f"{path}: is a torch.save or another zip file, cut short or damaged; {DOWNLOAD}"
        ) from None
    files = {Path(name).name for name in names}
    program = (
        "export its state dict as safetensors where you trust it, or give the original checkpoint"
    )
    if "constants.pkl" in files or "bytecode.pkl" in files:
        raise RosettaError(f"{path}: is a TorchScript program, not weights; {program}")
    if files & {"serialized_exported_program.json", "archive_format", "model.json"}:
        raise RosettaError(f"{path}: is a program of torch.export, not weights; {program}")
    if "data.pkl" in files:
        return "torch"
    kinds = {
        "a Keras model": any(name.endswith(".weights.h5") for name in files),
        "a NumPy archive (npz)": any(name.endswith(".npy") for name in files),
    }
    kind = next((kind for kind, fits in kinds.items() if fits), None)
    if kind:
        raise RosettaError(f"{path}: is {kind}; {STATE_DICT}")
    raise RosettaError(
        f"{path}: is neither safetensors nor a torch.save, but a zip archive of {names[0]!r}; "
        "unpack it, and give the file of weights inside"
        if names
        else f"{path}: is an empty zip archive; {DOWNLOAD}"
    )


def _first_values(head: bytes) -> Iterator[object]:
    """Yield the arguments of the first three instructions of a pickle."""
    try:
        for _, value, _ in islice(pickletools.genops(head), 3):  # PROTO, perhaps FRAME, a number
            yield value
    except ValueError:  # the head ends within an instruction
        return
