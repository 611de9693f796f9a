"""Nothing that others wrote is run, unpacked or read by a shell."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from pydantic import TypeAdapter, ValidationError

from rosetta_core.validation import Folder, Name

RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))
SOURCES = sorted((ROOT / "rosetta_core").rglob("*.py"))
# in a shell's command without quotes: names of models and jobs, numbers, and what is made of them
PLAIN = {"wildcards.model", "wildcards.shard", "wildcards.null", "threads"}
PLAIN |= {"params.job", "params.members", "params.block"}
FORBIDDEN = {
    *("eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler"),
    *("yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "marshal.loads"),
    *("shelve.open", "joblib.load", "tarfile.open", "shutil.unpack_archive"),
}


def placeholders(text: str) -> list[str]:
    """The placeholders of a file's shell commands, which `command` of common.smk makes, or not."""
    texts = re.findall(r"""shell:\n((?:\s+['"].*['"]\n)+)""", text)
    texts += re.findall(r"shell:\n\s+command\(([^)]*)\)", text)
    names = [name for shell in texts for name in re.findall(r"\{([a-z][^{}]*)\}", shell)]
    return names + re.findall(r"\{\{([^{}]+)\}\}", text)  # in the f-string of `command`


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_rules_quote_what_could_be_more_than_a_word(path: Path) -> None:
    names = placeholders(path.read_text())
    assert not [name for name in names if not name.endswith(":q") and name not in PLAIN]


def test_commands_of_rules_are_read() -> None:
    names = [name for path in RULES for name in placeholders(path.read_text())]
    assert {"wildcards.model", "params.config:q", "log:q", "output:q", "params.job"} <= set(names)


def test_what_rules_do_not_quote_are_words_to_a_shell() -> None:
    """Names of models and jobs can't hold a letter that a shell reads as anything else."""
    name = TypeAdapter(Name)
    taken = ""
    for letter in map(chr, range(0x250)):
        for text in (f"a{letter}b", f"{letter}a", f"a{letter}"):
            try:
                name.validate_python(text)
            except ValidationError:
                continue
            taken += letter
            assert shlex.quote(text) == text
            assert not text.startswith("-")
    assert set("aZ09_.-") <= set(taken)


@pytest.mark.parametrize("text", ["-x", "a'b", 'a"b', "a\\b", "{a}", "a\nb", "a*", "a?", "~/a", ""])
def test_folders_that_quotes_would_not_save(text: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Folder).validate_python(text)


def unsafe(tree: ast.Module) -> Iterator[str]:
    """Calls that run, unpickle or unpack what they are given, or hand it to a shell."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        options = {key.arg: ast.unparse(key.value) for key in node.keywords}
        if called in FORBIDDEN or called.endswith((".extractall", ".extract")):
            yield called
        if called == "torch.load" and options.get("weights_only") != "True":
            yield called
        if options.get("shell", "False") != "False" or options.get("allow_pickle") == "True":
            yield called


@pytest.mark.parametrize(
    "code",
    [
        "eval(text)",
        "pickle.load(file)",
        "torch.load(path)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
        "zipfile.ZipFile(path).extractall()",
        "yaml.load(text, Loader)",
    ],
)
def test_unsafe_calls_are_seen(code: str) -> None:
    assert list(unsafe(ast.parse(code)))


def test_no_source_has_an_unsafe_call() -> None:
    """The reader of archives is tested with unsafe members (test_image_sets.py)."""
    assert len(SOURCES) > 100
    found = {path.name: list(unsafe(ast.parse(path.read_text()))) for path in SOURCES}
    assert {name: calls for name, calls in found.items() if calls} == {"tars.py": ["tarfile.open"]}
