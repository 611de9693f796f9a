"""What every page needs: the models, and of each concept what its card and the filters show.

index_data    the run, its models and concepts; small, since it is loaded first
search_data   the units of all concepts, loaded when someone looks for one
"""

import base64
from typing import Any

import numpy as np

from rosetta_core.drawing.heatmap import SCALES, colours
from rosetta_core.mining.examples.concept_store import ConceptExamples
from rosetta_core.pages.dictionary.lookup import unit_concepts
from rosetta_core.pages.dictionary.unit_data import UNITS_PER_FILE
from rosetta_core.pages.packed import thousandths
from rosetta_core.runs.run_tables import RunTables

__all__ = ["index_data", "search_data"]


def index_data(
    findings: RunTables, examples: ConceptExamples, *, pages: list[int], missing: list[int]
) -> dict[str, Any]:
    """Return the content of `data/index.js`.

    Args:
        findings: the run's tables.
        examples: the concepts on all images.
        pages: the images that have a page.
        missing: the images of which there is no picture.
    """
    rosetta, concepts = findings.rosetta, findings.concepts
    by_model = rosetta.groupby(["model", "concept"])["corr"].mean()
    return {
        "run": findings.run,
        "images": findings.images,
        "seed": findings.seed,
        "truncation": findings.truncation,
        "folder": findings.folder,
        "k": findings.k,
        "neurons": int(rosetta["pivot_unit"].nunique()),
        "pages": pages,
        "missing": missing,
        "unitsPerFile": UNITS_PER_FILE,
        "models": [_model(findings, number) for number in range(len(findings.models))],
        "concepts": {
            "size": concepts["size"].tolist(),
            "mean": thousandths(concepts["mean_corr"]),
            "min": thousandths(concepts["min_corr"]),
            "representative": examples.representative.T.tolist(),
            **_told(findings),
            "corr": [
                thousandths(by_model[model].reindex(concepts["concept"])) if len(concepts) else []
                for model in findings.encoders
            ],
        },
        "scales": {
            name: base64.b64encode((255 * colours(name)).round().astype(np.uint8).tobytes()).decode(
                "ascii"
            )
            for name in SCALES
        },
    }


def _told(findings: RunTables) -> dict[str, Any]:
    """What is told of the concepts; nothing of what isn't known."""
    if findings.significance is None:
        return {}
    found = findings.significance.concepts.set_index("concept").reindex(
        findings.concepts["concept"]
    )
    columns = {"excess": "corr_excess", "p": "p_value", "replication": "recovery_rate"}
    columns["peak_overlap"] = "peak_overlap"
    return {
        key: thousandths(found[column])
        for key, column in columns.items()
        if found[column].notna().any()
    }


def _model(findings: RunTables, number: int) -> dict[str, Any]:
    facts, pivot = findings.models[number], findings.pivot
    units, pairs = findings.units[facts.name], findings.best_buddies[facts.name]
    layers = units.groupby("layer", sort=False)
    table = layers.agg(channels=("channel", "size"), h=("height", "first"), w=("width", "first"))
    return {
        "name": facts.name,
        "network": facts.network,
        "source": facts.source,
        "licence": facts.licence,
        "random": facts.random,
        "layers": [[row.Index, row.channels, row.h, row.w] for row in table.itertuples()],
        "dead": int((~units["alive"]).sum()),
        "pairs": len(pairs) // 2 if facts.name == pivot else len(pairs),
        "matched": int(pairs["pivot_unit"].nunique()),
    }


def search_data(findings: RunTables) -> list[dict[str, list[int]]]:
    """Return the content of `data/search.js`: by model its units in concepts, and those concepts.

    A unit stands there once for every concept that it is in.
    """
    found = []
    for model in findings.names:
        rows = [(u, c) for u, its in unit_concepts(findings, model).items() for c in its]
        found.append({"units": [u for u, _ in rows], "concepts": [c for _, c in rows]})
    return found
