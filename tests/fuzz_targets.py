"""Fuzz targets: one function per reader of files by strangers, and changes of files that it reads.

A target returns, or raises a RosettaError of one line; everything else is a finding, and so are ten
seconds or a gigabyte of memory for a small file.
"""

import io
import json
import random
import resource
import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html.parser import HTMLParser
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from checkout import ROOT
from safetensors.torch import save
from torch import nn

from rosetta_core.config import load_config, load_recipe
from rosetta_core.config.strict_yaml import read_yaml
from rosetta_core.errors import MAX_LINE, RosettaError, one_line
from rosetta_core.io.file_index import INDEX_NAME, check_file_index, sign
from rosetta_core.io.stores.store import read_manifest
from rosetta_core.io.strict_json import parse_json
from rosetta_core.pages.data_files import write_data
from rosetta_core.pages.steering_page import write_steering_page
from rosetta_core.runs.provenance.record import read_provenance
from rosetta_core.steering.result_reader import read_description
from rosetta_core.zoo.weights.assignment import Reading, check_weights
from rosetta_core.zoo.weights.checkpoints import read_checkpoint, read_metadata
from rosetta_core.zoo.weights.formats import describe_foreign_file, file_format
from rosetta_core.zoo.weights.local import FileWeights

SECONDS, GIBIBYTE = 10, 2**30
SEEDS = ROOT / "tests/data/fuzz"
GOLDENS = ROOT / "tests/goldens"
# values at limits, and the pieces that hostile files are made of
TOKENS = [
    *(b"\0", b"\xff", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x7f" * 8),
    *(b"[" * 9000, b"{" * 9000, b'{"a":' * 3000, b"- " * 3000, b"&a [*a]", b"*a", b"&a", b"<<: *a"),
    *(b"!!python/object/apply:os.system [id]", b"!!binary YQ==", b"!!timestamp 2020-01-01"),
    *(b'"__proto__"', b'"../../a"', b'"/etc/passwd"', b"\\u0000", b"\\ud800", b"NaN", b"1e999"),
    *(b"-1", b"9" * 5000, b"0x" + b"f" * 999, b"null", b"true", b'""', b"[]", b"{}", b"1:1:1:1"),
    *(b"</script>", b"<!--", b"\xe2\x80\xa8", b"\xe2\x80\xae", b"\x1b[31m", b"]]>", b"{{ 7*7 }}"),
    *(b"cposix\nsystem\n(S'id'\ntR.", b"\x80\x05", b"\x8c\x02os", b"R", b"b", b"Q", b".", b"\x94"),
    *(b"PK\x03\x04", b"PK\x05\x06", b"PK\x01\x02", b"archive/data.pkl", b'"data_offsets":[0,0]'),
]


@contextmanager
def limited() -> Iterator[None]:
    """Raise an error after ten seconds, or where a gigabyte more memory is needed."""

    def expire(_number: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"took more than {SECONDS} s")

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGALRM, expire)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + GIBIBYTE, before[1]))
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.alarm(0)
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGALRM, handler)


def tolerate(read: Callable[[], Any]) -> None:
    """Call a reader; only a RosettaError of one line may come out, even if the text is printed."""
    try:
        read()
    except RosettaError as error:
        text = one_line(error, longest=MAX_LINE)
        assert "\n" not in str(error), text


def check_weights_file(content: bytes, folder: Path) -> None:
    """The readers of weights: safetensors, torch.save, pickles, indices of shards."""
    needed = nn.Linear(3, 4).state_dict()
    for name in ("w.pt", "w.safetensors", "w.safetensors.index.json", "w.pkl"):
        path = folder / name
        path.write_bytes(content)
        tolerate(lambda path=path: file_format(path))
        tolerate(lambda path=path: describe_foreign_file(path))
        tolerate(lambda path=path: read_metadata(path))
        tolerate(lambda path=path: read_checkpoint(path))
        tolerate(lambda path=path: read_checkpoint(path, shapes_only=True))
        reading = Reading(weights=FileWeights(file=str(path)))
        tolerate(lambda path=path, reading=reading: check_weights(needed, path, reading))


def check_yaml_file(content: bytes, folder: Path) -> None:
    """The YAML reader, and configurations and recipes."""
    path = folder / "c.yaml"
    path.write_bytes(content)
    tolerate(lambda: read_yaml(path))
    tolerate(lambda: load_config(path))
    tolerate(lambda: load_recipe(path))


