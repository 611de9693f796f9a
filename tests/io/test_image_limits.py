"""Image files by strangers: decoders of a list, in this process, with limits that hold."""

import ast
import gzip
import io
import resource
import struct
import subprocess
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from checkout import ROOT
from PIL import Image, ImageFile

from rosetta_core.errors import RosettaError
from rosetta_core.io.image_files import check_images
from rosetta_core.io.images import FORMATS, MAX_PIXELS, has_frames, open_image, read_image

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
SUFFIXES = ("png", "jpg", "tiff", "webp", "gif", "bmp", "eps", "ps", "heic", "ico")
DECODERS = ("imread", "decode_image", "read_image_file", "imageio", "cv2", "matplotlib.image")


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(width: int, height: int, *chunks: bytes, kind: int = 2) -> bytes:
    """A PNG with a header of that size, further chunks and one row of pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(1 + 3 * min(width, 9)) * min(height, 9)))
    return b"".join([b"\x89PNG\r\n\x1a\n", header, *chunks, rows, chunk(b"IEND", b"")])


def tiff(width: int, height: int, *tags: tuple[int, int, int, int]) -> bytes:
    """A little-endian TIFF with these tags (number, type, count, value) beside its size."""
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1)]
    entries += [(262, 3, 1, 1), (273, 4, 1, 8), (277, 3, 1, 1), (279, 4, 1, 64)]
    known = {number: (number, *rest) for number, *rest in [*entries, *tags]}
    packed = b"".join(struct.pack("<HHII", *known[number]) for number in sorted(known))
    start = struct.pack("<2sHI", b"II", 42, 8)
    return start + struct.pack("<H", len(known)) + packed + struct.pack("<I", 0) + bytes(256)


def ico(content: bytes) -> bytes:
    """An icon that states 16 × 16 pixels and holds another file."""
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(content), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + content


def iptc(content: bytes) -> bytes:
    """An IPTC file, whose content Pillow would give to any of its decoders."""

    def record(number: int, tag: int, value: bytes) -> bytes:
        return struct.pack(">BBBH", 0x1C, number, tag, len(value)) + value

    size = record(3, 20, b"\0\x09") + record(3, 30, b"\0\x09")
    return record(3, 60, b"\x01\0") + size + record(3, 120, b"\x05") + record(8, 10, content)


def webp(width: int, height: int) -> bytes:
    """A lossless WebP whose header states a size, without pixels."""
    bits = (width - 1) | (height - 1) << 14
    content = b"VP8L" + struct.pack("<IBI", 6, 0x2F, bits) + b"\0\0"
    return b"RIFF" + struct.pack("<I", len(content) + 4) + b"WEBP" + content


def gif_beyond_its_screen(width: int, height: int) -> bytes:
    """A GIF of 1 × 1 pixels whose frame is larger."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02D\x01\0;"


def bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 64, 0, 0, 54) + header + bytes(64)


def error_of(path: Path, **options: int) -> str:
    with pytest.raises(RosettaError) as error:
        read_image(path, **options)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


def test_one_module_opens_images() -> None:
    """With a list of formats; a second door would have other limits."""
    for source in sorted((ROOT / "rosetta_core").rglob("*.py")):
        for node in ast.walk(ast.parse(source.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert not any(name in called for name in DECODERS), source
            if called == "Image.open":
                assert source.name == "images.py" and source.parent.name == "io"
                assert "formats" in {keyword.arg for keyword in node.keywords}


def test_the_list_has_no_format_that_leaves_this_process() -> None:
    """Nor any that gives its content to decoders which are not on the list."""
    assert not {"EPS", "IPTC", "WMF", "PDF", "FPX", "MIC", "BUFR", "GRIB", "HDF5"} & set(FORMATS)
    assert not {"BLP", "FITS", "ICNS", "MPEG"} & set(FORMATS)
    Image.init()
    assert set(FORMATS) - {"HEIF"} <= set(Image.OPEN)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("wrap", [bytes, iptc, ico], ids=["plain", "in IPTC", "in an icon"])
def test_a_postscript_program_is_never_run(tmp_path: Path, monkeypatch, suffix, wrap) -> None:
    """Whatever the file is called, and in whatever it is wrapped."""

    def refuse(*arguments: object, **_: object) -> None:
        raise AssertionError(f"started {arguments}")

    for name in ("Popen", "run", "call", "check_call", "check_output"):
        monkeypatch.setattr(subprocess, name, refuse)
    monkeypatch.setattr("os.system", refuse)
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(wrap(EPS))
    error_of(path)


TOO_LARGE = {
    "png": png(13_000, 13_100),
    "png, grey": png(60_000, 60_000, kind=0),
    "png, one row": png(2**31 - 1, 1),
    "bmp": bmp(13_000, 13_100),
    "tiff": tiff(13_000, 13_100),
    "tiff, a tile": tiff(10, 10, (322, 4, 1, 12_000), (323, 4, 1, 12_000), (324, 4, 1, 8)),
    "webp": webp(12_000, 12_000),
    "gif": gif_beyond_its_screen(12_000, 12_000),
    "ppm": b"P6 13000 13100 255\n" + bytes(99),
    "tga": struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, 13_000, 13_100, 24, 0) + bytes(99),
    "ico": ico(png(12_000, 12_000)),
    "qoi": b"qoif" + struct.pack(">IIBB", 13_000, 13_100, 3, 0) + bytes(99),
    "psd": b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 13_100, 13_000, 8, 3) + bytes(99),
    "dds": b"DDS " + struct.pack("<7I", 124, 0x1007, 13_000, 13_100, 0, 0, 0) + bytes(99),
}


