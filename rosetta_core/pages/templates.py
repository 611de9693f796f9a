"""Templates and the shared style of pages that are written once, without scripts."""

import shutil
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["copy_style", "render"]

STATIC = Path(__file__).parent / "static"


def render(folder: Path, page: str, **values: object) -> None:
    """Write `index.html` from a template, and the styles it uses, into a folder.

    All text is escaped.

    Args:
        folder: existing folder of the page.
        page: name of the template, and of its style, in `static/`.
        **values: values of the template.

    Raises:
        jinja2.UndefinedError: the template uses a value that is missing.
    """
    environment = Environment(
        loader=FileSystemLoader(STATIC),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template(f"{page}.html").render(**values)
    (folder / "index.html").write_text(text, encoding="utf-8")
    copy_style(folder, page)


def copy_style(folder: Path, *more: str) -> None:
    """Copy `style.css`, which all pages share, and the styles of single pages into a folder."""
    for name in ("style", *more):
        shutil.copyfile(STATIC / f"{name}.css", folder / f"{name}.css")
