"""A user's function that cannot be loaded is reported in one line."""

from pathlib import Path

import pytest

from rosetta_core.errors import RosettaError
from rosetta_core.runtime.user_code import load_function

CONTENT = "def double(x):\n    return 2 * x\nnot_a_function = 7\n"


def test_a_function_of_a_file_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(CONTENT)
    assert load_function(f"{tmp_path}/own.py:double", key="function")(4) == 8


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (None, "none.py:f", "function 'none.py:f': no file 'none.py'; write FILE.py:NAME"),
        (None, "f", "function 'f': write FILE.py:NAME or MODULE:NAME"),
        ("", "own.txt:f", "function 'own.txt:f': own.txt is not a Python file"),
        (CONTENT, "own.py:other", "function 'own.py:other': own.py has no function 'other'"),
        (CONTENT, "own.py:not_a_function", "own.py has no function 'not_a_function'"),
        (
            "def f(:",
            "own.py:f",
            "function 'own.py:f': SyntaxError: invalid syntax (own.py, line 1)",
        ),
        (
            "\nraise ValueError('two\\nlines')",
            "own.py:f",
            "function 'own.py:f': ValueError: two lines (own.py, line 2)",
        ),
        ("import sys; sys.exit(3)", "own.py:f", "function 'own.py:f': SystemExit: 3"),
        ("import no_such", "own.py:f", "function 'own.py:f': ModuleNotFoundError: No module named"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_one_line(
    content: str | None,
    place: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(place.partition(":")[0]).write_text(content)
    with pytest.raises(RosettaError) as error:
        load_function(place, key="function")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
