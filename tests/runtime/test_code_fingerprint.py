"""A stage's fingerprint follows its code and what it imports, and nothing else."""

from pathlib import Path

import pytest

from rosetta_core.runtime import code_fingerprint as module
from rosetta_core.runtime.code_fingerprint import code_fingerprint, imported_modules
from rosetta_core.zoo.registry import FAMILIES


@pytest.fixture
def package(tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "rosetta_core"
    folder.mkdir()
    (folder / "__init__.py").write_text("from rosetta_core import a\n")
    (folder / "a.py").write_text(
        '"""A."""\nfrom rosetta_core.b import f\n\ndef g():\n    return f()\n'
    )
    (folder / "b.py").write_text("import numpy\n\ndef f():\n    return 1\n")
    (folder / "c.py").write_text("x = 1\n")
    (folder / "config.py").write_text("y = 1\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return folder


def changed(package: Path, file: str, text: str) -> bool:
    module._read.cache_clear()
    before = code_fingerprint("rosetta_core.a")
    (package / file).write_text(text)
    module._read.cache_clear()
    return code_fingerprint("rosetta_core.a") != before


def test_comments_docstrings_and_layout_do_not_count(package: Path) -> None:
    text = (
        '"""Other."""\n# why\nfrom rosetta_core.b import f\ndef g():\n  """Doc."""\n  return f()\n'
    )
    assert not changed(package, "a.py", text)


def test_code_and_imported_code_count(package: Path) -> None:
    assert changed(package, "b.py", "import numpy\n\ndef f():\n    return 2\n")
    assert changed(package, "a.py", "from rosetta_core.b import f\n\ndef g():\n    return -f()\n")


def test_other_modules_and_the_configuration_do_not_count(package: Path) -> None:
    (package / "b.py").write_text("from rosetta_core.config import y\n")
    assert not changed(package, "c.py", "x = 2\n")
    assert not changed(package, "config.py", "y = 2\n")


def test_static_files_count_as_code_of_their_package(package: Path) -> None:
    static = package / "pages" / "static"
    (static / "deeper").mkdir(parents=True)
    (package / "pages" / "__init__.py").write_text("")
    (package / "a.py").write_text("import rosetta_core.pages\n")
    for file in ("x.html", "deeper/x.js"):
        (static / file).write_text("one")
        assert changed(package, f"pages/static/{file}", "two")
    assert changed(package, "pages/static/new.js", "")


@pytest.mark.parametrize(
    "imports",
    [
        "try:\n    import nothing\nexcept ImportError:\n    from rosetta_core import c\n",
        "if False:\n    import os\nelse:\n    import rosetta_core.c\n",
        "def f():\n    from rosetta_core.c import x\n",
        "match 1:\n    case 1:\n        from rosetta_core.c import x\n",
        "for i in ():\n    pass\nelse:\n    from rosetta_core.c import x\n",
        "with open():\n    from rosetta_core.c import x\n",
    ],
)
def test_imports_in_every_branch_are_followed(package: Path, imports: str) -> None:
    (package / "a.py").write_text(imports)
    assert changed(package, "c.py", "x = 2\n")


def test_imports_for_types_alone_are_not_followed(package: Path) -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from rosetta_core.c import x\n"
    (package / "a.py").write_text(text)
    assert not changed(package, "c.py", "x = 2\n")
    assert changed(package, "a.py", text + "else:\n    from rosetta_core.c import x\n")
    assert changed(package, "c.py", "x = 3\n")


def test_packages_around_a_module_count(package: Path) -> None:
    (package / "deep").mkdir()
    (package / "deep" / "__init__.py").write_text("z = 1\n")
    (package / "deep" / "d.py").write_text("")
    (package / "a.py").write_text("import rosetta_core.deep.d\n")
    assert changed(package, "deep/__init__.py", "z = 2\n")
    assert changed(package, "__init__.py", "z = 2\n")


def test_one_family_does_not_touch_another() -> None:
    read = imported_modules("rosetta_core.mining.sources.recording", "rosetta_core.zoo.loading")
    assert not read & {family.module_name for family in FAMILIES.values()}
