"""Made-up dictionaries of runs with the same encoders, to be translated into each other."""

import numpy as np
import pandas as pd

from rosetta_core.pages.cross_run_page import Side

LAYERS, WIDTH = 5, 60  # of each encoder, and units in a layer
MODELS = ("e", "f")
CONCEPTS = 12


def unit_table() -> pd.DataFrame:
    units = np.arange(LAYERS * WIDTH, dtype=np.int32)
    layers = [f"layer{unit // WIDTH}" for unit in units]
    return pd.DataFrame(
        {"unit": units, "layer": layers, "channel": units % WIDTH, "alive": True},
    )


UNITS = {model: unit_table() for model in MODELS}


def rosetta(rows: list[tuple[int, str, int]]) -> pd.DataFrame:
    """A table of Rosetta neurons: concept, model, unit; a neuron per concept."""
    table = pd.DataFrame(rows, columns=["concept", "model", "unit"]).drop_duplicates()
    return table.assign(pivot_unit=table["concept"] + 100, corr=np.float32(0.5))


def random_run(seed: int, *, each: int = 6, among: int = WIDTH) -> pd.DataFrame:
    """Concepts with as many random units of each encoder, of the first `among` of each layer."""
    rng = np.random.default_rng(seed)
    rows = [
        (concept, model, int(layer * WIDTH + unit))
        for concept in range(CONCEPTS)
        for model in MODELS
        for layer, unit in zip(
            rng.integers(0, LAYERS, each), rng.integers(0, among, each), strict=True
        )
    ]
    return rosetta(rows)


class Examples:
    """Concepts of an encoder-like pivot on six images, all of which they show on alike."""

    models = ("p", *MODELS)
    representative = np.zeros((CONCEPTS, 3), np.int32)
    scores = np.ones((CONCEPTS, 6), np.float32)

    def maps(self, concept: int, model: str) -> np.ndarray:
        return np.full((6, 4, 4), 40, np.uint8)


def side(run: str, *, images: int = 6) -> Side:
    """A random run whose names would be markup if they weren't escaped."""
    units = {name: unit_table().assign(layer="<script>") for name in ("p", *MODELS)}
    return Side(
        run=run,
        pivot="p",
        rosetta=random_run(0),
        units=units,
        examples=Examples(),
        images=lambda some: np.full((len(some), 8, 8, 3), 90, np.uint8),
        duplicates=np.minimum(np.arange(6), images - 1).astype(np.int32),
        dictionary=None,
        random=True,
        nulls=["permute_images"],
    )
