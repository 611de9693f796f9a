"""Which files of a folder are images, which are left out and why, and the check of all of them."""

import logging
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from user_process import SECOND, UserProcess

from rosetta_core.errors import RosettaError
from rosetta_core.io import image_files
from rosetta_core.io.image_files import check_images, list_images
from rosetta_core.io.images import HEIF_SUFFIXES, image_suffixes, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def draw(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS).save(path)
    return path


def names(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in list_images(folder).images]


WRITTEN = [
    suffix
    for suffix in image_suffixes()
    if Image.registered_extensions().get(suffix, "JPEG") in Image.SAVE
    and suffix not in (".blp", ".msp", ".xbm")  # palette or black and white
]


@pytest.mark.parametrize("suffix", WRITTEN)
def test_every_suffix_that_pillow_reads_is_an_image(tmp_path: Path, suffix: str) -> None:
    """In either case of letters; Pillow writes these formats itself."""
    path = tmp_path / f"a{suffix.upper()}"
    file_format = Image.registered_extensions().get(suffix, "JPEG")
    pixels = Image.fromarray(PIXELS)
    pixels = pixels.convert("1") if suffix == ".pbm" else pixels
    pixels = pixels.convert("F") if suffix == ".pfm" else pixels
    pixels.save(path, file_format)
    assert names(tmp_path) == [path.name]
    if suffix == ".pfm":
        with pytest.raises(RosettaError, match="float pixels have no known range"):
            read_image(path)
    else:
        assert read_image(path).shape[2] == 3


def test_the_list_has_the_common_suffixes_and_no_other_program_is_started() -> None:
    common = {".avif", ".gif", ".heic", ".jfif", ".jp2", ".jpg", ".mpo", ".png", ".tga", ".webp"}
    assert common < set(image_suffixes())
    # PostScript runs Ghostscript; the others are containers that Pillow only recognises
    assert not {".eps", ".ps", ".h5", ".grib", ".mpg", ".wmf"} & set(image_suffixes())


