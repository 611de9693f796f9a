"""Text from outside is escaped before it reaches a terminal or a log."""

import ast
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from checkout import ROOT
from PIL import Image

from rosetta_core.cli.command import fail, show
from rosetta_core.cli.main import main
from rosetta_core.errors import RosettaError, one_line
from rosetta_core.runtime.failures import explain_failure
from rosetta_core.runtime.progress import EscapeFilter, Progress, log

HOSTILE = {
    "colour": "a\x1b[31mb",
    "title": "\x1b]0;owned\x07",
    "clipboard": "\x1b]52;c;cm0gLXJm\x07",
    "8-bit escape": "\x9b31mb",
    "carriage return": "a\rb",
    "backspace": "a\b\b",
    "newline": "a\n12:00:00 wrote results",
    "vertical tab": "a\x0bb\x0cc",
    "separators": "a\u2028b\u2029c\x85d",
    "bidi override": "a\u202etxt.exe",
    "bidi isolate": "a\u2066b\u2069",
    "invisible": "a\u200b\ufeffb",
    "tag": "a\U000e0041b",
    "null": "a\0b",
    "surrogate": "a\udc80b",
}
SAFE = pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)


def check(printed: str, text: str) -> None:
    """Require one line of printable characters, which still shows what there was."""
    assert printed.endswith("\n")
    assert printed[:-1].isprintable(), repr(printed)
    assert "\\" in printed and text not in printed


def test_endless_errors_are_cut_in_the_middle(capsys) -> None:
    """What to do stands at the end."""
    assert fail(f"a.yaml: {'9' * 10**6} is wrong; correct it", 2) == 2
    printed = capsys.readouterr().err
    assert len(printed) < 2100
    assert printed.startswith("rosetta: a.yaml: 99") and printed.endswith(" is wrong; correct it\n")


@SAFE
def test_errors(capsys, text: str) -> None:
    assert fail(f"{text}: wrong", 2) == 2
    check(capsys.readouterr().err, text)


@SAFE
def test_lines_of_commands(capsys, text: str) -> None:
    show(f"{text}: damaged")
    check(capsys.readouterr().out, text)


@SAFE
@pytest.mark.parametrize("logger", ["rosetta", "timm"])
def test_log_lines(text: str, logger: str) -> None:
    """Of this package, and of libraries through the handler of the command line."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage() + "\n")  # type: ignore
    handler.addFilter(EscapeFilter())
    logging.getLogger(logger).addHandler(handler)
    try:
        logging.getLogger(logger).warning("%s: retrying", text)
        logging.getLogger(logger).warning(f"{text}: retrying".replace("%", "%%"))
    finally:
        logging.getLogger(logger).removeHandler(handler)
    for line in lines:
        check(line, text)


@SAFE
def test_our_log_lines_without_the_command_line(caplog, text: str) -> None:
    """In a notebook or in Snakemake's process, where handlers are of others."""
    log.warning("%s: retrying", text)
    check(caplog.messages[-1] + "\n", text)


def test_red_is_ours_alone(caplog, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    log.warning("%s", "a\x1b[31mb", extra={"in_red": True})
    assert caplog.messages[-1] == "\x1b[1;31ma\\x1b[31mb\x1b[0m"


@SAFE
def test_titles_of_progress(caplog, text: str) -> None:
    with caplog.at_level(logging.INFO), Progress(text, total=1) as progress:
        progress.advance()
    check(caplog.messages[-1] + "\n", text)
    assert progress.title == one_line(text)


@SAFE
def test_arguments_and_configurations(tmp_path: Path, capsys, text: str, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main([text])
    check(capsys.readouterr().err, text)
    for content in (
        {text: 1},
        {"run": text},
        {"results": f"a{text}"},
        {"pivot": {"name": text}},
        {"sampling": {"folder": text}},
        {"device": text},
        {"encoders": [{"name": "a", "family": text}]},
        {"pivot": {"name": "a", "family": "python", "target": f"a.py:{text}"}},
        {"pivot": {"name": "a", "family": "dcgan", "weights": {"file": f"a{text}"}}},
        {"encoders": [{"name": "a", "family": "timm", "architecture": text}]},
    ):
        Path("c.yaml").write_text(yaml.safe_dump(content))
        assert main(["check", "--config", "c.yaml"]) == 2
        printed = capsys.readouterr().err
        assert printed[:-1].isprintable(), repr(printed)


@pytest.mark.parametrize("kind", ["colour", "newline", "bidi override", "carriage return"])
def test_names_of_image_files(tmp_path: Path, capsys, caplog, monkeypatch, kind: str) -> None:
    """Of files that are left out, and of broken ones."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    (folder / f"b.{HOSTILE[kind]}").write_text("")
    (folder / f"c{HOSTILE[kind]}.png").write_text("")
    content = {
        "pivot": "mobilenet_v2",
        "encoders": ["efficientnet_lite0"],
        "dictionary": {"examples": 1},
        "sampling": {"images": 2, "folder": "photos"},
    }
    Path("c.yaml").write_text(yaml.safe_dump(content))
    assert main(["check", "--config", "c.yaml"]) == 2
    check(capsys.readouterr().err.splitlines(keepends=True)[-1], HOSTILE[kind])
    assert caplog.messages
    for message in caplog.messages:
        assert message.isprintable()


def test_a_traceback_has_no_escape_codes(tmp_path: Path) -> None:
    """Not even where this package has an error of its own."""
    code = (
        "import rosetta_core.cli.main as m\n"
        "def broken(_): raise KeyError('a\\x1b[31mb\\u202e')\n"
        "m.all_commands = lambda: {'x': m.Command('x', 'x', broken, 'run', reads_config=False)}\n"
        "import sys; sys.exit(m.main(['x']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "Traceback" in done.stderr
    assert done.stderr.replace("\n", "").isprintable()


def test_only_the_command_line_prints() -> None:
    """Library code logs; commands print through `show`, rules through `one_line`."""
    for source in sorted((ROOT / "rosetta_core").rglob("*.py")):
        calls = [
            node
            for node in ast.walk(ast.parse(source.read_text()))
            if isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("print", "sys.stderr.write")
        ]
        allowed = {"command.py": 2, "__main__.py": 1, "main.py": 1}
        assert len(calls) <= allowed.get(source.name, 0), source
    for rules in [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]:
        for line in rules.read_text().splitlines():
            assert "print(" not in line or "one_line(" in line, f"{rules}: {line}"


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (ImportError("libfoo.so.1: cannot open shared object file"), "libfoo.so.1: cannot open", 1),
        (ModuleNotFoundError("No module named 'timm'", name="timm"), "No module named 'timm'", 1),
        (ImportError("a.so: failed to map segment from shared object"), "out of memory", 1),
        (ImportError("libc10.so: Cannot allocate memory"), "out of memory", 1),
        (MemoryError(), "out of memory", 1),
        (OSError(24, "Too many open files", "a"), "too many open files", 1),
        (OSError(13, "Permission denied", "a"), "a: cannot be used", 2),
        (RosettaError("a: wrong"), "a: wrong", 2),
    ],
)
def test_failures_that_are_one_line(error: Exception, line: str, code: int) -> None:
    explained = explain_failure(error)
    assert explained and line in explained[0] and explained[1] == code
    assert "\n" not in explained[0]


def test_errors_of_this_package_keep_their_traceback() -> None:
    assert explain_failure(KeyError("a")) is None
