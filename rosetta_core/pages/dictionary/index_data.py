"""Data that every page needs: the run, its models, and the cards of all concepts."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from rosetta_core.drawing.heatmap import SCALES, colours
from rosetta_core.mining.examples.stores import ConceptExamples
from rosetta_core.mining.run_tables import RunTables
from rosetta_core.mining.significance.null_models import null_model
from rosetta_core.pages.data_files import rounded
from rosetta_core.pages.dictionary import verdict
from rosetta_core.pages.dictionary.columns import TABLES, column_data, encode, present
from rosetta_core.pages.dictionary.concept_data import pair_columns
from rosetta_core.pages.dictionary.lookup import unit_concepts
from rosetta_core.pages.dictionary.unit_data import UNITS_PER_FILE

__all__ = ["concept_table", "index_data", "null_concepts", "search_data"]


def index_data(tables: RunTables, examples: ConceptExamples) -> dict[str, Any]:
    """Return the content of `data/index.js`, which is loaded first and kept small.

    Args:
        tables: tables of the run.
        examples: representative units and scores of the concepts.
    """
    rosetta, concepts = tables.rosetta, concept_table(tables)
    by_model = rosetta.groupby(["model", "concept"])["corr"].mean()
    columns = {
        **TABLES,
        "concepts": present(concepts, TABLES["concepts"]),
        "pairs": pair_columns(tables),
    }
    return {
        "run": tables.run,
        "images": tables.images,
        "seed": tables.seed,
        "truncation": tables.truncation,
        "folder": tables.folder,
        "k": tables.k,
        "neurons": int(rosetta["pivot_unit"].nunique()),
        "unitsPerFile": UNITS_PER_FILE,
        "models": [_model(tables, number) for number in range(len(tables.models))],
        "columns": {name: column_data(group) for name, group in columns.items()},
        "concepts": encode(concepts, columns["concepts"]),
        "representatives": examples.representative.T.tolist(),
        "encoderCorr": [
            rounded(by_model[model].reindex(concepts["concept"])) if len(concepts) else []
            for model in tables.encoders
        ],
        "nullModels": [
            {"name": name, "description": null_model(name).description}
            for name in null_concepts(tables)
        ],
        "thresholds": {
            "maxPValue": verdict.MAX_P_VALUE,
            "minExcessShare": verdict.MIN_EXCESS_SHARE,
            "minRecoveryRate": verdict.MIN_RECOVERY_RATE,
        },
        "scales": {
            name: base64.b64encode((255 * colours(name)).round().astype(np.uint8).tobytes()).decode(
                "ascii"
            )
            for name in SCALES
        },
    }


def concept_table(tables: RunTables) -> pd.DataFrame:
    """Return the table of concepts joined with their significance, one row per concept."""
    if tables.significance is None:
        return tables.concepts
    known = [column for column in tables.significance.concepts if column not in tables.concepts]
    significance = tables.significance.concepts[["concept", *known]]
    return tables.concepts.merge(significance, on="concept", how="left", validate="one_to_one")


def null_concepts(tables: RunTables) -> Mapping[str, int]:
    """Return by null model of the run the number of concepts found under it."""
    if tables.significance is None or tables.significance.null_counts is None:
        return {}
    counts = tables.significance.null_counts
    rows = counts[counts["level"] == "concepts"]
    return dict(zip(rows["null"].tolist(), rows["n_null"].astype(int).tolist(), strict=True))


def _model(tables: RunTables, number: int) -> dict[str, Any]:
    facts, pivot = tables.models[number], tables.pivot
    units, pairs = tables.units[facts.name], tables.best_buddies[facts.name]
    layers = units.groupby("layer", sort=False)
    layers = layers.agg(channels=("channel", "size"), h=("height", "first"), w=("width", "first"))
    return {
        "name": facts.name,
        "network": facts.network,
        "source": facts.source,
        "licence": facts.licence,
        "random": facts.random,
        "layers": [[row.Index, row.channels, row.h, row.w] for row in layers.itertuples()],
        "dead": int((~units["alive"]).sum()),
        "pairs": len(pairs) // 2 if facts.name == pivot else len(pairs),
        "matched": int(pairs["pivot_unit"].nunique()),
    }


def search_data(tables: RunTables) -> list[dict[str, list[int]]]:
    """Return the content of `data/search.js`: by model its units in concepts, and the concepts.

    A unit is listed once for every concept that contains it.
    """
    content = []
    for model in tables.names:
        rows = [
            (unit, concept)
            for unit, concepts in unit_concepts(tables, model).items()
            for concept in concepts
        ]
        content.append({"units": [u for u, _ in rows], "concepts": [c for _, c in rows]})
    return content