def test_a_postscript_program_is_not_run_whatever_its_name(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(RosettaError, match="not an image that Pillow reads"):
        read_image(file)


def test_linked_class_folders_are_followed(tmp_path: Path) -> None:
    elsewhere, photos = tmp_path / "elsewhere", tmp_path / "photos"
    draw(elsewhere / "cats" / "1.png")
    draw(elsewhere / "cats" / "young" / "2.png")
    draw(photos / "dogs" / "3.png")
    (photos / "cats").symlink_to(elsewhere / "cats")
    (photos / "4.png").symlink_to(photos / "dogs" / "3.png")
    (photos / "again").symlink_to("dogs")
    assert names(photos) == ["4.png", "again/3.png", "cats/1.png", "cats/young/2.png", "dogs/3.png"]
    # a folder and its link: the images count twice, which is said
    (note,) = list_images(photos).notes()
    assert "images are listed twice" in note and f"{photos}/dogs" in note
    assert f"{photos}/4.png" in note


@pytest.mark.parametrize("target", [".", "..", "../../photos", "../.."])
def test_a_loop_is_refused(tmp_path: Path, target: str) -> None:
    draw(tmp_path / "photos" / "cats" / "1.png")
    (tmp_path / "photos" / "cats" / "loop").symlink_to(target)
    with pytest.raises(RosettaError) as error:
        list_images(tmp_path / "photos")
    assert str(error.value).startswith(f"{tmp_path}/photos/cats/loop")
    assert "links to a folder that contains it; remove the link" in str(error.value)


def test_a_folder_that_is_a_link_itself(tmp_path: Path) -> None:
    draw(tmp_path / "data" / "1.png")
    (tmp_path / "photos").symlink_to("data")
    assert names(tmp_path / "photos") == ["1.png"]


def test_what_is_left_out_is_counted_with_its_reason(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    draw(tmp_path / ".thumbnails" / "b.png")
    draw(tmp_path / "c" / ".d.png")
    for name in ("e.txt", "f.TXT", "c/g.svg", "README"):
        (tmp_path / name).write_text("words")
    (tmp_path / "h.png").symlink_to("missing.png")
    (tmp_path / "i.png").symlink_to("i.png")
    (tmp_path / "missing").symlink_to("nowhere")
    os.mkfifo(tmp_path / "j.png")
    content = list_images(tmp_path)
    assert content.images == [tmp_path / "a.png"]
    assert content.left_out == {
        "suffix .txt": 2,
        "suffix .svg": 1,
        "no suffix": 1,
        "hidden folder": 1,
        "hidden file": 1,
        "dangling link": 3,
        "device, pipe or socket": 1,
    }
    left_out, used = content.notes(0)
    assert left_out.startswith(f"{tmp_path}: left out: 3 × dangling link, 2 × suffix .txt, 1 × ")
    assert used == f"{tmp_path}: the first 0 of 1 images are used, in path order"
    assert list_images(draw(tmp_path / "only" / "a.png").parent).notes(1) == []


def test_links_to_one_file_are_named_whether_it_is_in_the_folder_or_not(tmp_path: Path) -> None:
    outside, photos = draw(tmp_path / "outside" / "0.png"), tmp_path / "photos"
    draw(photos / "1.png")
    for name, target in (("2.png", outside), ("3.png", outside), ("4.png", photos / "1.png")):
        (photos / name).symlink_to(target)
    content = list_images(photos)
    assert len(content.images) == 4
    assert content.repeated == [photos / "3.png", photos / "4.png"]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda p: p.write_bytes(b""), "is empty; use a PNG or JPEG"),
        (lambda p: p.write_bytes(b"version https://git-lfs.github.com/spec/v1"), "Git LFS pointer"),
        (lambda p: p.write_bytes(b"\n<!DOCTYPE html><html>"), "is a web page, not an image"),
        (lambda p: p.write_bytes(b"/annex/objects/MD5-1"), "git-annex pointer"),
        (lambda p: p.write_bytes(b"\x93NUMPY\1\0"), "not an image that Pillow reads"),
        (cut, "cannot be read: "),
        (lambda p: Image.fromarray(PIXELS[..., 0] / np.float32(9)).save(p, "TIFF"), "float pixels"),
    ],
)
def test_files_that_are_no_images_are_one_line(tmp_path: Path, spoil, problem: str) -> None:
    path = draw(tmp_path / "a.png")
    spoil(path)
    with pytest.raises(RosettaError) as caught:
        check_images([path], tmp_path / "cache")
    assert str(caught.value).startswith(f"{path}: ")
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("CMYK", ".jpg"), ("CMYK", ".tif"), ("LA", ".png"), ("1", ".png"), ("P", ".gif"),
     ("YCbCr", ".jpg"), ("LAB", ".tif"), ("I;16", ".png"), ("RGBA", ".webp")],
)  # fmt: skip
def test_every_mode_is_read_as_rgb_of_about_the_same_colours(
    tmp_path: Path, mode: str, suffix: str
) -> None:
    colour = (200, 120, 40)
    image = Image.new("RGB", (16, 16), colour)
    if mode == "I;16":
        image = Image.fromarray(np.full((16, 16), 150 * 257, np.uint16))
    else:
        image = image.convert(mode)
    image.save(tmp_path / f"a{suffix}")
    found = read_image(tmp_path / f"a{suffix}")
    assert found.shape == (16, 16, 3)
    expected = {"LA": 135, "1": 135, "I;16": 150}.get(mode, colour)
    assert np.abs(found.mean((0, 1)) - expected).max() <= 12  # palettes are dithered


def test_many_kinds_stay_one_line(tmp_path: Path) -> None:
    draw(tmp_path / "a.png")
    for kind in range(20):
        (tmp_path / f"a.kind{kind}").touch()
    (line,) = list_images(tmp_path).notes()
    assert line.endswith(", 12 × other reasons") and len(line) < 400


def test_without_an_image_the_others_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.raw").touch()
    with pytest.raises(RosettaError, match=r"left out: 1 × suffix \.raw"):
        list_images(tmp_path)