def check_manifest_file(content: bytes, folder: Path) -> None:
    """The readers of JSON in runs; also with a checksum that matches, as a forger would write."""
    store = folder / "a.zarr"
    store.mkdir(exist_ok=True)
    texts = [content]
    with suppress(ValueError, RecursionError, MemoryError, AttributeError, TypeError):
        texts.append(sign(parse_json(content)).encode())
    for text in texts:
        for path in (store / INDEX_NAME, folder / "a.json", folder / "job.json"):
            path.write_bytes(text)
        tolerate(lambda: check_file_index(store, cure="run again"))
        tolerate(lambda: read_manifest(store))
        tolerate(lambda: read_provenance(folder / "a.json"))
        tolerate(lambda: read_description(folder))


def check_page_data(content: bytes, folder: Path) -> None:
    """Data files and templates of pages: names from outside stay text."""
    text = content.decode("utf-8", "replace")
    value = {"name": text, text[:99]: [text[::-1], None, 0.5]}
    write_data(folder, "a/0", value)
    written = (folder / "data/a/0.js").read_text(encoding="utf-8")
    assert written.startswith('rosetta.receive("a/0",') and written.endswith(");\n")
    body = written.removeprefix('rosetta.receive("a/0",').removesuffix(");\n")
    assert json.loads(body) == value and "\n" not in body
    tags = []
    for name in (text, "plain"):
        write_steering_page(folder / "p", [], run=name, pivot=name, encoders=[name])
        tags.append(_Structure((folder / "p/index.html").read_text(encoding="utf-8")).tags)
    assert tags[0] == tags[1], "a name changed the structure of the page"


class _Structure(HTMLParser):
    """Tags of a page with the names of their attributes: what text must not change."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))


TARGETS: dict[str, Callable[[bytes, Path], None]] = {
    "weights": check_weights_file,
    "yaml": check_yaml_file,
    "manifest": check_manifest_file,
    "pages": check_page_data,
}


def run_target(name: str, content: bytes) -> None:
    """Run a target within its limits, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="rosetta-fuzz-"))
    try:
        with limited():
            TARGETS[name](content, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def originals(name: str) -> list[bytes]:
    """Return files that a target reads, and those that once broke it."""
    kept = [path.read_bytes() for path in sorted((SEEDS / name).glob("*"))]
    match name:
        case "weights":
            state = {"weight": torch.ones(4, 3), "bias": torch.zeros(4)}
            zipped, legacy = io.BytesIO(), io.BytesIO()
            torch.save({"state_dict": state, "epoch": 3}, zipped)
            torch.save(state, legacy, _use_new_zipfile_serialization=False)
            index = json.dumps({"metadata": {}, "weight_map": {"weight": "w.safetensors"}})
            files = [GOLDENS / "pickle_edge_tensors_a.pkl", *sorted(GOLDENS.glob("pickle_u*.pkl"))]
            return [
                *(save(state), zipped.getvalue(), legacy.getvalue(), index.encode()),
                *(path.read_bytes() for path in files),
                *kept,
            ]
        case "yaml":
            files = [ROOT / "config.yaml", *sorted((ROOT / "configs").rglob("*.yaml"))]
            return [*(path.read_bytes() for path in files), *kept]
        case "manifest":
            entry = {"bytes": 3, "crc32c": "00000000"}
            contents: list[Any] = [
                {"of": "a/a.zarr", "files": {"zarr.json": entry, "c/0": entry}},
                {"images": [0, 8], "files": {}, "versions": {"zarr": "3"}},
                {"name": "a", "kind": "inversion", "about": "a", "settings": {"steps": 1}},
                {"files": {"a": "0" * 64}, "code": {"commit": "a"}, "models": {}, "seeds": {}},
            ]
            return [*(sign(content).encode() for content in contents), *kept]
        case _:
            return [b"layer4.0.conv1", "généré × 3".encode(), *TOKENS, *kept]


def change(content: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """Change a file at up to eight places: bytes, pieces, tokens, and parts of other files."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        place = chance.randint(0, len(changed))
        end = min(len(changed), place + chance.choice([1, 1, 2, 4, 8, 64, 1024]))
        match chance.randint(0, 6):
            case 0 if place < len(changed):
                changed[place] ^= 1 << chance.randint(0, 7)
            case 1 if place < len(changed):
                changed[place] = chance.randint(0, 255)
            case 2:
                del changed[place:end]
            case 3:
                changed[place:place] = changed[place:end] * chance.choice([1, 2, 50])
            case 4:
                changed[place:place] = chance.choice(TOKENS)
            case 5:
                changed[place:end] = chance.choice(TOKENS)
            case 6:
                other = chance.choice(others)
                start = chance.randint(0, len(other))
                changed[place:end] = other[start : start + 256]
    return bytes(changed[: 2**20])
