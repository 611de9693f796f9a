"""Images are read from where people have them, with labels; nothing unsafe or unclear is read."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset
from toy_networks import small, toy

import rosetta_core as rosetta
from rosetta_core import RosettaError
from rosetta_core.api.images.image_set import number_labels

SIDE, COUNT = 12, 6
NAMES = ["cat", "dog"]
LABELS = [0, 1, 1, 0, 1, 0]


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def encoded(pixels: np.ndarray) -> list[bytes]:
    return [png(image) for image in pixels]


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def hub(pixels: np.ndarray, **columns: object) -> datasets.Dataset:
    features = {"photo": datasets.Image(), "kind": datasets.ClassLabel(names=NAMES)}
    content = {"photo": [Image.fromarray(image) for image in pixels], "kind": LABELS, **columns}
    for name in columns:
        features[name] = datasets.Image()
    return datasets.Dataset.from_dict(content, features=datasets.Features(features))


def tar(path: Path, members: dict[str, bytes], *links: tarfile.TarInfo) -> Path:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wb") as file, tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for link in links:
            archive.addfile(link)
    return path


def shard(path: Path, encoded: list[bytes], *, suffix: str = "cls") -> Path:
    """An archive of samples with an image and a label each."""
    members = {}
    for number, (image, label) in enumerate(zip(encoded, LABELS, strict=False)):
        members[f"train/{number:04d}.png"] = image
        text = str(label) if suffix == "cls" else json.dumps({"label": NAMES[label]})
        members[f"train/{number:04d}.{suffix}"] = text.encode()
    return tar(path, members)


def parquet(path: Path, encoded: list[bytes], *, struct: bool = True, **columns: list) -> Path:
    images = [{"bytes": x, "path": f"{n}.png"} for n, x in enumerate(encoded)]
    table = pa.table({"image": images if struct else encoded, **columns})
    pq.write_table(table, path, row_group_size=4)
    return path


class Pairs:
    """A data set of pairs, with names of classes, as torchvision's are."""

    classes = NAMES

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(self.pixels[number]).permute(2, 0, 1), LABELS[number]


def sources(folder: Path, pixels: np.ndarray, encoded: list[bytes]) -> dict[str, Callable]:
    """By name a source of the six images with their labels, all of them made on call."""
    data = lambda: hub(pixels)  # noqa: E731
    as_tensors = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    return {
        "hub": data,
        "hub, streaming": lambda: data().to_iterable_dataset(),
        "hub, as tensors": lambda: data().with_format("torch"),
        "hub, in Parquet": lambda: (
            data().to_parquet(folder / "hub.parquet") and folder / "hub.parquet"
        ),
        "tar": lambda: shard(folder / "a.tar", encoded),
        "tar.gz": lambda: shard(folder / "a.tar.gz", encoded, suffix="json"),
        "tars": lambda: [shard(folder / "b0.tar", encoded[:4]), second(folder, encoded)],
        "pattern of tars": lambda: (
            shard(folder / "b0.tar", encoded[:4]),
            second(folder, encoded),
            str(folder / "b{0..1}.tar"),
        )[-1],
        "parquet": lambda: parquet(folder / "a.parquet", encoded, label=LABELS),
        "parquet, binary": lambda: parquet(
            folder / "b.parquet", encoded, struct=False, label=[NAMES[x] for x in LABELS]
        ),
        "pattern of parquet": lambda: str(
            parquet(folder / "c.parquet", encoded, cls=LABELS).with_name("c*.parquet")
        ),
        "pairs": lambda: Pairs(pixels),
        "subset": lambda: Subset(Pairs(pixels), range(COUNT)),
        "loader": lambda: DataLoader(Pairs(pixels), batch_size=4),
        "tensors": lambda: TensorDataset(as_tensors, torch.tensor(LABELS)),
        "rows": lambda: [
            {"image": image, "label": NAMES[label]}
            for image, label in zip(pixels, LABELS, strict=True)
        ],
        "encoded rows": lambda: [
            {"png": image, "cls": label} for image, label in zip(encoded, LABELS, strict=True)
        ],
    }


def second(folder: Path, encoded: list[bytes]) -> Path:
    members = {f"train/{n:04d}.png": encoded[n] for n in (4, 5)}
    labels = {f"train/{n:04d}.cls": str(LABELS[n]).encode() for n in (4, 5)}
    return tar(folder / "b1.tar", dict(sorted({**members, **labels}.items())))


