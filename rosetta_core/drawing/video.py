"""Short videos that browsers play: H.264 in MP4.

Equal frames give equal files on any number of cores. Files are written atomically.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import atomic_path

__all__ = ["SIDE", "write_video"]

SIDE = 256
QUALITY = "16"  # constant rate factor of x264: visually lossless
# averages chroma over 2 × 2 pixels, with the same rounding on every machine
EXACT = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def write_video(
    path: Path,
    frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    *,
    rate: int = 24,
) -> Path:
    """Write frames as H.264 in MP4; return the path.

    Small frames are enlarged by a whole factor until no side is below `SIDE`. The last row or
    column is repeated where a side is odd, since 4:2:0 needs even sides.

    Args:
        path: path of the file; an existing one is replaced.
        frames: frames (t, h, w, 3), at least one.
        rate: frames per second.

    Raises:
        RosettaError: there are no frames, or they differ in size or are not in three colours.
    """
    shapes = {np.shape(frame) for frame in frames}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 3 or shape[2] != 3 or 0 in shape:
        raise RosettaError(f"{path}: a video needs frames (h, w, 3) of one size, and at least one")
    enlargement = -(-SIDE // min(shape[:2]))
    height, width = (side * enlargement + side * enlargement % 2 for side in shape[:2])
    # the temporary name has no suffix, and may contain a colon
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with (
        atomic_path(path) as temporary,
        av.open(f"file:{temporary}", "w", format="mp4", options=options) as container,
    ):
        stream = container.add_stream("libx264", rate, options={"crf": QUALITY})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = rate  # a player can seek to every second
        stream.thread_count = 1  # the bytes that x264 writes depend on it
        stream.color_range = ColorRange.MPEG
        stream.colorspace = Colorspace.ITU709
        stream.color_primaries = ColorPrimaries.BT709
        stream.color_trc = ColorTrc.BT709
        for picture in _enlarged(frames, enlargement):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=EXACT,
                threads=1,
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _enlarged(
    frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8], factor: int
) -> Iterator[NDArray[np.uint8]]:
    for frame in frames:
        height, width = (side * factor for side in frame.shape[:2])
        scaled = Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC)
        yield np.pad(np.asarray(scaled), ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