def test_heic_is_read_with_its_extra_and_named_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.heic"
    smooth = np.tile(np.arange(0, 256, 4, dtype=np.uint8)[:, None, None], (1, 64, 3))
    Image.fromarray(smooth).save(path, quality=95)
    assert names(tmp_path) == ["a.heic"]
    assert np.abs(read_image(path).astype(int) - smooth).mean() < 3
    draw(tmp_path / "b.png")
    known = tuple(suffix for suffix in image_suffixes() if suffix not in HEIF_SUFFIXES)
    monkeypatch.setattr(image_files, "image_suffixes", lambda: known)
    (note,) = list_images(tmp_path).notes()
    assert "1 × suffix .heic (to read it: pip install 'rosetta-core[heic]')" in note


@pytest.mark.parametrize("name", [b"caf\xe9.png", b"\xff/a.png"])
def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path, name: bytes) -> None:
    draw(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)))
    with pytest.raises(RosettaError) as error:
        list_images(tmp_path)
    message = str(error.value)
    assert message.encode().decode() == message  # can be printed
    assert "\\xe9" in message or "\\xff" in message
    assert message.endswith("the name is not UTF-8; rename the file or its folder")


def test_files_are_checked_again_once_they_change(tmp_path: Path) -> None:
    file, cache = draw(tmp_path / "a.png"), tmp_path / "cache"
    check_images([file], cache)
    (record,) = cache.iterdir()
    check_images([file], cache)
    assert list(cache.iterdir()) == [record]
    file.write_bytes(file.read_bytes()[:50])
    with pytest.raises(RosettaError, match=r"a.png: cannot be read"):
        check_images([file], cache)
    assert list(cache.iterdir()) == [record]


def test_several_frames_are_named_at_each_check(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = [draw(tmp_path / "a.png"), tmp_path / "b.gif", tmp_path / "c.tiff"]
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    for file in files[1:]:
        frames[0].save(file, save_all=True, append_images=frames[1:])
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "rosetta"):
            check_images(files, tmp_path / "cache")
        assert "2 of 3 images have several frames or pages" in caplog.text
        assert "b.gif" in caplog.text and "a.png" not in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize("home", ["writable", "read-only"])
def test_a_folder_that_cannot_be_written_keeps_no_record(home: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        file = draw(folder / "a.png")
        cache, user = folder / "resources", folder / "home"
        cache.mkdir()
        user.mkdir()
        if home == "writable":
            user.chmod(0o777)

        def check() -> None:
            os.environ.pop("XDG_CACHE_HOME", None)
            os.environ["HOME"] = str(user)
            check_images([file], cache / "images")
            check_images([file], cache / "images")

        assert UserProcess(SECOND, check, umask=0o022).error() == ""
        assert list(cache.iterdir()) == []
        kept = [path for path in user.rglob("*") if path.is_file()]
        assert len(kept) == (home == "writable")


def closed_folder(folder: Path) -> None:
    draw(folder / "s" / "c.png")
    (folder / "s").chmod(0)


def behind_a_link(folder: Path) -> None:
    closed_folder(folder)
    (folder / "s").rename(folder.parent / "closed")
    (folder / "l.png").symlink_to(folder.parent / "closed" / "c.png")


def listable_only(folder: Path) -> None:
    closed_folder(folder)
    (folder / "s").chmod(0o644)


def closed_file(folder: Path) -> None:
    draw(folder / "b.png").chmod(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (closed_folder, "s: cannot be read (Permission denied); make the folder readable"),
        (behind_a_link, "l.png: cannot be read (Permission denied); make it and its folder rea"),
        (listable_only, "c.png: cannot be read (Permission denied); make it and its folder rea"),
        (closed_file, "b.png: cannot be read: Permission denied"),
    ],
)
def test_what_a_user_may_not_read_is_one_line(spoil, problem: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(name) / "photos"
        draw(folder / "a.png")
        spoil(folder)

        def check() -> None:
            check_images(list_images(folder).images, Path(name) / "cache")

        error = UserProcess(SECOND, check, umask=0o022).error()
        assert error.startswith("RosettaError: ")
        assert problem in error
