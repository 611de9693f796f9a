"""Concepts of two runs are matched by shared encoder units; significance by permutation."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import NO_JOBS, Checkout, tiny
from made_up_runs import CONCEPTS, MODELS, UNITS, WIDTH, random_run, rosetta, side, unit_table

from rosetta_core.cli.main import main
from rosetta_core.config import parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.io.tables import read_table, write_table
from rosetta_core.mining.matching.cross_run import MAX_P_VALUE, match_concepts
from rosetta_core.pages.cross_run_page import EXAMPLES, write_cross_run_page
from rosetta_core.runs.finished.shared_encoders import RunEncoders, shared_encoders
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.tools.translate import significant_rosetta

DRAWS = 300


def planted(seed: int, concepts: range) -> pd.DataFrame:
    """A random run whose concepts have half of their units of the run of seed 0."""
    known, own = random_run(0), random_run(seed)
    kept = known[known["concept"].isin(concepts)]
    kept = kept.groupby(["concept", "model"]).head(3)
    rest = own.groupby(["concept", "model"]).head(3)
    return pd.concat([kept, rest]).drop_duplicates(["concept", "model", "unit"])


def keys(table: pd.DataFrame) -> set[tuple[int, int]]:
    return set(zip(table["concept_a"], table["concept_b"], strict=True))


def test_shared_units_and_overlap_are_counted_by_hand() -> None:
    one = rosetta([(0, "e", 1), (0, "e", 2), (0, "f", 7), (1, "e", 3)])
    other = rosetta([(4, "e", 2), (4, "e", 5), (4, "f", 7), (6, "f", 9)])
    found = match_concepts(one, other, units=UNITS, permutations=DRAWS)
    (pair,) = found.pairs.itertuples()
    assert (pair.concept_a, pair.concept_b, pair.n_shared, pair.n_encoders) == (0, 4, 2, 2)
    assert list(pair.n_shared_by_encoder) == [1, 1]
    assert pair.jaccard == pytest.approx((1 / 3 + 1) / 2)
    assert found.shared_units[
        ["model", "unit", "pivot_unit_a", "pivot_unit_b"]
    ].to_numpy().tolist() == [
        ["e", 2, 100, 104],
        ["f", 7, 100, 104],
    ]
    n_null = found.counts.set_index(["level", "model"])["n_null"]
    assert n_null["shared units", "e"] == pytest.approx(3 * 2 / WIDTH)
    assert n_null["shared units", "f"] == pytest.approx(1 * 2 / WIDTH)


def test_p_values_are_those_of_the_definition() -> None:
    """A concept in each run has the only shared unit: the null model permutes the matched units."""
    one = rosetta([(0, "e", 0), *((1, "e", unit) for unit in range(1, 4))])
    other = rosetta([(0, "e", 0), *((1, "e", unit) for unit in range(10, 14))])
    found = match_concepts(one, other, units=UNITS, permutations=4000)
    (pair,) = found.pairs.itertuples()
    assert pair.p_value == pytest.approx(1 / 4 * 1 / 5, abs=0.015)


def test_layers_keep_their_matches() -> None:
    """Where each layer's matched units are of one concept, nothing tells concepts apart."""
    rows = [(layer, "e", layer * WIDTH + unit) for layer in range(3) for unit in range(5)]
    found = match_concepts(rosetta(rows), rosetta(rows), units=UNITS, permutations=DRAWS)
    assert keys(found.pairs) == {(0, 0), (1, 1), (2, 2)}
    assert (found.pairs["p_value"] == 1).all()
    assert found.matched.empty


@pytest.mark.parametrize("among", [WIDTH, 12])  # any units, and hubs that match anything
def test_random_sharing_is_not_significant(among: int) -> None:
    """p-values are uniform or larger, and few pairs are matches."""
    significant = pairs = matched = null = 0.0
    for seed in range(12):
        one, other = random_run(2 * seed, among=among), random_run(2 * seed + 1, among=among)
        found = match_concepts(one, other, units=UNITS, permutations=DRAWS)
        rows = found.counts.set_index("level").loc["significant pairs"]
        significant, null = significant + rows["n_observed"], null + rows["n_null"]
        pairs, matched = pairs + CONCEPTS**2, matched + bool(len(found.matched))
    assert significant / pairs <= MAX_P_VALUE + 0.01
    assert abs(significant - null) <= 3 * null**0.5
    assert matched <= 2


def test_random_units_would_match_hubs() -> None:
    """Runs of hubs share more units than random ones would: why matched units stay matched."""
    found = match_concepts(
        random_run(0, among=12), random_run(1, among=12), units=UNITS, permutations=DRAWS
    )
    shared = found.counts[found.counts["level"] == "shared units"]
    assert (shared["n_observed"] > 2 * shared["n_null"]).all()
    assert found.matched.empty


