"""Pages and tables of the documentation site that come from the repository, as MkDocs hooks.

README.md, SECURITY.md, CHANGELOG.md, the model cards, the notebooks and the docstrings of each
package become pages of the site; docs/execute.py runs the notebooks before. A comment
`<!-- generated: NAME -->` in a page is replaced with a section of the command line, the
configuration, the zoo or the list of packages. Nothing that is generated is committed.
"""

import ast
import contextlib
import io
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from rosetta_core.cli.main import all_commands, main
from rosetta_core.zoo.listing import as_markdown, entries

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "rosetta_core"
EXECUTED = ROOT / "build" / "notebooks"  # by docs/execute.py
WITHOUT_API = {"cli", "shipped", "static"}  # the command line has a page of its own
FROM_REPOSITORY = {  # page of the site: file of the repository
    "index.md": "README.md",
    "CITATION.cff": "CITATION.cff",
    "development/release-notes.md": "CHANGELOG.md",
    "explanation/security.md": "SECURITY.md",
    "reference/model-cards/dino_faces.md": "rosetta_core/zoo/shipped/dino_faces.md",
    "reference/model-cards/mae_faces.md": "rosetta_core/zoo/shipped/mae_faces.md",
    "notebooks/mine-in-memory.md": "docs/notebooks/1-mine-in-memory.ipynb",
    "notebooks/steer-with-your-own-model.md": "docs/notebooks/2-steer-with-your-own-model.ipynb",
    "notebooks/read-and-score.md": "docs/notebooks/3-read-and-score.ipynb",
}
PAGES = {file: page for page, file in FROM_REPOSITORY.items()}


# Hooks


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the pages of the packages to the navigation, under Reference."""
    reference = next(item["Reference"] for item in config.nav or [] if "Reference" in item)
    place = next(i for i, item in enumerate(reference) if "Python API" in item)
    packages = [{name: _api_page(name)} for name in packages_of_the_api()]
    overview = {"Overview": reference[place]["Python API"]}
    reference[place] = {"Python API": [overview, *packages]}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {page: read_page(ROOT / file) for page, file in FROM_REPOSITORY.items()}
    pages |= {_api_page(name): api_page(name) for name in packages_of_the_api()}
    for page, content in pages.items():
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace the comments that ask for a generated section, and links to the repository."""
    markdown = re.sub(r"<!-- generated: (\w+) -->", lambda name: SECTIONS[name[1]](), markdown)
    return with_links_of_the_site(markdown, page.file.src_uri)


# Pages from files of the repository


def read_page(file: Path) -> str:
    """Return a file of the repository as a page: of a notebook its text, code and outputs."""
    if file.suffix != ".ipynb":
        return file.read_text()
    parts = []
    for cell in json.loads((EXECUTED / file.name).read_text())["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
        else:
            parts += [f"```python\n{source}\n```", *filter(None, map(_output, cell["outputs"]))]
    return "\n\n".join(parts) + f"\n\nThis page is the notebook `{file.relative_to(ROOT)}`.\n"


def _output(output: dict[str, Any]) -> str:
    """Return an output of a cell as Markdown or HTML; nothing for progress bars and warnings."""
    if output["output_type"] == "stream":
        return "" if output["name"] == "stderr" else _as_text(output["text"])
    data = output["data"]
    if "image/png" in data:
        image = "".join(data["image/png"].split())
        return f'<img class="output" alt="figure" src="data:image/png;base64,{image}">'
    if "application/vnd.jupyter.widget-view+json" in data:
        return ""
    if "text/html" in data:
        html = "".join(data["text/html"])
        html = re.sub(r"<style.*?</style>", "", html, flags=re.S)
        lines = html.replace(' border="1" class="dataframe"', "").split("\n")  # the site's style
        return '<div class="output">\n' + "\n".join(filter(str.strip, lines)) + "\n</div>"
    return _as_text(data["text/plain"])


def _as_text(text: str | list[str]) -> str:
    return f"```text\n{''.join(text).rstrip()}\n```"


def with_links_of_the_site(markdown: str, page: str) -> str:
    """Return a page whose links to files of the repository are links to their pages.

    In the repository, and so on a code host, these links lead to the files.
    """
    folder = posixpath.dirname(FROM_REPOSITORY.get(page, f"docs/{page}"))

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, found[1]))
        target = PAGES.get(target, target.removeprefix("docs/"))
        return f"]({posixpath.relpath(target, posixpath.dirname(page) or '.')}{found[2] or ''})"

    return re.sub(r"\]\((?![a-z]+:)([^)#\s]+)(#[^)\s]*)?\)", link, markdown)


# The API, a page per package


def packages_of_the_api() -> list[str]:
    """Return the dotted names of all packages with modules, the root package first."""
    folders = sorted(file.parent for file in PACKAGE.rglob("__init__.py"))
    names = [".".join(folder.relative_to(ROOT).parts) for folder in folders]
    return [name for name in names if not WITHOUT_API & set(name.split(".")) and _modules(name)]


