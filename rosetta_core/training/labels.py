"""What is known of an image, as numbers, to ask an encoder's features for.

labels_of_images    of any images: brightness, contrast, warmth, side light
detect_landmarks    where eyes, nose and mouth are, by the zoo's face detector
labels_of_faces     of landmarks: pose, tilt, mouth
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.network import Encoder

__all__ = ["detect_landmarks", "labels_of_faces", "labels_of_images"]

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
BATCH = 64  # images
# The pivot's faces fill a little less of the image than of the detector's boxes. With 7/8 of the
# side, most of 512 images are faces to it (98%; 97% of the whole images), and pose and mouth agree
# best with those of the mirrored image; in smaller boxes it moves the mouth inwards.
FACE_BOX = 0.875
SURE = 0.5  # probability of a face


def labels_of_images(images: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """Return labels (n,) of images (n, h, w, 3), of bytes as shares of 255.

    `brightness` is the mean of the luminance, `contrast` its standard deviation, `warmth` the mean
    of red minus that of blue, and `side_light` the mean luminance of the right half minus that of
    the left.
    """
    measured = []
    for image in images:  # one by one: as floats, all of them are large
        pixels = image.astype(np.float32) / 255
        light = pixels @ LUMA  # (h, w)
        half = light.shape[1] // 2
        red, _, blue = pixels.mean((0, 1), dtype=np.float64)
        side = light[:, -half:].mean() - light[:, :half].mean()
        measured.append((light.mean(), light.std(), red - blue, side))
    columns = np.array(measured, dtype=np.float64).T
    return dict(zip(("brightness", "contrast", "warmth", "side_light"), columns, strict=True))


def detect_landmarks(
    detector: Encoder, images: Tensor
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Find the landmarks of faces in images, bytes (n, h, w, 3), each with one face in its centre.

    Those of an image and of its mirror image are averaged, so that neither side is favoured.

    Args:
        detector: O-Net of MTCNN (`zoo.encoders.mtcnn_onet`). Its third head puts out x of the left eye, the
            right eye, the nose, the left and the right corner of the mouth, then their y, as shares
            of the box; left and right are the image's.
        images: on any device.

    Returns:
        Landmarks (n, 5, 2) as x and y in shares of the detector's box, and the probability (n,)
        that it is a face.
    """
    mirrored_order = [1, 0, 2, 4, 3]
    places, faces = [], []
    for batch in images.split(BATCH):
        found, sure = _detect(detector, batch)
        mirrored, mirrored_sure = _detect(detector, batch.flip(2))
        mirrored = mirrored[:, mirrored_order]
        mirrored[:, :, 0] = 1 - mirrored[:, :, 0]
        places.append((found + mirrored) / 2)
        faces.append((sure + mirrored_sure) / 2)
    return torch.cat(places).cpu().double().numpy(), torch.cat(faces).cpu().double().numpy()


@torch.no_grad()
def _detect(detector: Encoder, images: Tensor) -> tuple[Tensor, Tensor]:
    """Landmarks (n, 5, 2) and probabilities (n,) of images (n, h, w, 3)."""
    seen = detector.input.model_copy(update={"crop": FACE_BOX})
    classes, _, landmarks = detector.network(preprocess(images.to(detector.device), seen))
    return landmarks.unflatten(1, (2, 5)).transpose(1, 2), classes[:, 1]


def labels_of_faces(
    landmarks: NDArray[np.float64], probability: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Return labels (n,) of faces; NaN where the detector sees none.

    `pose` is how far the nose lies right of the middle of the eyes, and `mouth` how wide the mouth
    is, both as shares of the distance of the eyes; `tilt` is the angle of the line through the
    eyes, in radians, positive where the right one is lower.

    Args:
        landmarks: (n, 5, 2), as `detect_landmarks` returns them.
        probability: (n,), that it is a face.
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
    known = (probability >= SURE) & (eyes > 0)
    return {name: np.where(known, label, np.nan) for name, label in labels.items()}
