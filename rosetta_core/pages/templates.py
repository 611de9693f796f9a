"""Pages that are written from a template, once.

templates    those of a folder
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["templates"]


def templates(folder: Path) -> Environment:
    """Return the templates of a folder: all text is escaped, and what isn't given is an error."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