ALL = list(sources(Path(), np.zeros((1, 1, 1, 3), np.uint8), []))


@pytest.mark.parametrize("name", ALL)
def test_every_source_gives_the_images_and_their_labels(
    name: str, tmp_path: Path, pixels: np.ndarray, encoded: list[bytes]
) -> None:
    read = rosetta.images(sources(tmp_path, pixels, encoded)[name](), size=SIDE)
    assert (read.pixels == pixels).all()
    assert read.labels.dtype == np.int64
    named = set(read.label_texts) <= set(NAMES)
    assert read.label_texts == tuple(NAMES[x] if named else str(x) for x in LABELS)
    assert read.labels.tolist() == LABELS
    assert read.table["label"].tolist() == list(read.label_texts)


@pytest.mark.parametrize("name", ALL)
def test_count_reads_the_first_images_and_not_fewer(
    name: str, tmp_path: Path, pixels: np.ndarray, encoded: list[bytes]
) -> None:
    source = sources(tmp_path, pixels, encoded)[name]
    read = rosetta.images(source(), size=SIDE, count=5)
    assert (read.pixels == pixels[:5]).all()
    assert read.labels.tolist() == LABELS[:5]
    with pytest.raises(RosettaError, match=r"^images: count is 7, but .* has 6; use at most 6"):
        rosetta.images(source(), size=SIDE, count=7)


def test_count_holds_for_folders_arrays_and_sets(tmp_path: Path, pixels: np.ndarray) -> None:
    (tmp_path / "sub").mkdir()
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "sub" / f"{number}.png")
    folder = rosetta.images(tmp_path, size=SIDE)
    assert folder.names == tuple(f"sub/{number}.png" for number in range(COUNT))
    assert folder.labels is None
    assert folder.label_texts == ()
    for source in (tmp_path, pixels, folder):
        assert (rosetta.images(source, size=SIDE, count=3).pixels == pixels[:3]).all()
        with pytest.raises(RosettaError, match=r"count is 7, but .* has 6; use at most 6"):
            rosetta.images(source, count=7)
    part = rosetta.images(folder, count=2, size=6)
    assert part.names == folder.names[:2]
    assert part.pixels.shape == (2, 6, 6, 3)


@pytest.mark.parametrize(
    ("labels", "names", "expected", "texts"),
    [
        ([None, None], (), None, None),
        ([-1, -1], ("a",), None, None),
        ([2, 0, None], (), [2, 0, -1], ()),
        ([1, 0, -1], ("a", "b"), [1, 0, -1], ("a", "b")),
        (["b", "a", "b"], (), [1, 0, 1], ("a", "b")),
        (["b", None], ("c", "b"), [1, -1], ("c", "b")),
        ([3, 0], ("a", "b"), [3, 0], ()),  # names of other classes
        (["x", 0], ("a", "b"), [1, 0], ("a", "x")),
        ([7, "x"], (), [0, 1], ("7", "x")),
    ],
)
def test_labels_are_numbered(labels, names, expected, texts) -> None:
    numbers, every = number_labels(labels, names)
    if expected is None:
        assert numbers is None
    else:
        assert numbers.tolist() == expected
        assert every == texts


def test_what_is_not_a_label_is_left_out(pixels: np.ndarray) -> None:
    boxes = [(image, {"boxes": [1, 2]}) for image in pixels]
    assert rosetta.images(boxes).labels is None


def test_a_column_is_chosen(tmp_path: Path, pixels: np.ndarray, encoded: list[bytes]) -> None:
    other = [Image.fromarray(255 - image) for image in pixels]
    data = hub(pixels, mask=other)
    with pytest.raises(RosettaError, match=r"has the image columns photo, mask; choose one of"):
        rosetta.images(data)
    assert (rosetta.images(data, column="mask", size=SIDE).pixels == 255 - pixels).all()
    with pytest.raises(RosettaError, match="no column 'foto'; use one of photo, kind, mask"):
        rosetta.images(data, column="foto")
    file = tar(tmp_path / "two.tar", {"0.png": encoded[0], "0.seg.png": encoded[1]})
    with pytest.raises(RosettaError, match=r"has the images \.png, \.seg\.png; choose one"):
        rosetta.images(file)
    assert (rosetta.images(file, column="seg.png", size=SIDE).pixels == pixels[1]).all()
    table = parquet(tmp_path / "two.parquet", encoded, thumbnail=encoded)
    with pytest.raises(RosettaError, match="has the image columns image, thumbnail; choose one"):
        rosetta.images(table)
    assert len(rosetta.images(table, column="thumbnail", size=SIDE)) == COUNT


