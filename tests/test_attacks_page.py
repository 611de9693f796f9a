"""Every attack that the page of attacks lists is tried by a test that exists."""

import re

import pytest
from conftest import ROOT

ROWS = [
    line
    for line in (ROOT / "docs/explanation/attacks.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| attack")
]
FILES = {path.name: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}


def test_the_page_has_attacks() -> None:
    assert len(ROWS) >= 60


@pytest.mark.parametrize("row", ROWS)
def test_a_row_names_its_test(row: str) -> None:
    attack, now, test = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])
    assert attack
    assert now
    file, function, *case = re.findall(r"`([^`]+)`", test)
    assert re.search(rf"^def {function}\(", FILES[file], re.M)
    for name in case:
        assert f'"{name}"' in FILES[file] or re.search(rf"\b{name}\b", FILES[file])