@pytest.mark.parametrize("kind", TOO_LARGE)
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, kind: str) -> None:
    """No file states its pixels in a way that the limit does not see."""
    path = tmp_path / "a.png"
    path.write_bytes(TOO_LARGE[kind])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message = error_of(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # KiB
    if kind != "dds":  # damaged in other ways too
        assert (
            f"at most {MAX_PIXELS:,} are read; use a smaller image, or raise max_pixels" in message
        )


def test_the_message_names_image_size_limit_and_key(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(13_000, 13_100))
    assert error_of(path) == (
        f"{path}: has 170,300,000 pixels, but at most 67,108,864 are read; use a smaller image, or "
        "raise max_pixels"
    )


def test_the_key_raises_and_lowers_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (40, 50)).save(path)
    assert read_image(path, max_pixels=2000).shape == (50, 40, 3)
    assert "has 2,000 pixels, but at most 1,999 are read" in error_of(path, max_pixels=1999)
    path.write_bytes(png(13_000, 13_100))
    with open_image(path, max_pixels=2**28) as image:  # not decoded
        assert image.size == (13_000, 13_100)
    with pytest.raises(RosettaError, match="has 2,000 pixels, but at most 10"):
        Image.new("RGB", (40, 50)).save(path)
        check_images([path], tmp_path / "cache", max_pixels=10)


def test_the_limit_of_other_code_in_the_process_stays(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    path = tmp_path / "a.png"
    path.write_bytes(png(13_000, 13_100))
    error_of(path)
    Image.new("RGB", (4, 5)).save(path)
    read_image(path)
    assert before == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    "content",
    [
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(2**27))),
        chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(2**27))),
        chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**27))),
        chunk(b"tEXt", b"a\0" + bytes(2**20)) * 70,
        chunk(b"eXIf", b"II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 274, 4, 2**31, 2**31)),
        chunk(b"eXIf", b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535)),
        chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)),
    ],
    ids=["zTXt", "iTXt", "iCCP", "tEXt", "EXIF count", "EXIF entries", "frames"],
)
def test_what_lies_beside_the_pixels_is_limited_too(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png(3, 3, content))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    try:
        assert read_image(path).shape == (3, 3, 3)
        has_frames(path)
    except RosettaError as error:
        assert "\n" not in str(error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB
    assert time.process_time() - started < 5


def test_a_fits_file_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cards = ["SIMPLE  =                    T", "BITPIX  =                    8", "END"]
    path.write_bytes("".join(f"{card:<80}" for card in cards).encode() + gzip.compress(bytes(999)))
    assert "not an image" in error_of(path)


@pytest.mark.parametrize("pages", [1_000, 20_000])
def test_pages_are_not_counted_one_by_one(tmp_path: Path, pages: int) -> None:
    """A TIFF of many pages, and one whose pages follow each other in a circle."""
    buffer = io.BytesIO()
    Image.new("L", (2, 2)).save(buffer, "tiff")
    content = bytearray(buffer.getvalue())
    (start,) = struct.unpack_from("<I", content, 4)
    (entries,) = struct.unpack_from("<H", content, start)
    directory = bytes(content[start : start + 2 + 12 * entries])
    struct.pack_into("<I", content, start + len(directory), len(content))
    place = len(content)
    for _ in range(pages):
        place += len(directory) + 4
        content += directory + struct.pack("<I", place)
    content += directory + struct.pack("<I", start)
    path = tmp_path / "a.tiff"
    path.write_bytes(content)
    started = time.process_time()
    assert read_image(path).shape == (2, 2, 3)
    assert has_frames(path)
    assert time.process_time() - started < 1


def test_large_images_are_decoded_one_at_a_time(tmp_path: Path, monkeypatch) -> None:
    """Threads that check images must not hold one large image each."""
    monkeypatch.setattr("rosetta_core.io.images.LARGE", 99)
    open_now, most = 0, 0
    original = ImageFile.ImageFile.load

    def load(self: ImageFile.ImageFile) -> object:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        time.sleep(0.05)
        open_now -= 1
        return original(self)

    files = [tmp_path / f"{number}.png" for number in range(6)]
    for file in files:
        Image.fromarray(np.zeros((20, 20), np.uint8)).save(file)
    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    check_images(files, tmp_path / "cache")
    assert most == 1