class Endless(Dataset):
    """A data set with a length that answers beyond it, and may fail on a row."""

    def __init__(self, pixels: np.ndarray, fails: int | None = None) -> None:
        self.pixels, self.fails = pixels, fails

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, number: int) -> np.ndarray:
        if number == self.fails:
            return [][number]
        return self.pixels[number % len(self.pixels)]


def test_a_data_set_ends_at_its_length(pixels: np.ndarray) -> None:
    assert (rosetta.images(Endless(pixels)).pixels == pixels).all()
    with pytest.raises(RosettaError, match="fails on row 2"):
        rosetta.images(Endless(pixels, fails=2))


def test_a_data_set_of_splits_or_without_images_is_refused(pixels: np.ndarray) -> None:
    splits = datasets.DatasetDict({"train": hub(pixels), "test": hub(pixels)})
    with pytest.raises(RosettaError, match=r"has the splits train, test; choose one, for example"):
        rosetta.images(splits)
    with pytest.raises(RosettaError, match=r"has no column of images; choose one of kind with"):
        rosetta.images(hub(pixels).select_columns(["kind"]))


def test_a_transform_of_ones_own_is_kept(pixels: np.ndarray) -> None:
    def invert(batch: dict) -> dict:
        return {"image": [255 - np.asarray(image) for image in batch["photo"]]}

    assert (rosetta.images(hub(pixels).with_transform(invert)).pixels == 255 - pixels).all()


def link(kind: bytes, name: str = "0.png", target: str = "/etc/passwd") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    ("member", "message"),
    [
        (link(tarfile.SYMTYPE), "is a link; write it as a file"),
        (link(tarfile.LNKTYPE), "is a link; write it as a file"),
        (link(tarfile.CHRTYPE), "is not a plain file"),
        (link(tarfile.BLKTYPE), "is not a plain file"),
        (link(tarfile.FIFOTYPE), "is not a plain file"),
        (link(tarfile.REGTYPE, "../0.png"), "leads out of it"),
        (link(tarfile.REGTYPE, "a/../../0.png"), "leads out of it"),
        (link(tarfile.REGTYPE, "/tmp/0.png"), "leads out of it"),
        (link(tarfile.DIRTYPE, "../up"), "leads out of it"),
    ],
)
def test_unsafe_members_are_refused(
    member: tarfile.TarInfo, message: str, tmp_path: Path, encoded: list[bytes]
) -> None:
    file = tar(tmp_path / "a.tar", {"1.png": encoded[0]}, member)
    with pytest.raises(RosettaError, match=message) as error:
        rosetta.images(file)
    assert "\n" not in str(error.value)


def bomb(path: Path) -> Path:
    """A compressed archive whose header declares a text of a gigabyte."""
    member = tarfile.TarInfo("././@PaxHeader")
    member.type, member.size = tarfile.XHDTYPE, 2**30
    with gzip.open(path, "wb") as file:
        file.write(member.tobuf())
        file.write(bytes(4096))
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder, _: bomb(folder / "a.tar.gz"), "a part of 1,073,741,824 bytes is more than"),
        (lambda folder, x: cut(shard(folder / "a.tar", x)), "is not a readable archive"),
        (lambda folder, x: cut(shard(folder / "a.tar.gz", x)), "is not a readable archive"),
        (lambda folder, _: text(folder / "a.tar"), "is not a readable archive"),
        (lambda folder, _: text(folder / "a.tgz"), "is not a readable archive"),
        (lambda folder, _: text(folder / "a.parquet"), "is not a readable Parquet file"),
        (lambda folder, x: cut(parquet(folder / "a.parquet", x)), "is not a readable Parquet file"),
        (lambda folder, _: tar(folder / "a.tar", {"0.png": b"no image"}), "not an image"),
        (lambda folder, _: tar(folder / "a.tar", {"0.png": b""}), "is empty"),
        (
            lambda folder, x: tar(folder / "a.tar", {"0.png": x[0], "0.json": b"{"}),
            "0.json: is not JSON",
        ),
        (lambda folder, _: parquet(folder / "a.parquet", [b"no", None]), "row 0: not an image"),
        (lambda folder, x: parquet(folder / "a.parquet", [x[0], None]), "row 1: has no bytes of"),
        (lambda folder, _: folder / "none.tar", "there is no file"),
        (lambda folder, _: str(folder / "none*.tar"), "no file matches"),
        (lambda folder, _: "a{0..9999999}.tar", "names too many files"),
        (lambda folder, _: "https://there.org/a.tar", "is an address; download it"),
        (lambda folder, x: [text(folder / "a.tar"), text(folder / "b.png")], "of several kinds"),
        (
            lambda folder, x: [
                parquet(folder / "a.parquet", x, label=LABELS),
                parquet(folder / "b.parquet", x),
            ],
            "differ in their columns",
        ),
        (lambda folder, x: x[0], "bytes is not a source of images"),
    ],
)
def test_damaged_and_unclear_sources_are_refused_in_one_line(
    make: Callable, message: str, tmp_path: Path, encoded: list[bytes]
) -> None:
    with pytest.raises(RosettaError) as error:
        rosetta.images(make(tmp_path, encoded))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def cut(path: Path) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
    return path


