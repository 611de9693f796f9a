"""A video shows its frames, in any player, and is the same file every time."""

import os
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.drawing.video import SIDE, write_video
from rosetta_core.errors import RosettaError
from rosetta_core.io.images import crop_square, resize_image
from rosetta_core.steering.images import sample_image


def frames(count: int = 30, height: int = 64, width: int = 64) -> NDArray[np.uint8]:
    """A face turns into a cat."""
    face = resize_image(crop_square(sample_image("astronaut"), (156, 38, 135)), (height, width))
    cat = resize_image(crop_square(sample_image("chelsea"), None), (height, width))
    share = np.linspace(0, 1, count)[:, None, None, None]
    return ((1 - share) * face + share * cat).round().astype(np.uint8)


def decoded(path: Path) -> NDArray[np.uint8]:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def enlarged(frame: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    height, width = frame.shape[:2]
    size = (width * factor, height * factor)
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))


@pytest.mark.parametrize("rate", [1, 24, 60])
def test_a_video_is_what_browsers_play(tmp_path: Path, rate: int) -> None:
    shown = frames(10)
    assert write_video(tmp_path / "a.mp4", shown, rate=rate) == tmp_path / "a.mp4"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.mp4"]
    with av.open(str(tmp_path / "a.mp4")) as container:
        (stream,) = container.streams
        assert isinstance(stream, av.VideoStream)
        assert "mp4" in container.format.name
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.frames) == (256, 256, 10)
        assert stream.average_rate == rate
        assert container.duration == pytest.approx(10 / rate * 1e6, rel=1e-3)
        times = [frame.time for frame in container.decode(stream)]
    assert times == pytest.approx(np.arange(10) / rate, abs=1e-4)
    content = (tmp_path / "a.mp4").read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")  # plays while it loads


def test_the_frames_come_back(tmp_path: Path) -> None:
    shown = frames()
    read = decoded(write_video(tmp_path / "a.mp4", shown))
    wanted = np.stack([enlarged(frame, 4) for frame in shown]).astype(float)
    assert read.shape == wanted.shape
    error = np.abs(read - wanted).mean((1, 2, 3))
    assert error.max() < 3
    moved = np.abs(read[:-1] - wanted[1:]).mean((1, 2, 3))
    assert (moved > error[1:]).all()  # none is early or late


def test_colours_are_kept(tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0]])
    shown = np.broadcast_to(colours[:, None, None], (5, 64, 64, 3)).astype(np.uint8)
    path = write_video(tmp_path / "a.mp4", shown)
    assert np.abs(decoded(path).astype(int).mean((1, 2)) - colours).max() < 3
    with av.open(str(path)) as container:
        context = container.streams.video[0].codec_context
        bt709 = (context.colorspace, context.color_primaries, context.color_trc)
        assert bt709 == (1, 1, 1) and context.color_range == 1  # players needn't guess


@pytest.mark.parametrize(
    ("height", "width", "shown"),
    [(64, 64, (256, 256)), (64, 100, (256, 400)), (63, 64, (316, 320)), (257, 301, (258, 302))],
)
def test_small_frames_are_enlarged_and_odd_sides_made_even(
    tmp_path: Path, height: int, width: int, shown: tuple[int, int]
) -> None:
    given = frames(2, height, width)
    read = decoded(write_video(tmp_path / "a.mp4", given))
    assert read.shape[1:3] == shown and min(shown) >= SIDE
    whole = enlarged(given[1], -(-SIDE // min(height, width)))
    assert np.abs(read[1, : whole.shape[0], : whole.shape[1]] - whole.astype(float)).mean() < 3
    beside = read[:, whole.shape[0] - 1 :].astype(int)
    assert np.abs(beside - beside[:, :1]).mean() < 6  # what is added repeats the last row


@pytest.mark.parametrize("count", [1, 2])
def test_one_frame_is_a_video(tmp_path: Path, count: int) -> None:
    path = write_video(tmp_path / "a.mp4", list(frames(count)), rate=10)
    assert len(decoded(path)) == count
    with av.open(str(path)) as container:
        assert container.duration == pytest.approx(count * 1e5, rel=1e-3)


def test_the_same_frames_are_the_same_file_on_any_number_of_cores(tmp_path: Path) -> None:
    shown = frames(12)
    once = write_video(tmp_path / "once.mp4", shown).read_bytes()
    assert write_video(tmp_path / "twice.mp4", list(shown)).read_bytes() == once
    np.save(tmp_path / "frames.npy", shown)
    program = (
        "import os, sys; from pathlib import Path; import numpy as np;"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
        "from rosetta_core.drawing.video import write_video;"
        "write_video(Path(sys.argv[2]), np.load(sys.argv[1]))"
    )
    command = [sys.executable, "-c", program, "frames.npy", "alone.mp4"]
    later = os.environ | {"SOURCE_DATE_EPOCH": "1000000000", "TZ": "Asia/Tokyo"}
    subprocess.run(command, cwd=tmp_path, env=later, check=True)
    assert (tmp_path / "alone.mp4").read_bytes() == once


@pytest.mark.parametrize("name", ["http:a.mp4", "50% %03d é.mp4", "no suffix"])
def test_any_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(Path(name), frames(2))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    "bad",
    [
        [],
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((2, 0, 8, 3), np.uint8),
        [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)],
    ],
)
def test_no_frames_no_video(tmp_path: Path, bad: list | NDArray[np.uint8]) -> None:
    with pytest.raises(RosettaError, match=r"a\.mp4: a video needs frames"):
        write_video(tmp_path / "a.mp4", bad)
    assert list(tmp_path.iterdir()) == []


def test_a_video_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", frames(2))
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_video(path, [frames(1)[0], frames(1)[0].astype(np.float64)])
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
