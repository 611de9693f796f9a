"""Ids of concepts: their definition, lookup by number and id, and the errors of unknown ones."""

import numpy as np
import pandas as pd
import pytest
from made_up import make_up

from rosetta_core.errors import RosettaError
from rosetta_core.mining.matching.concept_ids import concept_ids, find_concept
from rosetta_core.mining.matching.concepts import representative_neurons, representative_units
from rosetta_core.mining.named_tables import concepts_table, rosetta_table

ROWS = [  # concept, pivot unit, model, unit, corr
    (0, 3, "x", 1, 0.9), (0, 3, "y", 4, 0.5), (0, 5, "x", 2, 0.8), (0, 5, "x", 3, 0.2),
    (0, 5, "y", 1, 0.8), (1, 2, "x", 0, 0.4), (1, 2, "y", 0, 0.4),
]  # fmt: skip
ROSETTA = pd.DataFrame(ROWS, columns=["concept", "pivot_unit", "model", "unit", "corr"])
UNITS = pd.DataFrame({"unit": range(6), "layer": list("aaabbb"), "channel": [0, 1, 2, 0, 1, 2]})
RUN = {"run": "tiny", "pivot": "g", "rosetta": ROSETTA, "units": UNITS}


def test_the_id_is_the_layer_and_channel_of_the_representative_neuron() -> None:
    assert concept_ids(ROSETTA, UNITS) == ["b/2", "a/2"]


@pytest.mark.parametrize("seed", range(5))
def test_representative_neurons_are_those_of_every_concept_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        (neuron // 4, neuron, model, unit, np.float32(rng.integers(1, 5) / 5))  # many ties
        for neuron in rng.permutation(20).tolist()
        for model in ("x", "y")
        for unit in range(rng.integers(1, 4))
    ]
    table = pd.DataFrame(rows, columns=ROSETTA.columns)
    neurons = representative_neurons(table)
    assert neurons.index.tolist() == list(range(5))
    for concept, members in table.groupby("concept"):
        assert representative_units(members, pivot="g")["g"] == neurons[concept]


@pytest.mark.parametrize(
    ("concept", "number"),
    [(0, 0), (np.int32(1), 1), ("b/2", 0), ("a/2", 1), ("g/a/2", 1), ("g/b/2", 0)],
)
def test_a_concept_is_found_by_its_number_and_its_id(concept: int | str, number: int) -> None:
    found = find_concept(concept, **RUN)
    assert found == number and type(found) is int


@pytest.mark.parametrize(
    ("concept", "message"),
    [
        (2, "there is no concept 2; use 0 to 1"),
        (-1, "there is no concept -1"),
        (True, "True is not the number or the id"),
        (1.0, "1.0 is not the number or the id"),
        (None, "None is not the number or the id"),
        (["b/2"], "is not the number or the id"),
        ("b/3", "did you mean 'b/2'"),
        ("B/2", "did you mean 'b/2' or 'a/2'"),
        ("g/b/1", "there is no concept 'g/b/1'"),
        ("x/b/2", "there is no concept 'x/b/2'"),
        ("b/0", "this unit is a neuron of concept 0 ('b/2')"),
        ("g/b/0", "this unit is a neuron of concept 0 ('b/2')"),
        ("0", "there is no concept '0'; use a concept_id, or 0 to 1"),
        ("", "there is no concept ''"),
        ("b/2\n\x1b[31m", "\\n\\x1b[31m"),
    ],
)
def test_an_unknown_concept_is_one_line(concept: object, message: str) -> None:
    with pytest.raises(RosettaError) as raised:
        find_concept(concept, **RUN)
    assert message in str(raised.value) and str(raised.value).isprintable()


def test_a_run_without_concepts_says_so() -> None:
    empty = {**RUN, "rosetta": ROSETTA.iloc[:0]}
    for concept in (0, "b/2"):
        with pytest.raises(RosettaError, match="the run has no concepts"):
            find_concept(concept, **empty)


def test_a_concept_without_neurons_is_refused() -> None:
    with pytest.raises(RosettaError, match="concept 0 has no Rosetta neurons"):
        concept_ids(ROSETTA[ROSETTA["concept"] == 1], UNITS)


@pytest.mark.parametrize("concepts", [0, 3])
def test_tables_carry_the_ids_of_concepts(concepts: int) -> None:
    tables = make_up(["g", "x", "y"], concepts=concepts, layers=["a", "b"], channels=4).tables
    table, rows = concepts_table(tables), rosetta_table(tables)
    assert table["concept_id"].tolist() == [f"a/{unit}" for unit in range(concepts)]
    assert rows["concept_id"].tolist() == [f"a/{unit}" for unit in rows["concept"]]
