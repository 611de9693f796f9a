"""The reference of errors quotes messages that the package has."""

import ast
import re

from checkout import ROOT

REFERENCE = (ROOT / "docs/reference/errors.md").read_text()
MESSAGES = [
    message
    for row in re.findall(r"^\| (`.*?) \|", REFERENCE, re.MULTILINE)
    for message in re.findall(r"`([^`]+)`", row)
]


def texts() -> str:
    """All text of the package's strings, a line each; values of f-strings are `…`."""
    lines = []
    for file in (ROOT / "rosetta_core").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]
                lines.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                lines.append(node.value)
    return "\n".join(lines)


def test_messages_exist() -> None:
    found = texts()
    assert len(MESSAGES) >= 20
    missing = [m for m in MESSAGES if not re.search(re.escape(m).replace("…", ".+"), found)]
    assert not missing