def test_planted_sharing_is_found() -> None:
    concepts = range(8)
    found = match_concepts(random_run(0), planted(1, concepts), units=UNITS, permutations=2000)
    truth = {(concept, concept) for concept in concepts}
    matched = keys(found.matched)
    assert len(matched & truth) >= 7
    assert len(matched - truth) <= 1
    assert keys(found.pairs.head(7)) <= truth  # the clearest first


def test_a_run_matches_itself() -> None:
    one = random_run(0)
    found = match_concepts(one, one, units=UNITS, permutations=2000)
    same = found.pairs[found.pairs["concept_a"] == found.pairs["concept_b"]]
    assert len(same) == CONCEPTS
    assert (same["jaccard"] == 1).all()
    assert (same["q_value"] <= MAX_P_VALUE).all()


def test_which_run_comes_first_makes_no_difference() -> None:
    one, other = random_run(0), planted(1, range(4))
    forth = match_concepts(one, other, units=UNITS, permutations=2000)
    back = match_concepts(other, one, units=UNITS, permutations=2000)
    columns = ["concept_a", "concept_b", "n_shared", "n_encoders", "jaccard", "p_value"]
    turned = back.pairs.rename(columns={"concept_a": "concept_b", "concept_b": "concept_a"})
    a, b = (
        table[columns].sort_values(["concept_a", "concept_b"], ignore_index=True)
        for table in (forth.pairs, turned)
    )
    exact = columns[:-1]
    pd.testing.assert_frame_equal(a[exact], b[exact])
    assert np.abs(a["p_value"] - b["p_value"]).max() < 0.05  # other draws
    assert len(forth.shared_units) == len(back.shared_units)
    shared = [found.counts[found.counts["level"] == "shared units"] for found in (forth, back)]
    pd.testing.assert_frame_equal(*shared)


def test_the_seed_determines_the_permutations() -> None:
    one, other = random_run(0), random_run(1)
    first, second = (match_concepts(one, other, units=UNITS, permutations=DRAWS) for _ in range(2))
    pd.testing.assert_frame_equal(first.pairs, second.pairs)


def test_runs_without_concepts_share_none() -> None:
    nothing = random_run(0).head(0)
    for one, other in ((nothing, nothing), (random_run(0), nothing), (nothing, random_run(0))):
        found = match_concepts(one, other, units=UNITS, permutations=3)
        assert found.pairs.empty
        assert found.shared_units.empty
        assert (found.counts["n_observed"] == 0).all()


def test_encoders_that_one_run_lacks_are_left_out() -> None:
    one, other = random_run(0), planted(1, range(4))
    alone = {"e": UNITS["e"]}
    found = match_concepts(one, other, units=alone, permutations=DRAWS)
    fewer = [table[table["model"] == "e"] for table in (one, other)]
    pd.testing.assert_frame_equal(
        found.pairs, match_concepts(*fewer, units=alone, permutations=DRAWS).pairs, check_dtype=True
    )


def encoders(run: str = "a", provenance: dict | None = None, **changes: object) -> RunEncoders:
    """Those of the tiny run, with changes to the first of its encoders."""
    content = tiny(run=run)
    content["encoders"][0] |= changes
    config = parse_config(content)
    units = {model.name: unit_table() for model in config.models}
    return RunEncoders(config, provenance or {}, units)


def test_encoders_are_shared_whatever_they_see() -> None:
    other = encoders("b", input={"size": 64, "mean": [0, 0, 0], "std": [1, 1, 1]})
    dead = other.units["mobilenet_v2"]
    dead.loc[3, "alive"] = False
    found = shared_encoders(encoders(), other)
    assert list(found) == ["efficientnet_lite0", "mobilenet_v2", "mtcnn_onet"]
    assert found["mobilenet_v2"]["alive"].tolist() == dead["alive"].tolist()
    assert found["mtcnn_onet"]["alive"].all()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights": {"random": 3}}, "weights SHA-256 579344248a93"),
        ({"family": "python", "architecture": None, "target": "own.py:f"}, "and python); mine"),
        ({"architecture": "tf_efficientnet_lite1"}, "and tf_efficientnet_lite1); mine"),
    ],
)
def test_other_encoders_are_an_error_of_one_line(changes: dict, said: str) -> None:
    with pytest.raises(RosettaError, match=re.escape(said)) as raised:
        shared_encoders(encoders(), encoders("b", **changes))
    assert "efficientnet_lite0: differs between runs 'a' and 'b' (" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_weights_of_ones_own_are_told_by_what_made_the_run() -> None:
    own = {"weights": {"file": "gone.pt"}}
    made = [{"weights": {"efficientnet_lite0": {"sha256": name * 64}}} for name in "xy"]
    assert shared_encoders(encoders("a", made[0], **own), encoders("b", made[0], **own))
    with pytest.raises(RosettaError, match=r"weights SHA-256 x+ and SHA-256 y+"):
        shared_encoders(encoders("a", made[0], **own), encoders("b", made[1], **own))


