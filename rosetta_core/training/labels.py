"""Labels of images for probes: colour statistics, and the pose of faces.

Face labels are computed from the landmarks of MTCNN's O-Net (Zhang et al., 2016), the zoo's face
detector.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.network import Encoder

__all__ = ["colour_labels", "detect_landmarks", "face_labels"]

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
BATCH = 64  # images
# The pivot's faces fill a little less of the image than of the detector's boxes. With 7/8 of the
# side, 98% of 512 images are detected as faces (97% with whole images), and pose and mouth agree
# best with those of the mirrored image; smaller boxes move the detected mouth inwards.
FACE_BOX = 0.875
MIN_PROBABILITY = 0.5  # of a face


def colour_labels(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Return brightness, contrast, warmth and side light of images.

    Args:
        images: bytes (n, h, w, 3), taken as shares of 255.

    Returns:
        Labels (n,) by name. `brightness`: mean luminance; `contrast`: its standard deviation;
        `warmth`: mean red minus mean blue; `side_light`: mean luminance of the right half minus
        that of the left half.
    """
    values = []
    for image in images:  # one by one, since floats take four times the memory
        pixels = image.astype(np.float32) / 255
        luminance = pixels @ LUMA  # (h, w)
        half = luminance.shape[1] // 2
        red, _, blue = pixels.mean((0, 1), dtype=np.float64)
        side = luminance[:, -half:].mean() - luminance[:, :half].mean()
        values.append((luminance.mean(), luminance.std(), red - blue, side))
    columns = np.array(values, dtype=np.float64).T
    return dict(zip(("brightness", "contrast", "warmth", "side_light"), columns, strict=True))


def detect_landmarks(
    detector: Encoder, images: Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Detect the landmarks of images with one centred face each.

    Results for an image and its mirror image are averaged, which treats both sides alike.

    Args:
        detector: O-Net of MTCNN (`rosetta_core.zoo.encoders.mtcnn_onet`). Its third output holds x
            of the left eye, the right eye, the nose, the left and the right corner of the mouth,
            then their y, as shares of the box; left and right are the image's.
        images: bytes (n, h, w, 3), on any device.

    Returns:
        Landmarks (n, 5, 2) as x and y in shares of the detector's box, and probabilities (n,) of a
        face.
    """
    mirrored_order = [1, 0, 2, 4, 3]
    landmarks, probabilities = [], []
    for batch in images.split(BATCH):
        points, probability = _detect(detector, batch)
        mirrored, mirrored_probability = _detect(detector, batch.flip(2))
        mirrored = mirrored[:, mirrored_order]
        mirrored[:, :, 0] = 1 - mirrored[:, :, 0]
        landmarks.append((points + mirrored) / 2)
        probabilities.append((probability + mirrored_probability) / 2)
    return (
        torch.cat(landmarks).cpu().double().numpy(),
        torch.cat(probabilities).cpu().double().numpy(),
    )


@torch.no_grad()
def _detect(detector: Encoder, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return landmarks (n, 5, 2) and probabilities (n,) of images (n, h, w, 3)."""
    cropped = detector.input.model_copy(update={"crop": FACE_BOX})
    classes, _, landmarks = detector.network(preprocess(images.to(detector.device), cropped))
    return landmarks.unflatten(1, (2, 5)).transpose(1, 2), classes[:, 1]


def face_labels(
    landmarks: NDArray[np.float64], probability: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Return pose, tilt and mouth of faces.

    Args:
        landmarks: (n, 5, 2), as `detect_landmarks` returns them.
        probability: probability (n,) of a face.

    Returns:
        Labels (n,) by name, NaN below a probability of 0.5. `pose`: distance of the nose to the
        right of the midpoint of the eyes, and `mouth`: width of the mouth, both as shares of the
        distance between the eyes; `tilt`: angle of the line through the eyes in radians, positive
        if the right eye is lower.
    """
    left, right, nose, mouth_left, mouth_right = landmarks.transpose(1, 0, 2)  # (n, 2) each
    across = right - left
    with np.errstate(divide="ignore", invalid="ignore"):
        eyes = np.linalg.norm(across, axis=1)
        labels = {
            "pose": (nose - (left + right) / 2)[:, 0] / eyes,
            "tilt": np.arctan2(across[:, 1], across[:, 0]),
            "mouth": np.linalg.norm(mouth_right - mouth_left, axis=1) / eyes,
        }
    valid = (probability >= MIN_PROBABILITY) & (eyes > 0)
    return {name: np.where(valid, label, np.nan) for name, label in labels.items()}
