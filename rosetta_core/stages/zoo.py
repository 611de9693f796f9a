"""The stage that says what the zoo holds; not part of the workflow, and of no run.

zoo    the table of the published models

Imports stand inside the function: torch takes seconds.
"""

from pathlib import Path

__all__ = ["zoo"]


def zoo(resources: Path, *, markdown: bool = False) -> str:
    """Return the table of the published models as text, or as it stands in docs/zoo.md.

    Nothing is fetched. What is worked out of shapes, half a minute the first time, is kept under
    `resources`.
    """
    from rosetta_core.zoo.listing import as_markdown, as_text, entries

    found = entries(resources)
    return as_markdown(found) if markdown else as_text(found)
