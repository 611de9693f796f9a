"""Verdict on a concept: one of five, from its significance and recovery rate.

The thresholds are defined here and nowhere else; the guide page prints them. There is no verdict on
cohesion, because no measure of it is defined: low peak overlap alone is not evidence against a
concept.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, assert_never

from rosetta_core.mining.significance.null_models import null_model

__all__ = ["MAX_P_VALUE", "MIN_EXCESS_SHARE", "MIN_RECOVERY_RATE", "Verdict", "verdict"]

MAX_P_VALUE = 0.05  # significant up to this p-value
MIN_EXCESS_SHARE = 0.5  # of the mean correlation; below, most of it remains under the null model
MIN_RECOVERY_RATE = 0.5  # stable from this recovery rate

Kind = Literal["strong", "small-effect", "weak", "unstable", "not-tested"]


@dataclass(frozen=True)
class Verdict:
    """What the statistics of a concept mean.

    Attributes:
        kind: which of the five.
        title: the verdict in one or two words.
        text: the reason, in one or two sentences.
    """

    kind: Kind
    title: str
    text: str

    def data(self) -> dict[str, str]:
        """Return the verdict as a JSON object."""
        return asdict(self)


def verdict(
    *,
    mean_corr: float,
    corr_excess: float = math.nan,
    p_value: float = math.nan,
    recovery_rate: float = math.nan,
    null_concepts: Mapping[str, int] | None = None,
) -> Verdict:
    """Return the verdict on a concept.

    Args:
        mean_corr: mean correlation of its pairs.
        corr_excess: excess correlation over the null models; NaN if there are none.
        p_value: p-value under the null models; NaN if there are none.
        recovery_rate: recovery rate in half of the images; NaN if there are no splits.
        null_concepts: number of concepts found under each null model of the run.
    """
    null_concepts = null_concepts or {}
    kind = _kind(mean_corr, corr_excess, p_value, recovery_rate)
    p, where = f"p = {p_value:.2g}", _condition(null_concepts)
    recovered = f"{100 * recovery_rate:.0f}% of its neurons are recovered in a half of the images"
    known = not math.isnan(recovery_rate)
    remains = f"{mean_corr - corr_excess:.2f} of the mean correlation of {mean_corr:.2f} remains"
    match kind:
        case "strong":
            text = (
                f"Depends on the image: {corr_excess:.2f} of the mean correlation is lost {where} "
                f"({p}{_smallest(p_value, null_concepts)})."
            )
            text += f" On average {recovered}." if known else ""
            return Verdict(kind, "Strong", text)
        case "small-effect":
            text = (
                f"Significant ({p}), but {remains} {where}. It may reflect a fixed position rather "
                "than content; check the random images."
            )
            return Verdict(kind, "Small effect", text)
        case "weak":
            text = (
                f"Not distinguishable from the null model ({p}"
                f"{_smallest(p_value, null_concepts)}). Do not name it on the strength of its best "
                "examples."
            )
            return Verdict(kind, "Weak", text)
        case "unstable":
            text = f"Significant ({p}), but only {recovered}. More images may change it."
            return Verdict(kind, "Unstable", text)
        case "not-tested":
            text = (
                "This run has no null model (significance.nulls: []), so the match has not been "
                "compared with one. Correlation alone does not show a shared concept."
            )
            return Verdict(kind, "Not tested", text)
        case _:
            assert_never(kind)


def _kind(mean_corr: float, corr_excess: float, p_value: float, recovery_rate: float) -> Kind:
    if math.isnan(corr_excess) or math.isnan(p_value):
        return "not-tested"
    if p_value > MAX_P_VALUE:
        return "weak"
    if recovery_rate < MIN_RECOVERY_RATE:  # false if it is NaN
        return "unstable"
    if corr_excess < MIN_EXCESS_SHARE * mean_corr:
        return "small-effect"
    return "strong"


def _condition(nulls: Mapping[str, int]) -> str:
    if len(nulls) > 1:
        return "under the most conservative null model"
    for name in nulls:
        return f"when {null_model(name).description}"
    return "under the null model"


def _smallest(p_value: float, null_concepts: Mapping[str, int]) -> str:
    """Say that p is as small as it can be: 1 / (1 + number of null concepts)."""
    count = min(null_concepts.values(), default=0)
    smallest = 1 / (1 + count)
    if p_value > smallest * (1 + 1e-6):  # tables hold p as float32
        return ""
    return f", the smallest possible with {count} null concept{'' if count == 1 else 's'}"
