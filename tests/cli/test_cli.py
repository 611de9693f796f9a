"""Commands, their help and their errors."""

import io
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, tiny

from rosetta_core.cli.main import all_commands, main
from rosetta_core.config import parse_config
from rosetta_core.stages.tools.prepare import write_config


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(tiny(results=str(tmp_path / "results"))))
    return path


def test_list_layers(config: Path, capsys) -> None:
    assert main(["list-layers", "mobilenet_v2", "--config", str(config)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["layer", "units", "map", "bytes", "per", "image"]
    assert lines[1].split() == ["features.2.conv.1.2", "96", "56×56", "602,112"]
    assert lines[-1].startswith("2 layers, 672 units, 658,560 bytes per image")


def test_a_locale_without_the_letters_of_an_output(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with LC_ALL=C and PYTHONUTF8=0."""
    printed = io.BytesIO()
    stream = io.TextIOWrapper(printed, encoding="ascii", errors="surrogateescape")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["list-layers", "mobilenet_v2", "--config", str(config)]) == 0
    stream.flush()
    assert b"56\\xd756" in printed.getvalue()


def test_list_layers_all(config: Path, capsys) -> None:
    assert main(["list-layers", "mtcnn_onet", "--all", "--config", str(config)]) == 0
    out = capsys.readouterr().out
    assert "conv4" in out
    assert "dense6_2" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["activations", "dcgan", "--shard", "00000"], "no readable manifest"),
        (["units", "dcgan"], "no readable manifest"),
        (["neighbours", "dcgan"], "dcgan--dcgan.zarr"),
        (["concepts"], "no readable table; run the stage that writes it"),
        (["unit-examples", "dcgan"], "no readable manifest"),
        (["concept-examples"], "no readable table"),
        (["layers"], "is missing; run the stage that writes it"),
        (["dictionary"], "no readable table"),
        (["costs"], "not a readable benchmark"),
    ],
)
def test_missing_inputs_are_an_error_of_one_line(
    config: Path, arguments, message: str, capsys, weights
) -> None:
    assert main([*arguments, "--config", str(config)]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.splitlines()[-1].startswith("rosetta: ")
    assert "Traceback" not in err
    assert not [path for path in (config.parent / "results").rglob("*") if path.is_file()]


def test_configure(tmp_path: Path) -> None:
    content = tiny(results=str(tmp_path / "r"))
    write_config(parse_config(content))
    assert yaml.safe_load((tmp_path / "r/tiny/config.yaml").read_text()) == content


GROUPS = {
    "run": (
        *("check", "plan", "mine", "fetch", "list-layers", "zoo", "convert", "train"),
        *("defaults", "schema"),
    ),
    "inspect": ("where", "figure", "export", "verify", "compare", "translate", "score"),
    "steer": ("steer",),
    "stages (called by the workflow)": (
        *("sample", "activations", "units", "correlations", "join", "neighbours", "concepts"),
        *("null-models", "pair-statistics", "significance", "sweep", "sweep-curves"),
        *("unit-examples", "concept-examples", "layers", "steering-pages", "dictionary"),
        *("costs", "provenance", "fetch-file"),
    ),
}


def help_of(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as exit:
        main([*arguments, "--help"])
    assert exit.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [70, 200])
def test_help_lists_all_commands_in_groups(columns: int, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = help_of(capsys=capsys).splitlines()
    assert lines[0] == "usage: rosetta [--version] COMMAND ..."
    assert max(map(len, lines)) < columns
    assert " ".join(lines).partition("exit codes: ")[2].startswith("0 success; 1 out of disk")
    listed: dict[str, list[str]] = {}
    group = ""
    for line in lines[: next(i for i, line in enumerate(lines) if line.startswith("exit codes"))]:
        label = line.partition(":")[0]
        if label in GROUPS:
            group = label
        if group and line[10:11].strip() and not line.startswith("stages"):
            listed.setdefault(group, []).append(line[10:].split()[0])
    assert {group: tuple(names) for group, names in listed.items()} == GROUPS
    assert {name for names in GROUPS.values() for name in names} == set(all_commands())


@pytest.mark.parametrize("name", all_commands())
def test_every_command_has_help(name: str, capsys) -> None:
    summary = all_commands()[name].summary
    assert not summary[0].isupper() and not summary.endswith(".")
    text = help_of(name, capsys=capsys)
    assert text.startswith(f"usage: rosetta {name} ")
    assert summary[1:].split()[0] in text
    for argument in all_commands()[name].arguments:
        assert argument.options["help"]


def test_stage_arguments_have_the_defaults_of_their_function() -> None:
    parsed = all_commands()["sweep"].parser().parse_args(["dcgan"])
    assert (parsed.model, parsed.images, parsed.largest_k) == ("dcgan", None, 20)
    parsed = all_commands()["correlations"].parser().parse_args(["a", "b", "--block", "3"])
    assert (parsed.models, parsed.block) == (["a", "b"], 3)
    assert all_commands()["correlations"].parser().parse_args(["a"]).block is None


def test_version(capsys) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert exit.value.code == 0
    assert capsys.readouterr().out == f"rosetta {version('rosetta-core')}\n"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("dictionnary", "dictionary"), ("neighbors", "neighbours"), ("list_layers", "list-layers")],
)
def test_an_unknown_command_suggests_one(word: str, hint: str, capsys) -> None:
    with pytest.raises(SystemExit) as exit:
        main([word])
    assert exit.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith(f"rosetta: unknown command '{word}' (did you mean '{hint}'")
    assert err.endswith("; see rosetta --help\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "light",
    [
        "from rosetta_core.cli.main import main; main(['defaults'])",
        "from rosetta_core.mining.examples import layers; from rosetta_core.pages import figures; "
        "from rosetta_core.pages.dictionary import site",
    ],
)
def test_light_commands_do_not_import_torch(light: str) -> None:
    script = f"import sys; {light}; sys.exit(bool({{'torch', 'scipy.stats'}} & {{*sys.modules}}))"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_closed_pipe() -> None:
    command = f"{sys.executable} -m rosetta_core schema | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("imported", ["argparse", "yaml", "pydantic"])
def test_interrupt_during_imports(imported: str) -> None:
    # a shell that starts the tests in the background has Ctrl-C ignored, and children inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = [sys.executable, "-X", "importtime", "-m", "rosetta_core", "defaults"]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.split("|")[-1].strip().startswith(imported):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    printed = [line for line in rest.splitlines() if not line.startswith("import time:")]
    assert printed == ["rosetta: interrupted"]
    assert process.returncode == 130
