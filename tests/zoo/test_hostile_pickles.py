"""Hostile pickles are refused in one line, or read without effect, in bounded time and memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from checkout import ROOT
from golden import FOLDER
from hostile_pickles import CALLS, HOSTILE, TRAPS
from pickled import file, name, network, number, pairs, raw, state, storage, tensor

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.weights.pickles.networks import read_pickled_data, read_pickled_network

SECONDS = 10  # of a processor for one file; on an idle one the longest takes two
UNSAFE = sorted(FOLDER.glob("pickle_unsafe_*.pkl"))


def test_hostile_files_are_refused_or_read_without_effect(tmp_path: Path) -> None:
    """All of them in one process that hears what the interpreter does, with little memory."""
    asked = {
        f"read_pickled_network/{title}": content for title, content in (HOSTILE | TRAPS).items()
    }
    asked |= {f"read_pickled_data/{title}": content for title, content in CALLS.items()}
    for place, content in asked.items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        (tmp_path / f"{place}.pkl").write_bytes(content)
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "read_hostile.py", tmp_path],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {line["place"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert found.keys() == asked.keys()
    assert {place: line["ran"] for place, line in found.items() if line["ran"]} == {}
    slow = {place: line["seconds"] for place, line in found.items() if line["seconds"] > SECONDS}
    assert slow == {}
    for place, line in found.items():
        if place.partition("/")[2] in TRAPS:
            assert line["said"] == "read", place
        else:
            assert line["said"].startswith(f"{tmp_path / place}.pkl: "), f"{place}: {line['said']}"
            assert len(line["said"]) < len(str(tmp_path / place)) + 400
            assert line["said"].isprintable()


@pytest.mark.parametrize("path", UNSAFE, ids=lambda path: path.stem)
def test_the_traps_of_the_goldens_have_no_effect(path: Path, monkeypatch) -> None:
    monkeypatch.delenv("GOLDEN_PICKLE_CODE_RAN", raising=False)
    with pytest.raises(RosettaError, match=path.name):
        read_pickled_network(path)
    with pytest.raises(RosettaError, match=path.name):
        read_pickled_data(path)
    assert "GOLDEN_PICKLE_CODE_RAN" not in os.environ


def test_a_global_that_is_not_known_is_named_where_it_matters(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    odd = name("timm.layers", "Odd") + b")\x81"
    path.write_bytes(file(network(), D=odd))
    assert read_pickled_network(path).class_name == "Generator"
    for changes in ({"training": odd}, {"_forward_hooks": pairs({"0": odd})}):
        path.write_bytes(file(network(state(**changes))))
        with pytest.raises(RosettaError, match=r"needs timm\.layers\.Odd, which rosetta does not"):
            read_pickled_network(path)


def test_cut_and_changed_files_are_refused_or_read(tmp_path: Path) -> None:
    """A golden cut anywhere is refused; one with a byte changed anywhere does no harm."""
    whole = min(FOLDER.glob("pickle_edge_tensors_*.pkl")).read_bytes()
    path = tmp_path / "edge.pkl"
    for place in range(0, len(whole), 61):
        path.write_bytes(whole[:place])
        with pytest.raises(RosettaError):
            read_pickled_data(path)
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            read_pickled_data(path)
        except RosettaError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("a second state", "OrderedDict is given a state, or a second one"),
        ("a state for a class", "OrderedDict is given a state, or a second one"),
        ("items for a class", "items are set in a collections.OrderedDict"),
        ("two values from a stack of one", "takes from an empty stack or memo"),
        ("two values from both sides of a mark", "takes from an empty stack or memo"),
        ("an integer as a key from 2**60 on", "a int as a key"),
        ("a negative integer as a key from 2**60 on", "a int as a key"),
        ("keys whose hashes collide", "more than 1,000 keys that are floats or tuples"),
        ("a key of tuples of tuples", "it unfolds into more than 250,000 values"),
        ("an integer of a megabyte", "an integer of 8,388,607 bits"),
        ("a million lists", "more than 500,000 instructions"),
        ("lists very deep", "values nested deeper than 100"),
        ("a text many times", "it unfolds into much more than the file's size"),
        ("a call of what a call returned", "the result of a call, which rosetta does not support"),
    ],
)
def test_the_reason_of_a_refusal_is_named(tmp_path: Path, title: str, reason: str) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(HOSTILE[title])
    with pytest.raises(RosettaError) as refused:
        read_pickled_network(path)
    assert reason in str(refused.value)


def test_integers_below_the_limit_are_keys(tmp_path: Path) -> None:
    path = tmp_path / "keys.pkl"
    keys = [2**60 - 1, -(2**60) + 1, 0, -1]
    path.write_bytes(b"\x80\x02}" + b"".join(number(key) + b"Ns" for key in keys) + b".")
    assert read_pickled_data(path) == dict.fromkeys(keys)


def test_errors_do_not_write_to_the_terminal_what_a_file_says(tmp_path: Path) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(b"\x80\x02" + pairs({"\x1b[2J\n" * 100: b"N"}) + b".")
    with pytest.raises(RosettaError) as refused:
        read_pickled_network(path)
    assert str(refused.value).isprintable()


def test_a_tensor_may_repeat_numbers_but_not_reach_beyond_them(tmp_path: Path) -> None:
    stored = raw(storage(torch.arange(6.0)))
    path = tmp_path / "tensors.pkl"
    path.write_bytes(file(tensor(stored, sizes=(2, 5), strides=(4, 0), offset=1)))
    found = read_pickled_data(path)["G_ema"]
    assert found.tolist() == [[1.0] * 5, [5.0] * 5]
    path.write_bytes(file(tensor(stored, sizes=(2, 5), strides=(4, 0), offset=2)))
    with pytest.raises(RosettaError, match="reaches beyond its 6 stored elements"):
        read_pickled_data(path)
