"""Print how scores of encoders alone agree with concept scores, for docs/how-to/score-images.md.

`python benchmarks/scores_without_pivot.py [IMAGES]`: DCGAN, MobileNetV2 and DINO on faces.
"""

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

import rosetta_core as rosetta

ENCODERS = ["mobilenet_v2", "dino_faces"]
TOP = 10


def main() -> None:
    pivot = rosetta.load_model("dcgan")
    samples = rosetta.sample(pivot, int(sys.argv[1]) if len(sys.argv) > 1 else 96)
    mined = rosetta.mine(pivot, ENCODERS, samples)
    expected = mined.concept_scores  # (concepts, images)
    print("| models | rank correlation: quartiles | same among the ten strongest |\n|---|---|---|")
    for models in (ENCODERS, *([name] for name in ENCODERS)):
        scores = mined.score(samples.pixels, models=models).scores.T
        ranks = [spearmanr(*pair).statistic for pair in zip(scores, expected, strict=True)]
        low, middle, high = np.quantile(ranks, [0.25, 0.5, 0.75])
        shared = np.mean(
            [len(top(a) & top(b)) / TOP for a, b in zip(scores, expected, strict=True)]
        )
        print(f"| {', '.join(models)} | {low:.2f}, {middle:.2f}, {high:.2f} | {shared:.0%} |")


def top(scores: NDArray[np.float32]) -> set[int]:
    return set(np.argsort(-scores)[:TOP].tolist())


if __name__ == "__main__":
    main()
