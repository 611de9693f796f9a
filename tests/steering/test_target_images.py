"""Images come in as they look, whatever the file; drawings of faces stay readable when small."""

import io
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.errors import RosettaError
from rosetta_core.io.images import crop_square, read_image, resize_image
from rosetta_core.steering.images import SAMPLES, sample_image, sketch_image

FACE = (156, 38, 135)  # of the astronaut


def photograph(height: int = 40, width: int = 56) -> NDArray[np.uint8]:
    return resize_image(crop_square(sample_image("coffee"), None), (height, width))


def chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def error_of(path: Path) -> str:
    with pytest.raises(RosettaError) as error:
        read_image(path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "ppm", "webp"])
def test_lossless_files_come_back_as_they_were(tmp_path: Path, suffix: str) -> None:
    path, wanted = tmp_path / f"a.{suffix}", photograph()
    Image.fromarray(wanted).save(path, **({"lossless": True} if suffix == "webp" else {}))
    read = read_image(path)
    assert read.dtype == np.uint8 and read.flags.writeable
    assert (read == wanted).all()


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [("jpg", "RGB"), ("jpg", "L"), ("jpg", "CMYK"), ("webp", "RGB"), ("tiff", "CMYK")],
)
def test_lossy_files_look_the_same(tmp_path: Path, suffix: str, mode: str) -> None:
    path, wanted = tmp_path / f"a.{suffix}", photograph(120, 160)
    if mode == "L":
        wanted = np.repeat(np.asarray(Image.fromarray(wanted).convert("L"))[:, :, None], 3, axis=2)
    Image.fromarray(wanted).convert(mode).save(path, quality=98)
    assert np.abs(read_image(path).astype(int) - wanted).mean() < 3


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_few_colours_become_three_channels(tmp_path: Path, mode: str) -> None:
    drawn = Image.fromarray(photograph()).convert(mode)
    drawn.save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == np.asarray(drawn.convert("RGB"))).all()


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_16_bits_are_scaled_and_not_clipped(tmp_path: Path, suffix: str) -> None:
    values = np.array([[0, 257, 1000, 33000, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / f"a.{suffix}")
    read = read_image(tmp_path / f"a.{suffix}")
    assert (read == np.array([0, 1, 4, 128, 255])[:, None]).all() and read.shape == (1, 5, 3)


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14])
def test_fewer_bits_in_16_are_never_silently_dark(tmp_path: Path, suffix: str, bits: int) -> None:
    path, largest = tmp_path / f"a.{suffix}", 2**bits - 1
    values = np.array([[0, largest // 3, largest]], np.uint16)
    Image.fromarray(values).save(path)
    assert f"stop at {largest:,} of 65,535, as in {bits}-bit data" in error_of(path)
    assert f"set bit_depth: {bits}, or 16" in error_of(path)
    grey = read_image(path, bit_depth=bits)
    assert grey[0, :, 0].tolist() == [0, 85, 255]
    assert read_image(path, bit_depth=16).max() == round(largest / 257)
    if bits > 8:
        with pytest.raises(RosettaError, match=f"go up to {largest:,}, which exceeds bit_depth: 9"):
            read_image(path, bit_depth=9)


def test_black_and_bright_16_bit_images_are_not_suspicious(tmp_path: Path) -> None:
    for value in (0, 2**14, 65535):
        Image.fromarray(np.full((2, 2), value, np.uint16)).save(tmp_path / "a.png")
        assert (read_image(tmp_path / "a.png") == round(value / 257)).all()


def tiff(values: list[int], *, bits: int, planes: int = 1) -> bytes:
    """A TIFF file with one row of grey (12 bits, packed) or RGB (16 bits) pixels."""
    if bits == 12:
        pairs = zip(values[::2], values[1::2], strict=True)
        content = b"".join((first << 12 | second).to_bytes(3, "big") for first, second in pairs)
    else:
        content = struct.pack(f"<{len(values)}H", *values)
    tags = [
        *((256, 3, 1, len(values) // planes), (257, 3, 1, 1)),
        (258, 3, 1, bits) if planes == 1 else (258, 3, 3, 8 + len(content)),
        *((259, 3, 1, 1), (262, 3, 1, 1 if planes == 1 else 2), (273, 4, 1, 8)),
        *((277, 3, 1, planes), (278, 3, 1, 1), (279, 4, 1, len(content))),
    ]
    body = content + struct.pack("<3H", bits, bits, bits)
    directory = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(body))
    return head + body + struct.pack("<H", len(tags)) + directory + struct.pack("<I", 0)


def test_a_tiff_file_that_states_12_bits_is_scaled_by_them(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff([0, 4095, 2048, 100], bits=12))
    assert read_image(path)[0, :, 0].tolist() == [0, 255, 128, 6]


def test_dark_16_bit_colours_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff([0, 4095, 100, 4000, 20, 30], bits=16, planes=3))
    assert "16-bit colours stop near 3,840 of 65,535 and would be dark" in error_of(path)
    assert read_image(path, bit_depth=16).tolist() == [[[0, 15, 0], [15, 0, 0]]]
    path.write_bytes(tiff([0, 65535, 100, 4000, 20, 30], bits=16, planes=3))
    assert read_image(path).max() == 255


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pixels_without_a_known_range_are_refused(tmp_path: Path, kind: type) -> None:
    path = tmp_path / "a.tiff"
    Image.fromarray(np.array([[0, 70_000, 255]], kind)).save(path)
    assert "have no known range; save it with 8 bits" in error_of(path)


def test_what_is_transparent_shows_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pixels = np.array([[[200, 0, 40, 255], [200, 0, 40, 0], [200, 0, 40, 51]]], np.uint8)
    Image.fromarray(pixels).save(path)
    assert read_image(path).tolist() == [[[200, 0, 40], [255, 255, 255], [244, 204, 212]]]
    Image.fromarray(np.array([[[60, 255], [60, 0]]], np.uint8), "LA").save(path)
    assert read_image(path)[0, :, 0].tolist() == [60, 255]
    indexed = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    indexed.putpalette([10, 20, 30, 40, 50, 60])
    indexed.save(path, transparency=1)
    assert read_image(path).tolist() == [[[10, 20, 30], [255, 255, 255]]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_upright(tmp_path: Path, orientation: int) -> None:
    upright = photograph()
    stored = {  # as a camera stores what is upright, by the definition of the tag
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=tags)
    assert (read_image(tmp_path / "a.png") == upright).all()


def test_of_a_film_the_first_image_is_read(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (8, 6), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert (read_image(tmp_path / "a.gif") == [255, 0, 0]).all()


def test_no_image_is_one_line(tmp_path: Path) -> None:
    assert "No such file" in error_of(tmp_path / "missing.png")
    assert "directory" in error_of(tmp_path)
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    assert "is empty" in error_of(path)
    path.write_text("<svg/>")
    assert "not an image" in error_of(path)
    Image.fromarray(np.ones((2, 2), np.float32)).save(tmp_path / "a.tiff")
    assert "float pixels" in error_of(tmp_path / "a.tiff")


def test_an_absurdly_large_image_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    rows = chunk(b"IDAT", zlib.compress(b"\0"))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b""))
    assert "has 3,600,000,000 pixels, but at most" in error_of(path)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged tags
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "gif", "tiff", "bmp"])
def test_a_broken_file_is_one_line(tmp_path: Path, kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(photograph()).save(buffer, kind)
    content = buffer.getvalue()
    path = tmp_path / "a"
    for kept in range(1, len(content) * 9 // 10, max(1, len(content) // 25)):
        path.write_bytes(content[:kept])
        error_of(path)
    generator = np.random.default_rng(0)
    for _ in range(60):
        broken = np.frombuffer(content, np.uint8).copy()
        places = generator.integers(0, min(200, len(broken)), 3)
        broken[places] = generator.integers(0, 256, 3)
        path.write_bytes(broken.tobytes())
        try:
            assert read_image(path).shape[2] == 3
        except RosettaError as error:
            assert "\n" not in str(error)


def test_samples_are_scikit_images_own_and_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked for the network")

    monkeypatch.setattr(socket, "socket", refuse)
    assert SAMPLES == ("astronaut", "chelsea", "coffee", "rocket")
    for name in SAMPLES:
        assert (sample_image(name) == getattr(skimage.data, name)()).all()


@pytest.mark.parametrize(
    ("name", "said"), [("astronut", "did you mean 'astronaut'?"), ("../logo", "they are astronaut")]
)
def test_no_such_sample(name: str, said: str) -> None:
    with pytest.raises(RosettaError) as error:
        sample_image(name)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_crops() -> None:
    image = np.arange(5 * 8 * 3, dtype=np.uint8).reshape(5, 8, 3)
    assert (crop_square(image, (3, 1, 4)) == image[1:5, 3:7]).all()
    assert (crop_square(image, (0, 0, 5)) == image[:, :5]).all()
    assert (crop_square(image, None) == image[:, 1:6]).all()
    assert (crop_square(image.transpose(1, 0, 2), None) == image.transpose(1, 0, 2)[1:6]).all()
    crop_square(image, None)[:] = 0
    assert image[2, 3].any()  # a crop is a copy


@pytest.mark.parametrize("box", [(4, 0, 5), (0, 1, 5), (-1, 0, 3), (0, -1, 3), (2, 2, 0)])
def test_a_box_outside_the_image(box: tuple[int, int, int]) -> None:
    with pytest.raises(RosettaError, match="which is 8 pixels wide and 5 high"):
        crop_square(np.zeros((5, 8, 3), np.uint8), box)


def test_resizing_keeps_the_light_and_does_not_alias() -> None:
    assert resize_image(photograph(), (64, 32)).shape == (64, 32, 3)
    assert (resize_image(np.full((9, 7, 3), 77, np.uint8), (4, 5)) == 77).all()
    checks = np.indices((300, 300)).sum(0) % 2 * 255
    small = resize_image(np.repeat(checks[:, :, None], 3, axis=2).astype(np.uint8), (64, 64))
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127).max() < 6
    image = sample_image("astronaut")
    means = [pixels.mean((0, 1)) for pixels in (image, resize_image(image, (64, 64)))]
    assert means[0] == pytest.approx(means[1], abs=0.5)


def test_what_is_darker_than_its_surroundings_is_drawn() -> None:
    image = np.full((100, 100, 3), 200, np.uint8)
    image[:, 49:51] = 90
    image[20:22] = 255  # light lines aren't drawn
    drawn = sketch_image(image)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    assert (drawn == drawn[:, :, :1]).all()
    assert drawn[50:, 49:51].max() < 60
    assert drawn[50:, :40].min() == drawn[50:, 60:].min() == 255
    assert drawn[20:22, :40].min() == 255


def test_nothing_to_draw_is_white_paper() -> None:
    assert (sketch_image(np.full((32, 32, 3), 90, np.uint8)) == 255).all()
    noise = np.random.default_rng(0).integers(99, 102, (64, 64, 3)).astype(np.uint8)
    assert sketch_image(noise).min() > 200


def test_a_drawing_does_not_depend_on_contrast_or_resolution() -> None:
    face = crop_square(sample_image("astronaut"), FACE)
    drawn = sketch_image(face).astype(int)
    pale = sketch_image((face // 2 + 100).astype(np.uint8))
    assert np.abs(pale - drawn).mean() < 2
    large = sketch_image(
        np.asarray(Image.fromarray(face).resize((540, 540), Image.Resampling.BICUBIC))
    )
    assert np.abs(resize_image(large, (135, 135)) - drawn).mean() < 6


def test_a_drawn_face_can_be_read_when_small() -> None:
    face = crop_square(sample_image("astronaut"), FACE)
    small = resize_image(sketch_image(face), (64, 64))[:, :, 0]
    left, right, mouth = small[27:33, 18:27], small[27:33, 38:48], small[46:54, 23:41]
    assert all(part.min() < 70 for part in (left, right, mouth))
    cheeks, wall = small[36:44, 19:23], small[46:60, 1:5]
    assert cheeks.mean() > 200
    assert wall.mean() > 200
    assert 0.5 < (small > 200).mean() < 0.9
