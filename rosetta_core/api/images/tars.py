"""Images in WebDataset archives: samples are consecutive members with a common name.

A member "folder/0001.jpg" belongs to the sample "folder/0001" and has the suffix "jpg"; labels are
in members .cls (text) or .json (key label or cls). Archives may come from others: nothing is
extracted, and links, devices and paths out of the archive are refused.
"""

import gzip
import io
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

from rosetta_core.api.images.image_set import Label
from rosetta_core.api.images.pixels import decode
from rosetta_core.api.images.rows import LABELS, plain_label
from rosetta_core.api.images.stream import ImageStream, Reading, StreamedImage
from rosetta_core.errors import RosettaError, one_line
from rosetta_core.io.images import image_suffixes
from rosetta_core.io.strict_json import parse_json
from rosetta_core.runtime.progress import log

__all__ = ["TAR_SUFFIXES", "tar_stream"]

TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz")
MAX_MEMBER = 2**28  # bytes of a member that is read, and of a header
MAX_LABEL = 2**20  # bytes of a member with a label
LABEL_SUFFIXES = ("cls", "json")

Sample = dict[str, bytes]  # content of the members by suffix


def tar_stream(files: Sequence[Path], reading: Reading, source: str) -> ImageStream:
    """Return the images of archives, one after the other.

    Args:
        files: archives, with or without compression by gzip.
        reading: how the images are read; `column` is the suffix of images.
        source: what the files are, for pages.

    Raises:
        RosettaError: a file is missing.
    """
    for file in files:
        if not file.is_file():
            raise RosettaError(f"images: there is no file {file}; correct the path")

    def read() -> Iterator[StreamedImage]:
        without = 0
        for file in files:
            for key, sample in _samples(file, reading.column):
                suffix = _image_suffix(sample, reading.column, f"{file}: {key}")
                if suffix is None:
                    without += 1
                    continue
                pixels = decode(
                    sample[suffix],
                    f"{file}: {key}.{suffix}",
                    reading.encoded_size,
                    bit_depth=reading.bit_depth,
                )
                yield StreamedImage(pixels, key, _label(sample, f"{file}: {key}"))
        if without:
            what = f"no .{reading.column}" if reading.column else "no image"
            log.warning("%s: left out: %d samples with %s", source, without, what)

    return ImageStream(read(), source)


class _Bounded(io.RawIOBase):
    """A file whose reads are bounded, since headers of archives are read as a whole."""

    def __init__(self, file: IO[bytes] | Any) -> None:
        self._file = file

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes; tarfile.ReadError without a bound."""
        if not 0 <= size <= MAX_MEMBER:
            raise tarfile.ReadError(f"a part of {size:,} bytes is more than {MAX_MEMBER:,}")
        return self._file.read(size)


def _samples(file: Path, column: str | None) -> Iterator[tuple[str, Sample]]:
    """Yield the key and the members of the samples of an archive."""
    opener = gzip.open if file.name.lower().endswith("gz") else open
    key: str | None = None
    sample: Sample = {}
    try:
        with (
            opener(file, "rb") as raw,
            tarfile.open(fileobj=_Bounded(raw), mode="r:") as archive,
        ):
            for member in archive:
                archive.members = []  # type: ignore[attr-defined] # there may be millions
                place = _checked_path(member, file)
                if place is None:
                    continue
                stem, _, suffix = place.name.partition(".")
                own, suffix = (place.parent / stem).as_posix(), suffix.lower()
                if own != key:
                    if key is not None:
                        yield key, sample
                    key, sample = own, {}
                if suffix in sample:
                    raise RosettaError(
                        f"{file}: has two members {own}.{suffix}; remove one of them"
                    )
                sample[suffix] = _content(archive, member, file, suffix, column)
                if sum(map(len, sample.values())) > MAX_MEMBER:
                    raise RosettaError(
                        f"{file}: sample {own} has more than {MAX_MEMBER:,} bytes; remove it"
                    )
        if key is not None:
            yield key, sample
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise RosettaError(f"{file}: is not a readable archive ({reason})") from error


def _checked_path(member: tarfile.TarInfo, file: Path) -> PurePosixPath | None:
    """Return the path of a member, None for folders and hidden files; refuse unsafe members."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or "\0" in member.name:
        raise RosettaError(f"{file}: member {member.name!r} leads out of it; do not use the file")
    if member.isdir():
        return None
    if not member.isreg() or member.issparse():
        kind = "a link" if member.issym() or member.islnk() else "not a plain file"
        raise RosettaError(f"{file}: member {member.name!r} is {kind}; write it as a file")
    return None if path.name.startswith(".") else path


def _content(
    archive: tarfile.TarFile, member: tarfile.TarInfo, file: Path, suffix: str, column: str | None
) -> bytes:
    """Return the content of a member; empty if neither an image nor a label."""
    label = suffix in LABEL_SUFFIXES
    if not label and suffix != column and not _is_image(suffix):
        return b""
    most = MAX_LABEL if label else MAX_MEMBER
    if member.size > most:
        raise RosettaError(
            f"{file}: member {member.name!r} has {member.size:,} bytes, but at most {most:,} are "
            "read; remove it"
        )
    opened = archive.extractfile(member)
    content = opened.read(member.size) if opened else b""
    if len(content) < member.size:
        raise tarfile.ReadError(f"it ends within member {member.name!r}")
    return content


def _is_image(suffix: str) -> bool:
    return f".{suffix.rpartition('.')[2]}" in image_suffixes()


def _image_suffix(sample: Sample, column: str | None, where: str) -> str | None:
    """Return the suffix of the image of a sample; None if it has none."""
    if column is not None:
        suffix = column.lower().removeprefix(".")
        return suffix if suffix in sample else None
    found = [suffix for suffix in sample if _is_image(suffix)]
    if len(found) > 1:
        raise RosettaError(
            f"{where}: has the images .{', .'.join(sorted(found))}; choose one with column"
        )
    return found[0] if found else None


def _label(sample: Sample, where: str) -> Label:
    """Return the label of a sample, from its member .cls or .json."""
    if "cls" in sample:
        text = sample["cls"].decode("utf-8", "replace").strip()
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text or None
    if "json" not in sample:
        return None
    try:
        content = parse_json(sample["json"])
    except ValueError as error:
        raise RosettaError(f"{where}.json: is not JSON ({one_line(error)}); correct it") from error
    if not isinstance(content, dict):
        return None
    labels = [plain_label(content[key]) for key in LABELS if key in content]
    return labels[0] if labels else None
