"""Files of weights built to break their reader: archives, headers, and files that change."""

import io
import json
import os
import resource
import struct
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.weights.assignment import Reading, check_weights, load_weights
from rosetta_core.zoo.weights.checkpoints import read_checkpoint
from rosetta_core.zoo.weights.local import FileWeights

STATE = {"weight": torch.ones(4, 3), "bias": torch.zeros(4)}


def refusal(path: Path) -> str:
    """Return why a file is refused, without taking half a gigabyte of memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RosettaError) as caught:
        load_weights(nn.Linear(3, 4), path, Reading(weights=FileWeights(file=str(path))))
    assert "\n" not in str(caught.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # KiB
    return str(caught.value)


def archive(path: Path, change) -> Path:
    """A torch.save whose entries are those that a function returns."""
    buffer = io.BytesIO()
    torch.save(STATE, buffer)
    with zipfile.ZipFile(buffer) as source:
        entries = [(entry, source.read(entry)) for entry in source.infolist()]
    with zipfile.ZipFile(path, "w") as target:
        for entry, content in change(entries):
            target.writestr(entry, content)
    return path


def compressed(entry: zipfile.ZipInfo, content: bytes) -> tuple[zipfile.ZipInfo, bytes]:
    changed = zipfile.ZipInfo(entry.filename)
    changed.compress_type = zipfile.ZIP_DEFLATED
    return changed, content


def test_a_compressed_bomb_in_a_torch_file(tmp_path: Path) -> None:
    """A megabyte of zeros that would be a gigabyte."""

    def change(entries):
        for entry, content in entries:
            bomb = entry.filename.endswith("data/0")
            yield compressed(entry, bytes(2**30) if bomb else content)

    path = archive(tmp_path / "w.pt", change)
    assert path.stat().st_size < 2 * 2**20
    refusal(path)


def test_a_compressed_pickle_bomb(tmp_path: Path) -> None:
    def change(entries):
        for entry, content in entries:
            bomb = entry.filename.endswith("data.pkl")
            yield compressed(entry, b"\x80\x02" + b"]" * 2**29 if bomb else content)

    refusal(archive(tmp_path / "w.pt", change))


def test_entries_of_the_same_name(tmp_path: Path) -> None:
    """Two readers could see different ones."""

    def change(entries):
        yield from entries
        yield from ((entry, bytes(len(content))) for entry, content in entries[-1:])

    with pytest.warns(UserWarning, match="Duplicate name"):
        path = archive(tmp_path / "w.pt", change)
    try:
        content = read_checkpoint(path).content
        assert set(content) == set(STATE)
    except RosettaError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "name", ["../../escaped", "/tmp/escaped", "a/../../escaped", "C:\\escaped"]
)
def test_names_of_entries_write_nowhere(tmp_path: Path, name: str) -> None:
    """Nothing is extracted, so a name is only a name."""

    def change(entries):
        yield from entries
        yield zipfile.ZipInfo(name), b"escaped"

    folder = tmp_path / "a/b"
    folder.mkdir(parents=True)
    path = archive(folder / "w.pt", change)
    load_weights(nn.Linear(3, 4), path, Reading(weights=FileWeights(file=str(path))))
    assert {file.name for file in tmp_path.rglob("*")} == {"a", "b", "w.pt"}
    assert not Path("/tmp/escaped").exists()


def test_symbolic_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    def change(entries):
        for entry, content in entries:
            if entry.filename.endswith("data/0"):
                link = zipfile.ZipInfo(entry.filename)
                link.external_attr = 0o120777 << 16
                yield link, b"/etc/passwd"
            else:
                yield entry, content

    assert "of 48 bytes is 11 bytes" in refusal(archive(tmp_path / "w.pt", change))


def test_entries_that_overlap(tmp_path: Path) -> None:
    """Two storages in the same bytes: reading is bounded by the size of the file."""
    path = archive(tmp_path / "w.pt", lambda entries: entries)
    content = bytearray(path.read_bytes())
    places, start = [], 0
    while (start := content.find(b"PK\x01\x02", start)) >= 0:
        places.append(start)
        start += 4
    for place in places:
        struct.pack_into("<I", content, place + 42, 0)  # offset of the local header
    path.write_bytes(content)
    refusal(path)


@pytest.mark.parametrize("field", [20, 24, 28, 30, 42])
@pytest.mark.parametrize("value", [0xFFFFFFFF, 0x7FFFFFFF, 0xFFFF])
def test_sizes_and_offsets_out_of_range(tmp_path: Path, field: int, value: int) -> None:
    path = archive(tmp_path / "w.pt", lambda entries: entries)
    content = bytearray(path.read_bytes())
    place = content.rfind(b"PK\x01\x02")
    size = 2 if field in (28, 30) else 4
    content[place + field : place + field + size] = value.to_bytes(4, "little")[:size]
    path.write_bytes(content)
    try:
        load_weights(nn.Linear(3, 4), path, Reading(weights=FileWeights(file=str(path))))
    except RosettaError as error:
        assert "\n" not in str(error)


def header(content: object, *, length: int | None = None, body: bytes = bytes(64)) -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def tensor(start: int, end: int, *shape: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


HEADERS = {
    "length beyond the file": header({}, length=2**40),
    "length of all bits": header({}, length=2**64 - 1),
    "huge length": header(b"{" + b" " * 2**20, length=2**62),
    "nested": header(b'{"a":' * 50_000),
    "lists": header(b"[" * 100_000),
    "duplicate names": header(
        b'{"weight":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},'
        b'"weight":{"dtype":"F32","shape":[4],"data_offsets":[16,32]}}',
        body=bytes(32),
    ),
    "overlap": header({"weight": tensor(0, 48, 4, 3), "bias": tensor(0, 16, 4)}, body=bytes(48)),
    "gap": header({"weight": tensor(8, 56, 4, 3), "bias": tensor(56, 72, 4)}, body=bytes(72)),
    "backwards": header({"weight": tensor(48, 0, 4, 3)}, body=bytes(48)),
    "negative": header({"weight": tensor(-48, 0, 4, 3)}, body=bytes(48)),
    "beyond": header({"weight": tensor(0, 2**62, 2**60)}, body=bytes(48)),
    "product overflows": header({"weight": tensor(0, 48, 2**32, 2**32)}, body=bytes(48)),
    "negative shape": header({"weight": tensor(0, 48, -4, -3)}, body=bytes(48)),
    "unknown dtype": header({"weight": tensor(0, 48, 4, 3, dtype="EVIL")}, body=bytes(48)),
    "shape of text": header({"weight": {**tensor(0, 48), "shape": "43"}}, body=bytes(48)),
    "no shape": header({"weight": {"dtype": "F32"}}),
    "a list": header([1, 2]),
    "null": header(b"null"),
    "many names": header({f"a{i}": tensor(0, 0, 0) for i in range(50_000)}, body=b""),
    "metadata of lists": header({"__metadata__": {"a": [1]}, "weight": tensor(0, 48, 4, 3)}),
    "escape codes": header({"\x1b[31mweight": tensor(0, 48, 4, 3)}, body=bytes(48)),
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
def test_headers_of_safetensors(tmp_path: Path, kind: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(HEADERS[kind])
    refusal(path)


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "dangling link", "loop", "empty"])
def test_files_that_are_none(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "w.pt"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case "dangling link":
            path.symlink_to(tmp_path / "missing")
        case "loop":
            path.symlink_to(path)
        case "empty":
            path.touch()
    refusal(path)


def test_a_file_that_shrinks_between_check_and_use(tmp_path: Path) -> None:
    """Another process truncates it: an error, never zeros and never a crash."""
    path = tmp_path / "w.safetensors"
    save_file(STATE, path)
    reading = Reading(weights=FileWeights(file=str(path)))
    check_weights(nn.Linear(3, 4).state_dict(), path, reading)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 8)
    refusal(path)


def test_a_tensor_larger_than_its_file(tmp_path: Path) -> None:
    """Strides of 0 and shapes of exabytes are not allocated."""
    content = save({"weight": torch.ones(1)}).replace(b"[1]", b"[9]")
    path = tmp_path / "w.safetensors"
    path.write_bytes(content)
    refusal(path)
    torch.save({"weight": torch.ones(1).expand(2**20, 2**20)}, tmp_path / "w.pt")
    refusal(tmp_path / "w.pt")