def test_runs_need_an_encoder_and_its_layers_in_common() -> None:
    one, other = encoders(), encoders("b")
    others = [
        model.model_copy(update={"name": f"{model.name}_2"}) for model in other.config.encoders
    ]
    renamed = other.config.model_copy(update={"encoders": others})
    with pytest.raises(RosettaError, match="runs 'a' and 'b' share no encoder"):
        shared_encoders(one, RunEncoders(renamed, {}, other.units))
    fewer = {name: table.iloc[:-1] for name, table in other.units.items()}
    with pytest.raises(RosettaError, match="mined different layers"):
        shared_encoders(one, RunEncoders(other.config, {}, fewer))


@pytest.mark.parametrize(("other", "images"), [(random_run(0), 6), (random_run(1), 1)])
def test_names_are_escaped_and_few_images_are_enough(
    tmp_path: Path, other: pd.DataFrame, images: int
) -> None:
    found = match_concepts(random_run(0), other, units=UNITS, permutations=2000)
    sides = side("<b>&", images=images), side('"a"', images=images)
    write_cross_run_page(tmp_path, found, sides, encoders=MODELS)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<script" not in text and "<b>" not in text
    assert "&lt;script&gt;" in text and "&lt;b&gt;&amp;" in text
    assert ("No significant match" in text) == found.matched.empty
    widths = set(map(int, re.findall(r'width="(\d+)"', text)))
    assert widths == {min(EXAMPLES, images) * 128}


def test_only_significant_neurons_are_compared(tmp_path: Path) -> None:
    """Neuron 0 has a significant pair in each of the three encoders; 1 and 2 have not."""
    names = ["efficientnet_lite0", "mobilenet_v2", "mtcnn_onet"]
    pairs = pd.DataFrame(
        [(neuron, name, unit) for neuron in range(3) for name in names for unit in (4, 5)],
        columns=["pivot_unit", "model", "unit"],
    )
    p_values = [0.01, 0.5, 0.05, 0.04, 0.2, 0.01] + 4 * [0.01] + 2 * [0.06] + 6 * [0.9]
    content = tiny(results=str(tmp_path), significance={"nulls": ["permute_images"]})
    config, unaware = parse_config(content), parse_config(content | {"significance": {"nulls": []}})
    paths = RunPaths(config)
    rosetta = pairs.assign(concept=[0] * 6 + [1] * 12)
    write_table(rosetta, paths.rosetta)
    write_table(pairs[::-1].assign(p_value=p_values[::-1]), paths.pair_significance)
    found = significant_rosetta(config)
    left = list(
        found[["pivot_unit", "model", "unit", "concept"]].itertuples(index=False, name=None)
    )
    assert left == [
        *((0, names[0], 4, 0), (0, names[1], 4, 0), (0, names[1], 5, 0), (0, names[2], 5, 0)),
    ]
    pd.testing.assert_frame_equal(significant_rosetta(unaware), rosetta)


@pytest.fixture
def other_seed(finished: Checkout, tmp_path: Path) -> Path:
    """A run like the finished one, of images of another seed."""
    content = tiny(run="other", results=str(tmp_path / "results"), sampling={"seed": 1})
    content |= {"steering": NO_JOBS, "significance": {"nulls": []}}
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(content))
    assert main(["mine", "--config", str(path), "--threads", "1"]) == 0
    return tmp_path / "results" / "other"


@pytest.mark.whole_run
def test_two_runs_are_translated(
    finished: Checkout, other_seed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one generator with other seeds: concepts go to those with the same Rosetta neurons."""
    run, folder = str(finished.folder / "results" / "tiny"), tmp_path / "to & <fro>"
    command = ["translate", run, str(other_seed), "--to", str(folder)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert f"wrote {folder / 'index.html'}" in said
    pairs = read_table(folder / "tables" / "matches.parquet")
    units = read_table(folder / "tables" / "shared_units.parquet")
    counts = read_table(folder / "tables" / "counts.parquet")
    shared = counts[counts["level"] == "shared units"]
    assert shared["n_observed"].sum() > 1.5 * shared["n_null"].sum()
    same = keys(units[units["pivot_unit_a"] == units["pivot_unit_b"]])
    matched = keys(pairs[pairs["q_value"] <= MAX_P_VALUE])
    assert len(same & matched) > 0.6 * len(same)
    text = (folder / "index.html").read_text(encoding="utf-8")
    addresses = re.findall(r'(?:src|href)="([^"#]+)', text)
    assert not [address for address in addresses if "//" in address]
    beside = [address for address in addresses if not address.startswith("data:")]
    assert all((folder / address).exists() for address in beside), beside
    assert len(list((folder / "pictures").glob("?/*.webp"))) > 0
    assert f"{EXAMPLES * 128}" in text
    assert main(command) == 0  # an earlier translation is replaced
    (folder / "notes.txt").touch()
    assert main(command) == 2
    assert "not an earlier translation" in capsys.readouterr().err


def test_bad_input_is_said_in_one_line(
    finished: Checkout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = str(finished.folder / "results" / "tiny")
    assert main(["translate", run, str(tmp_path / "none")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("rosetta: ") and said.count("\n") == 1
    assert "the folder does not exist" in said
