"""Short videos that browsers play.

SIDE           the least a frame's sides are enlarged to
write_video    frames as MP4, whole or not at all, the same bytes every time
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
QUALITY = "16"  # x264's constant rate factor: no difference is seen
# chroma is averaged over 2 × 2 pixels, and every machine rounds alike
EXACT = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def write_video(
    path: Path,
    frames: Sequence[NDArray[np.uint8]] | NDArray[np.uint8],
    *,
    rate: int = 24,
) -> Path:
    """Write frames as H.264 in MP4; return the path.

    Small frames are enlarged by a whole number until no side is below `SIDE`; of odd sides, which
    4:2:0 can't have, the last row or column is repeated.

    Args:
        path: what stood there before is replaced.
        frames: (t, h, w, 3), at least one.
        rate: frames a second.

    Raises:
        RosettaError: there are no frames, or they aren't of one size in three colours.
    """
    shapes = {np.shape(frame) for frame in frames}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 3 or shape[2] != 3 or 0 in shape:
        raise RosettaError(f"{path}: a video needs frames (h, w, 3) of one size, and at least one")
    enlargement = -(-SIDE // min(shape[:2]))
    height, width = (side * enlargement + side * enlargement % 2 for side in shape[:2])
    # the name that `whole` gives would tell neither the format nor, with a colon, a file
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with (
        atomic_path(path) as temporary,
        av.open(f"file:{temporary}", "w", format="mp4", options=options) as container,
    ):
        stream = container.add_stream("libx264", rate, options={"crf": QUALITY})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = rate  # a player can jump to every second
        stream.thread_count = 1  # x264's bytes depend on it
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
