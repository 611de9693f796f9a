"""Probes of frozen features: how well simple models predict known labels of images.

Ridge regression and nearest neighbours are scikit-learn's; both are fitted to standardised features
and scored by R² on other images. Labels (n,) may be NaN where unknown; these images are left out.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.metrics import mean_squared_error, r2_score
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor
from torch.nn import functional

from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.network import Encoder

__all__ = [
    "count_test_images",
    "encoder_features",
    "linear_probe",
    "neighbour_probe",
    "pixel_features",
    "probe_table",
]

Array = NDArray[np.floating]

BATCH = 64  # images
PIXEL_SIDE = 16  # side of the images of the pixel features
FIT_SHARE = 0.75  # of the images, for fitting; within these again, for fitting each penalty
PENALTIES = np.logspace(-2, 7, 37)
NEIGHBOURS = 20
MIN_IMAGES = 4  # labelled images in each part


@torch.no_grad()
def encoder_features(encoder: Encoder, images: Tensor) -> NDArray[np.float32]:
    """Return features of images by a vision transformer.

    Patch tokens of the last block, normalised, are averaged over each quarter of the image and
    joined with the class token if there is one. A mean over the whole image would lose all
    positions.

    Args:
        encoder: encoder whose network is timm's vision transformer.
        images: bytes (n, h, w, 3), on any device.

    Returns:
        Features (n, 4·width + width), or (n, 4·width) without a class token.
    """
    network, batches = encoder.network, []
    assert isinstance(network, VisionTransformer)
    for batch in images.split(BATCH):
        prepared = preprocess(batch.to(encoder.device), encoder.input)
        tokens = network.forward_features(prepared).float()  # (n, prefix + patches, width)
        grid = network.patch_embed.grid_size
        maps = tokens[:, encoder.prefix_tokens :].transpose(1, 2).unflatten(2, grid)  # (n, w, g, g)
        quarters = functional.adaptive_avg_pool2d(maps, 2).flatten(2).transpose(1, 2)  # (n, 4, w)
        parts = [network.fc_norm(quarters).flatten(1)]  # norm of networks without a class token
        if network.cls_token is not None:
            parts.append(tokens[:, 0])
        batches.append(torch.cat(parts, 1).cpu())
    return torch.cat(batches).numpy()


def pixel_features(images: Tensor) -> NDArray[np.float32]:
    """Return images, bytes (n, h, w, 3), resized to 16×16 pixels: the baseline (n, 768)."""
    batches = [
        functional.adaptive_avg_pool2d(batch.cpu().permute(0, 3, 1, 2).float(), PIXEL_SIDE).flatten(
            1
        )
        for batch in images.split(BATCH)
    ]
    return torch.cat(batches).numpy()


def linear_probe(train_x: Array, train_y: Array, test_x: Array, test_y: Array) -> float:
    """Return the test R² of a ridge regression.

    The penalty is the one with the lowest error on the last quarter of the training images when
    fitted to the others.

    Args:
        train_x: features (n, d).
        train_y: labels (n,).
        test_x: features (m, d).
        test_y: labels (m,).

    Returns:
        1 for exact predictions, 0 for predictions as good as the mean of the test labels; NaN if
        there are fewer than 4 labels in a part, or if all are equal.
    """
    train_x, train_y, test_x, test_y = _standardise(train_x, train_y, test_x, test_y)
    if not (_varies(train_y) and _varies(test_y)):
        return float("nan")
    fit = round(FIT_SHARE * len(train_y))
    targets = np.tile(train_y[:, None], len(PENALTIES))  # (n, penalties): one SVD fits all
    candidates = Ridge(alpha=PENALTIES, solver="svd").fit(train_x[:fit], targets[:fit])
    predicted = candidates.predict(train_x[fit:])
    errors = mean_squared_error(targets[fit:], predicted, multioutput="raw_values")
    best = Ridge(alpha=PENALTIES[errors.argmin()]).fit(train_x, train_y)
    return float(r2_score(test_y, best.predict(test_x)))


def neighbour_probe(train_x: Array, train_y: Array, test_x: Array, test_y: Array) -> float:
    """Return the test R² of the mean label of the 20 nearest training images by cosine.

    Arguments and result are those of `linear_probe`.
    """
    train_x, train_y, test_x, test_y = _standardise(train_x, train_y, test_x, test_y)
    if not (_varies(train_y) and _varies(test_y)):
        return float("nan")
    model = KNeighborsRegressor(min(NEIGHBOURS, len(train_y)), metric="cosine")
    return float(r2_score(test_y, model.fit(train_x, train_y).predict(test_x)))


def probe_table(features: Mapping[str, Array], labels: Mapping[str, Array]) -> pd.DataFrame:
    """Probe every label with every kind of features.

    Args:
        features: features (n, d) by kind.
        labels: labels (n,) by name.

    Returns:
        Table with columns label, features, probe (linear or nearest neighbours) and r2. Probes are
        fitted to the first three quarters of the images and tested on the last.
    """
    probes = {"linear": linear_probe, "nearest neighbours": neighbour_probe}
    rows = []
    for label, y in labels.items():
        cut = len(y) - count_test_images(len(y))
        for kind, x in features.items():
            for name, probe in probes.items():
                r2 = probe(x[:cut], y[:cut], x[cut:], y[cut:])
                rows.append({"label": label, "features": kind, "probe": name, "r2": r2})
    return pd.DataFrame(rows, columns=["label", "features", "probe", "r2"])


def count_test_images(images: int) -> int:
    """Return how many of `images` images `probe_table` tests on."""
    return images - round(FIT_SHARE * images)


def _standardise(
    train_x: Array, train_y: Array, test_x: Array, test_y: Array
) -> tuple[Array, Array, Array, Array]:
    """Drop images without a label, and standardise features by those of training."""
    train, test = np.isfinite(train_y), np.isfinite(test_y)
    train_x, test_x = train_x[train].astype(np.float64), test_x[test].astype(np.float64)
    if train.any() and test.any():
        scaler = StandardScaler().fit(train_x)
        train_x, test_x = scaler.transform(train_x), scaler.transform(test_x)
    return train_x, train_y[train], test_x, test_y[test]


def _varies(labels: Array) -> bool:
    """Return whether there are enough labels, and different ones."""
    return len(labels) >= MIN_IMAGES and np.ptp(labels) > 1e-9 * np.abs(labels).max()