def _modules(package: str) -> list[str]:
    """Return the dotted names of a package's public modules; of the root package itself."""
    if package == PACKAGE.name:
        return [package, f"{package}.errors"]
    files = sorted((ROOT / package.replace(".", "/")).glob("*.py"))
    return [f"{package}.{file.stem}" for file in files if not file.stem.startswith("_")]


def _api_page(package: str) -> str:
    return f"reference/api/{package.removeprefix('rosetta_core.')}.md"


def api_page(package: str) -> str:
    """Return the page of a package: its summary, and the docstrings of its modules."""
    directives = "\n\n".join(f"::: {module}" for module in _modules(package))
    return f"# {package}\n\n{_summary(package)}\n\n{directives}\n"


def _summary(package: str) -> str:
    tree = ast.parse((ROOT / package.replace(".", "/") / "__init__.py").read_text())
    return (ast.get_docstring(tree) or "").partition("\n")[0]


def list_of_packages() -> str:
    """Return a table of the packages with the first lines of their docstrings."""
    rows = [
        f"| [`{name}`]({_api_page(name).removeprefix('reference/')}) | {_summary(name)} |"
        for name in packages_of_the_api()
    ]
    return "\n".join(["| package | content |", "|---|---|", *rows])


# The command line


def command_line() -> str:
    """Return the help of `rosetta` and of its commands."""
    sections = [_help([])]
    for command in all_commands():
        sections.append(f"## {command}\n\n{_help([command])}")
    return "\n\n".join(sections)


def _help(arguments: list[str]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([*arguments, "--help"])
    return f"```text\n{printed.getvalue().strip()}\n```"


# The configuration


def configuration() -> str:
    """Return tables of all keys of the configuration, from its JSON schema."""
    schema = json.loads((ROOT / "workflow" / "config.schema.json").read_text())
    definitions = schema["$defs"]
    sections = {name: value for name, value in schema["properties"].items() if _reference(value)}
    plain = {k: v for k, v in schema["properties"].items() if k not in sections}
    parts = [_table(plain)]
    shown: set[str] = set()
    queue = [(name, name, _reference(value)) for name, value in sections.items()]
    while queue:
        path, heading, definition = queue.pop(0)
        if definition in shown:
            continue
        shown.add(definition)
        described = _object(definitions[definition])
        keys = described.get("properties", {})
        about = schema["properties"].get(path, {}).get("description") or described["description"]
        parts.append(f"## {heading}\n\n{_sentence(about)}\n\n{_table(keys)}")
        for key, value in keys.items():
            forms = list(dict.fromkeys(_references(value)))
            for form in forms:
                name = f"{path}.{key}"
                by = f" with {_object(definitions[form])['required'][0]}" if len(forms) > 1 else ""
                queue.append((name, f"{name}{by}", form))
    return "\n\n".join(parts)


def _object(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the form of a definition that has keys; of several forms the last."""
    if "properties" in definition:
        return definition
    forms = [form for form in definition.get("anyOf", []) if "properties" in form]
    return forms[-1] if forms else definition


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].rpartition("/")[2]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def _reference(value: dict[str, Any]) -> str:
    return next(_references(value), "")


def _table(properties: dict[str, Any]) -> str:
    rows = [
        f"| `{key}` | {_type(value)} | {_default(value)} | {_cell(value.get('description', ''))} |"
        for key, value in properties.items()
    ]
    return "\n".join(["| key | type | default | meaning |", "|---|---|---|---|", *rows])


def _type(value: dict[str, Any]) -> str:
    if "$ref" in value:
        return "section"
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return " or ".join(f"`{one}`" for one in value["enum"])
    if forms := value.get("anyOf") or value.get("oneOf"):
        return " or ".join(dict.fromkeys(map(_type, forms)))
    if value.get("type") == "array":
        return f"list of {_type(value.get('items', {}))}"
    return {"object": "mapping", "integer": "integer", "null": "null"}.get(
        value.get("type", ""), value.get("type", "any")
    ) + _bounds(value)


def _bounds(value: dict[str, Any]) -> str:
    low, high = value.get("minimum"), value.get("maximum")
    parts = [f"≥ {low}" if low is not None else "", f"≤ {high}" if high is not None else ""]
    if "exclusiveMinimum" in value:
        parts.append(f"> {value['exclusiveMinimum']}")
    if value.get("exclusiveMaximum", 2**63) < 2**63:
        parts.append(f"< {value['exclusiveMaximum']}")
    bounds = ", ".join(filter(None, parts))
    return f" ({bounds})" if bounds else ""


def _default(value: dict[str, Any]) -> str:
    return f"`{json.dumps(value['default'])}`" if "default" in value else ""


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("*", r"\*")


def _sentence(text: str | None) -> str:
    text = (text or "").strip()
    return text[:1].upper() + text[1:].rstrip(".") + "." if text else ""


# The zoo


def zoo() -> str:
    """Return the table of `rosetta zoo --markdown`, with links as from docs/reference."""
    table = as_markdown(entries(ROOT / "resources"))
    return re.sub(r"\]\([^)]*/(rosetta_core/zoo/shipped/\w+\.md)\)", r"](../../\1)", table)


SECTIONS = {
    "command_line": command_line,
    "configuration": configuration,
    "packages": list_of_packages,
    "zoo": zoo,
}
