"""Numbers and bytes of data files."""

import base64
import math
import zlib
from pathlib import Path

import numpy as np
import pytest

from rosetta_core.pages.data_files import pack, rounded, significant, write_data


def test_packing_concatenates_arrays_in_memory_order() -> None:
    arrays = [np.arange(6, dtype=np.uint8).reshape(2, 3).T, np.array([255], np.uint8)]
    content = zlib.decompress(base64.b64decode(pack(arrays)))
    assert list(content) == [0, 3, 1, 4, 2, 5, 255]


def test_missing_numbers_are_null() -> None:
    assert rounded([0.1234, math.nan, -0.9996, -0.0001]) == [0.123, None, -1.0, 0.0]
    assert rounded([0.12345], 4) == [0.1234]
    assert significant([123456.0, 0.00012345, math.nan, math.inf]) == [
        123500.0,
        0.0001234,
        None,
        None,
    ]


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_data(tmp_path, "x", [math.nan])
    write_data(tmp_path, "a/0", {"é": None})
    assert (tmp_path / "data/a/0.js").read_text(encoding="utf-8") == (
        'rosetta.receive("a/0",{"é":null});\n'
    )
