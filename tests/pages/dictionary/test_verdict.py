"""Verdicts follow the thresholds of their module, at and beside each of them."""

import math

import numpy as np
import pytest

from rosetta_core.errors import RosettaError
from rosetta_core.pages.dictionary.verdict import (
    MAX_P_VALUE,
    MIN_EXCESS_SHARE,
    MIN_RECOVERY_RATE,
    verdict,
)

NULLS = {"permute_images": 37}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, "strong"),
        ({"p_value": MAX_P_VALUE}, "strong"),
        ({"p_value": MAX_P_VALUE + 1e-6}, "weak"),
        ({"p_value": 0.31, "recovery_rate": 0.1}, "weak"),  # before unstable
        ({"recovery_rate": MIN_RECOVERY_RATE}, "strong"),
        ({"recovery_rate": MIN_RECOVERY_RATE - 0.01}, "unstable"),
        ({"recovery_rate": 0.1, "corr_excess": 0.01}, "unstable"),  # before small effect
        ({"corr_excess": MIN_EXCESS_SHARE * 0.5}, "strong"),
        ({"corr_excess": MIN_EXCESS_SHARE * 0.5 - 0.01}, "small-effect"),
        ({"corr_excess": -0.2}, "small-effect"),
        ({"corr_excess": math.nan}, "not-tested"),
        ({"p_value": math.nan}, "not-tested"),
        ({"recovery_rate": math.nan}, "strong"),
    ],
)
def test_kinds(values: dict[str, float], kind: str) -> None:
    known = {"mean_corr": 0.5, "corr_excess": 0.4, "p_value": 1 / 38, "recovery_rate": 0.9}
    assert verdict(**{**known, **values}, null_concepts=NULLS).kind == kind


def test_strong() -> None:
    found = verdict(
        mean_corr=0.43, corr_excess=0.31, p_value=1 / 38, recovery_rate=0.94, null_concepts=NULLS
    )
    assert found.text == (
        "Depends on the image: 0.31 of the mean correlation is lost when the encoder's maps are of "
        "other images than the pivot's (p = 0.026, the smallest possible with 37 null concepts). "
        "On average 94% of its neurons are recovered in a half of the images."
    )
    known = {"mean_corr": 0.43, "corr_excess": 0.31, "null_concepts": NULLS}
    assert "smallest" not in verdict(**known, p_value=2 / 38).text
    assert "recovered" not in verdict(**known, p_value=2 / 38).text


def test_the_smallest_possible_p_value_is_named() -> None:
    """1 / (1 + number of null concepts), and no other."""

    def reason(p_value: float, count: int) -> str:
        nulls = {"permute_images": count}
        return verdict(mean_corr=0.5, corr_excess=0.4, p_value=p_value, null_concepts=nulls).text

    for count in (2, 36, 37):
        assert f"the smallest possible with {count} null concepts)" in reason(
            1 / (1 + count), count
        )
        stored = float(np.float32(1 / (1 + count)))  # as tables hold it, above or below
        assert f"the smallest possible with {count} null concepts)" in reason(stored, count)
        assert "smallest" not in reason(1 / count, count)
        assert "smallest" not in reason(1.001 / (1 + count), count)
    assert "the smallest possible with 1 null concept)" in reason(0.5, 1)
    assert "the smallest possible with 0 null concepts)" in reason(1, 0)


def test_small_effect_says_what_remains() -> None:
    text = verdict(mean_corr=0.24, corr_excess=0.02, p_value=0.03, null_concepts=NULLS).text
    assert text.startswith(
        "Significant (p = 0.03), but 0.22 of the mean correlation of 0.24 remains when the "
        "encoder's maps are of other images than the pivot's."
    )


def test_several_null_models() -> None:
    nulls = {"permute_images": 37, "untrained": 9}
    found = verdict(mean_corr=0.5, corr_excess=0.4, p_value=0.1, null_concepts=nulls)
    assert found.kind == "weak"
    # under the null model with the fewest concepts p cannot be lower
    assert "p = 0.1, the smallest possible with 9 null concepts" in found.text
    found = verdict(mean_corr=0.5, corr_excess=0.4, p_value=0.05, null_concepts=nulls)
    assert "is lost under the most conservative null model" in found.text


def test_not_tested() -> None:
    found = verdict(mean_corr=0.9)
    assert (found.kind, found.title) == ("not-tested", "Not tested")
    assert "significance.nulls: []" in found.text and "nan" not in found.text


def test_an_unknown_null_model_is_an_error() -> None:
    with pytest.raises(RosettaError, match="not a null model"):
        verdict(mean_corr=0.5, corr_excess=0.4, p_value=0.01, null_concepts={"shuffle": 100})