def text(path: Path) -> Path:
    path.write_text("a text that is long enough to be taken for something else" * 20)
    return path


def test_samples_without_an_image_are_counted(
    tmp_path: Path, encoded: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    file = tar(
        tmp_path / "a.tar",
        {"0.png": encoded[0], "0.txt": b"a caption", "1.txt": b"only text", "._0.png": b"a fork"},
    )
    with caplog.at_level("WARNING", logger="rosetta"):
        read = rosetta.images(file, size=SIDE)
    assert read.names == ("0",)
    assert "left out: 1 samples with no image" in caplog.text


def test_features_in_parquet_are_strict_json(tmp_path: Path, encoded: list[bytes]) -> None:
    table = pa.table({"image": [{"bytes": encoded[0], "path": None}]})
    table = table.replace_schema_metadata({b"huggingface": b'{"info": NaN}'})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(RosettaError, match="the metadata of datasets cannot be read"):
        rosetta.images(tmp_path / "a.parquet")


def test_labels_appear_in_tables_figures_and_pages(tmp_path: Path, pixels: np.ndarray) -> None:
    mined = rosetta.mine(small(0), [small(1)], Pairs(pixels), k=2)
    assert mined.image_table["label"].tolist() == [NAMES[x] for x in LABELS]
    assert mined.image_table["name"].isna().all()
    page = mined.write_site(tmp_path / "site")
    assert '"dog"' in (page.parent / "data/files.js").read_text()
    drawn = [text.get_text() for text in mined.plot_image(1).texts]
    assert "dog" in drawn


def test_an_equal_generator_fits_images_that_another_call_drew() -> None:
    first, second = toy(0), toy(1)
    samples = rosetta.sample(first, 8)
    with pytest.raises(RosettaError, match=r"were not drawn by it; draw them with sample\(pivot"):
        rosetta.mine(second, [small(1)], samples, k=2)
    second.network.network.load_state_dict(first.network.network.state_dict())
    mined = rosetta.mine(second, [small(1)], samples, k=2)
    expected = rosetta.mine(first, [small(1)], samples, k=2)
    pd.testing.assert_frame_equal(mined.concepts, expected.concepts)
    with torch.no_grad():
        second.network.network.paint.bias.add_(0.5)
    with pytest.raises(RosettaError, match="were not drawn by it"):
        rosetta.mine(second, [small(1)], samples, k=2)


def test_more_neighbours_than_units_are_refused(pixels: np.ndarray) -> None:
    message = r"^k: 12 is more than the 11 units of small0 that can be neighbours; use a smaller k$"
    with pytest.raises(RosettaError, match=message):
        rosetta.mine(small(0), [small(1, channels=9)], pixels, k=12)
    corr = np.zeros((4, 6), np.float32)
    rosetta.best_buddies(corr, k=4)
    with pytest.raises(RosettaError, match="k: 5 is more than the 4 units of a model"):
        rosetta.best_buddies(corr, k=5)
    with pytest.raises(RosettaError, match="k: 4 is more than the 3 units of a model"):
        rosetta.best_buddies(np.eye(4), k=4, same_model=True)
