"""Every limit that SECURITY.md states has a test beside it, and its numbers are the code's."""

import re

import pytest
from conftest import ROOT

from rosetta_core.config import strict_yaml
from rosetta_core.errors import MAX_LINE
from rosetta_core.io.images import MAX_PIXELS
from rosetta_core.zoo.weights import connections, download

PAGE = (ROOT / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`(?:tests/)?([\w/]*test_\w+\.py)`", PAGE)))
UNTESTED = ("this package", "Snakemake's", "Python code that", "the working directory")


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_is_named_exists(name: str) -> None:
    assert [path for path in (ROOT / "tests").rglob("test_*.py") if str(path).endswith(name)]


def test_rows_name_tests() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| (?!input|-)", line)]
    assert len(rows) > 10
    for row in rows:
        assert "test_" in row or row[2:].startswith(UNTESTED), row


@pytest.mark.parametrize(
    "text",
    [
        f"at most {MAX_PIXELS:,} pixels",
        f"at most {download.MAX_BYTES // 2**30} GiB",
        f"less than {download.MIN_RATE / 1024:.0f} KiB per second",
        f"{download.MAX_SECONDS / 3600:.0f} hours",
        f"{connections.TIMEOUT:.0f} s without a byte",
        f"{strict_yaml.MAX_BYTES // 2**20} MiB, {strict_yaml.MAX_DEPTH} levels",
        f"{strict_yaml.MAX_VALUES:,} values",
        f"after {MAX_LINE:,} characters",
    ],
)
def test_numbers_are_those_of_the_code(text: str) -> None:
    assert text in PAGE


def test_the_number_of_redirects() -> None:
    assert connections.MAX_REDIRECTS == 5
    assert "at most five redirects" in PAGE
