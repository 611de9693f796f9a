"""What a simple model reads out of an encoder's features of what is known of its images.

encoder_features           of images, by a vision transformer
pixel_features             of images, without any network: what features have to beat
ridge                      the weights of a ridge regression
linear_probe               R² of a ridge regression
nearest_neighbour_probe    R² of the mean of the nearest neighbours
probe_table                both probes of all labels by all features
held_out                   how many images they are tested on

Labels (n,) may be NaN where nothing is known; those images are left out.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional

from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.network import Encoder, as_maps

__all__ = [
    "encoder_features",
    "held_out",
    "linear_probe",
    "nearest_neighbour_probe",
    "pixel_features",
    "probe_table",
    "ridge",
]

Array = NDArray[np.floating]

BATCH = 64  # images
SIDE = 16  # of the reduced images, in pixels
FIT = 0.75  # share of the images that a probe is fitted to; of those, that strengths are tried on
STRENGTHS = np.logspace(-2, 7, 37)
NEIGHBOURS = 20
FEWEST = 4  # labelled images, of either part


@torch.no_grad()
def encoder_features(encoder: Encoder, images: Tensor) -> NDArray[np.float32]:
    """Return features (n, 4·width + width) of images, bytes (n, h, w, 3), by a vision transformer.

    They are the means of the patches' tokens over each quarter of the image, behind the last block
    and its norm, which some networks apply to a mean instead, joined with the class token if there
    is one. Over the whole image, a mean would no longer say where anything is.
    """
    network, found = encoder.network, []
    assert isinstance(network, VisionTransformer)
    for batch in images.split(BATCH):
        seen = preprocess(batch.to(encoder.device), encoder.input)
        tokens = network.forward_features(seen).float()  # (n, prefix + patches, width)
        maps = as_maps(tokens, layer="tokens", prefix_tokens=encoder.prefix_tokens)  # (n, w, g, g)
        quarters = functional.adaptive_avg_pool2d(maps, 2).flatten(2).transpose(1, 2)  # (n, 4, w)
        parts = [network.fc_norm(quarters).flatten(1)]
        if network.cls_token is not None:
            parts.append(tokens[:, 0])
        found.append(torch.cat(parts, 1).cpu())
    return torch.cat(found).numpy()


def pixel_features(images: Tensor) -> NDArray[np.float32]:
    """Return images, bytes (n, h, w, 3), reduced to 16×16 pixels: (n, 768)."""
    reduced = [
        functional.adaptive_avg_pool2d(batch.cpu().permute(0, 3, 1, 2).float(), SIDE).flatten(1)
        for batch in images.split(BATCH)
    ]
    return torch.cat(reduced).numpy()


def ridge(x: Array, y: Array, strengths: Sequence[float] | Array) -> NDArray[np.float64]:
    """Return the weights (strengths, d) that minimise |x w − y|² + strength |w|², one row each.

    Args:
        x: (n, d), centred.
        y: (n,), centred.
        strengths: of the penalty, above zero.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    values, vectors = np.linalg.eigh(x.T @ x)
    inverse = 1 / (np.maximum(values, 0) + np.asarray(strengths)[:, None])  # (strengths, d)
    return (inverse * (vectors.T @ (x.T @ y))) @ vectors.T


def linear_probe(train_x: Array, train_y: Array, test_x: Array, test_y: Array) -> float:
    """Return R² on test images of a ridge regression fitted to others.

    Features are standardised. The strength of the penalty is the one that does best on the last
    quarter of the training images when it is fitted to the others.

    Args:
        train_x: features (n, d).
        train_y: labels (n,).
        test_x: features (m, d).
        test_y: labels (m,).

    Returns:
        1 for labels that are foretold exactly, 0 where their mean would do as well; NaN where too
        few are known, or all are the same.
    """
    train_x, train_y, test_x, test_y = _known(train_x, train_y, test_x, test_y)
    if not _tells(train_y, test_y):
        return float("nan")
    fit = round(FIT * len(train_y))
    tried = _predicted(train_x[:fit], train_y[:fit], train_x[fit:], STRENGTHS)
    errors = np.square(tried - train_y[fit:]).sum(1)
    strength = STRENGTHS[[errors.argmin()]]
    return _r2(_predicted(train_x, train_y, test_x, strength)[0], test_y)


def nearest_neighbour_probe(train_x: Array, train_y: Array, test_x: Array, test_y: Array) -> float:
    """Return R² on test images of the mean label of the 20 training images nearest to each.

    Nearness is the cosine of standardised features. Arguments and result are those of
    `linear_probe`.
    """
    train_x, train_y, test_x, test_y = _known(train_x, train_y, test_x, test_y)
    if not _tells(train_y, test_y):
        return float("nan")
    nearness = _directions(test_x) @ _directions(train_x).T  # (m, n)
    nearest = np.argsort(-nearness, axis=1, kind="stable")[:, :NEIGHBOURS]
    return _r2(train_y[nearest].mean(1), test_y)


def probe_table(features: Mapping[str, Array], labels: Mapping[str, Array]) -> pd.DataFrame:
    """Return both probes of all labels (n,) by all features (n, d).

    They are fitted to the first three quarters of the images and tested on the others. The table
    has a row for every label, kind of features and probe: label, features, probe (linear or
    nearest neighbours), r2.
    """
    probes = {"linear": linear_probe, "nearest neighbours": nearest_neighbour_probe}
    rows = []
    for label, y in labels.items():
        cut = len(y) - held_out(len(y))
        for kind, x in features.items():
            for name, probe in probes.items():
                r2 = probe(x[:cut], y[:cut], x[cut:], y[cut:])
                rows.append({"label": label, "features": kind, "probe": name, "r2": r2})
    return pd.DataFrame(rows, columns=["label", "features", "probe", "r2"])


def held_out(images: int) -> int:
    """How many of some images the probes of a table are tested on."""
    return images - round(FIT * images)


def _known(
    train_x: Array, train_y: Array, test_x: Array, test_y: Array
) -> tuple[Array, Array, Array, Array]:
    """The images whose label is known, with features standardised by those of training."""
    train, test = np.isfinite(train_y), np.isfinite(test_y)
    train_x, test_x = train_x[train].astype(np.float64), test_x[test].astype(np.float64)
    if train.any():
        mean, spread = train_x.mean(0), train_x.std(0)
        spread[spread <= 1e-9 * np.abs(mean)] = 1  # the same in all images
        train_x, test_x = (train_x - mean) / spread, (test_x - mean) / spread
    return train_x, train_y[train], test_x, test_y[test]


def _tells(*parts: Array) -> bool:
    """Whether there are labels enough, and not all the same."""
    return all(len(y) >= FEWEST and np.ptp(y) > 1e-9 * np.abs(y).max() for y in parts)


def _predicted(x: Array, y: Array, of: Array, strengths: Array) -> NDArray[np.float64]:
    """Labels (strengths, m) of features (m, d) by ridge regressions fitted to x (n, d), y (n,)."""
    centre, mean = x.mean(0), y.mean()
    return ridge(x - centre, y - mean, strengths) @ (of - centre).T + mean


def _directions(x: Array) -> Array:
    """Features (n, d) brought to length 1; zero stays zero."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)


def _r2(predicted: Array, y: Array) -> float:
    return float(1 - np.square(predicted - y).sum() / np.square(y - y.mean()).sum())
