"""The page of steering jobs is complete, atomic and self-contained."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
import yaml
from made_up import make_up
from made_up_jobs import ABOUT, METHODS, write_job, write_one_of_each
from PIL import Image

from rosetta_core.config.steering import Steering
from rosetta_core.errors import RosettaError
from rosetta_core.pages.dictionary.maximisation_data import read_maximisations
from rosetta_core.pages.steering_page import write_steering_page
from rosetta_core.pages.steering_results import KINDS, number, read_result

HOSTILE = "<script>alert(1)</script>\"'&amp;{{ 7 * 7 }}"
NAMES = {"run": "faces", "pivot": "dcgan", "encoders": ["mobilenet_v2", "mtcnn_onet"]}


class Page(HTMLParser):
    """A page's elements and words."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed((folder / "index.html").read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        return " ".join(word for word in self.words if word)

    def addresses(self) -> list[str]:
        keys = ("href", "src", "poster")
        return [attrs[key] or "" for _, attrs in self.elements for key in keys if key in attrs]


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Smooth and all different."""
    y, x = np.mgrid[0:16, 0:16] / 15
    shades = [np.stack([x * (1 - i / 9), y, np.full_like(x, i / 9)], axis=2) for i in range(8)]
    return (255 * np.stack(shades)).astype(np.uint8)


@pytest.fixture(scope="module")
def jobs(images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_one_of_each(tmp_path_factory.mktemp("run"), images)


@pytest.fixture(scope="module")
def site(jobs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "steering"
    return write_steering_page(folder, jobs, dictionary="../dictionary/index.html", **NAMES)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def changed(job: Path, **content: object) -> None:
    path = job / "job.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | content))


def test_all_files_of_the_page_are_in_its_folder(site: Path, jobs: list[Path]) -> None:
    page, there = Page(site), files(site)
    asked = [a for a in page.addresses() if not a.startswith(("#", "data:", "../dictionary/"))]
    assert {unquote(address) for address in asked} == set(there) - {"index.html"}
    for job in jobs:
        kind = json.loads((job / "job.json").read_text())["kind"]
        for file in (
            "contact_sheet.png",
            "maps.png",
            "loss_curve.png",
            "trajectory.mp4",
            "table.md",
        ):
            copied = there.get(f"jobs/{kind}/{job.name}/{file}")
            assert copied == ((job / file).read_bytes() if (job / file).is_file() else None)


def test_nothing_is_loaded_from_elsewhere_and_no_path_of_this_machine_is_shown(
    site: Path, jobs: list[Path]
) -> None:
    for name in ("index.html", "style.css", "steering.css"):
        text = (site / name).read_text(encoding="utf-8")
        assert not re.search(r"https?:|file://|url\(", text)
        assert str(site.parent) not in text and str(jobs[0].parents[1]) not in text
    page = Page(site)
    assert not any(address.startswith("/") for address in page.addresses())
    assert not any(tag == "script" for tag, _ in page.elements)
    (policy,) = [
        attrs["content"]
        for _, attrs in page.elements
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None and policy.startswith("default-src 'none'")


def test_each_job_is_in_its_section(site: Path, jobs: list[Path]) -> None:
    page = Page(site)
    heads = [kind.title for kind in KINDS.values()]
    places = [page.text.rindex(head) for head in heads]
    assert places == sorted(places)
    for kind, about in ABOUT.items():
        assert about in page.text
        assert f"made_up_{kind}" in page.text
    for words in ("0.31 → 0.67", "15.8 pixels of 16", "image.seed", "mobilenet_v2; mtcnn_onet"):
        assert words in page.text
    alts = [attrs["alt"] for tag, attrs in page.elements if tag == "img"]
    assert all(alts) and any(ABOUT["edit"] in (alt or "") for alt in alts)
    concepts = [a for a in page.addresses() if "#/concept/" in a]
    assert concepts == ["../dictionary/index.html#/concept/1"]
    videos = [attrs for tag, attrs in page.elements if tag == "video"]
    assert len(videos) == 5
    for traits in videos:
        assert {"controls", "muted", "loop", "poster", "aria-label"} <= set(traits)
        assert traits["preload"] == "none" and "autoplay" not in traits


def test_metrics_are_those_of_the_best_start(jobs: list[Path]) -> None:
    rows = pd.read_parquet(jobs[0] / "metrics.parquet")
    best = rows[rows["best"]]
    assert read_result(jobs[0]).metrics.rows == [
        [row.metric, number(row.value)] for row in best.itertuples()
    ]
    shown = read_result(jobs[-1]).metrics
    assert shown.head == ["", "PSNR (dB)"]
    assert [row[0] for row in shown.rows] == [f"seed {i}, {m}" for i in (0, 1) for m in METHODS]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.67124, "0.6712"), (-3.0, "−3"), (12345.6, "12346"), (float("nan"), "–"), (0.0, "0")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value) == text


def test_table_1_has_the_best_of_each_measure_in_bold(jobs: list[Path]) -> None:
    table = pd.read_parquet(jobs[-1] / "table.parquet")
    # worse than the last by its features, better by its PSNR; and one that reads as the best
    table.loc[(table["method"] == "mtcnn_onet") & (table["metric"] != "PSNR (dB)"), "mean"] = 0.3993
    table.loc[(table["method"] == "mobilenet_v2") & (table["metric"] == "PSNR (dB)"), "mean"] = 20
    table = table.drop(index=table.index[0])  # no PSNR without matches
    table.to_parquet(jobs[-1] / "changed.parquet")
    original = (jobs[-1] / "table.parquet").rename(jobs[-1] / "kept.parquet")
    try:
        (jobs[-1] / "changed.parquet").rename(jobs[-1] / "table.parquet")
        found = read_result(jobs[-1]).comparison
    finally:
        original.replace(jobs[-1] / "table.parquet")
    assert found is not None
    assert found.metrics == [("PSNR (dB)", False), ("features of mtcnn_onet", True)]
    bold = {
        method: [mean.best if mean else None for mean in means]
        for method, means in found.rows.items()
    }
    assert bold.pop("none") == [None, False]
    assert bold.pop("mobilenet_v2") == [True, False]
    assert bold.pop("all") == [False, True]
    assert bold == {"efficientnet_lite0": [False, False], "mtcnn_onet": [False, True]}
    both = found.rows["all"]
    assert [(one.mean, one.interval) for one in both if one] == [
        ("16.34", "16.29 to 16.39"),
        ("0.399", "0.349 to 0.449"),
    ]
    assert found.images == "16"


def test_names_and_words_show_as_text(images: np.ndarray, tmp_path: Path) -> None:
    hostile = [
        write_job(tmp_path, kind, images, name=HOSTILE, about=HOSTILE, folder=f'a b#"{kind}?%')
        for kind in KINDS
    ]
    for job in hostile:
        settings = {HOSTILE: {HOSTILE: [HOSTILE]}}
        changed(job, summary=[[HOSTILE, HOSTILE]], settings=settings)
    rows = pd.read_parquet(hostile[-1] / "table.parquet")
    rows.assign(method=rows["method"] + HOSTILE, metric=rows["metric"] + HOSTILE).to_parquet(
        hostile[-1] / "table.parquet"
    )
    names = {"run": HOSTILE, "pivot": HOSTILE, "encoders": [HOSTILE]}
    site = write_steering_page(tmp_path / "site", hostile, **names)
    page = Page(site)
    assert not any(tag == "script" for tag, _ in page.elements)
    assert page.text.count(HOSTILE) > 20
    there = files(site)
    for address in page.addresses():
        if not address.startswith(("#", "data:")):
            assert unquote(address) in there


def test_without_jobs_the_page_says_how_to_declare_one(tmp_path: Path) -> None:
    page = Page(write_steering_page(tmp_path / "site", [], **NAMES))
    assert "This run has no steering jobs" in page.text
    text = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    example = text.partition("<code>")[2].partition("</code>")[0]
    declared = Steering.model_validate(yaml.safe_load(example)["steering"])
    assert len(declared.jobs) == 3
    assert set(files(tmp_path / "site")) == {"index.html", "style.css", "steering.css"}


def test_same_jobs_are_the_same_page(site: Path, jobs: list[Path], tmp_path: Path) -> None:
    dictionary = "../dictionary/index.html"
    again = write_steering_page(tmp_path / "other", jobs, dictionary=dictionary, **NAMES)
    assert files(again) == files(site)


def test_missing_files_are_named_and_the_old_page_stays(images: np.ndarray, tmp_path: Path) -> None:
    job = write_job(tmp_path, "edit", images)
    site = write_steering_page(tmp_path / "site", [job], **NAMES)
    before = files(site)
    for file in ("contact_sheet.png", "metrics.parquet", "job.json"):
        kept = (job / file).rename(tmp_path / file)
        with pytest.raises(RosettaError, match=f"{file}: .*run the job again$"):
            write_steering_page(site, [job], **NAMES)
        kept.rename(job / file)
    changed(job, kind="edits")
    with pytest.raises(RosettaError, match="'edits'"):
        write_steering_page(site, [job], **NAMES)
    changed(job, kind="edit")
    metrics = pd.read_parquet(job / "metrics.parquet")
    metrics.assign(best=True).to_parquet(job / "metrics.parquet")
    with pytest.raises(RosettaError, match="of two best restarts"):
        write_steering_page(site, [job], **NAMES)
    with pytest.raises(RosettaError, match="two steering jobs"):
        metrics.to_parquet(job / "metrics.parquet")
        write_steering_page(site, [job, job], **NAMES)
    assert files(site) == before
    assert {path.name for path in tmp_path.iterdir()} == {"edits", "site"}


def test_a_page_is_replaced_as_a_whole(images: np.ndarray, tmp_path: Path) -> None:
    job = write_job(tmp_path, "tuning", images)
    site = write_steering_page(tmp_path / "site", [job], **NAMES)
    (job / "trajectory.mp4").unlink()
    write_steering_page(site, [job], **NAMES)
    assert not any(name.endswith(".mp4") for name in files(site))
    assert not any(tag == "video" for tag, _ in Page(site).elements)


def test_shows_are_on_the_page_of_their_concept(jobs: list[Path], tmp_path: Path) -> None:
    (show,) = read_maximisations([job for job in jobs if job.parent.name == "shows"])
    assert (show.concept, show.about) == (1, ABOUT["show"])
    assert show.values.tolist() == [[0.1, 4.2], [-0.3, 3.9], [0.5, 2.25]]
    make_up(["g", "x"], concepts=3, layers=["a"], channels=5).write(
        tmp_path, examples=2, maximisations=[show]
    )
    texts = [(tmp_path / f"data/concepts/{n}.js").read_text(encoding="utf-8") for n in range(3)]
    found = [
        json.loads(text.partition('",')[2].removesuffix(");\n"))["maximisations"] for text in texts
    ]
    values = [[0.1, 4.2], [-0.3, 3.9], [0.5, 2.25]]
    assert found == [[], [{"number": 0, "about": ABOUT["show"], "values": values}], []]
    pictures = sorted((tmp_path / "pictures" / "maximisations" / "0").iterdir())
    assert [path.name for path in pictures] == ["0.webp", "1.webp", "2.webp"]
    for path, pair in zip(pictures, zip(show.before, show.after, strict=True), strict=True):
        drawn = np.asarray(Image.open(path).convert("RGB")).astype(float)
        side = drawn.shape[0]
        assert drawn.shape == (side, 2 * side, 3)
        for half, image in zip((drawn[:, :side], drawn[:, side:]), pair, strict=True):
            expected = np.asarray(Image.fromarray(image).resize((side, side))).astype(float)
            assert np.abs(half - expected).mean() < 6


def test_values_of_a_show_go_with_their_images(images: np.ndarray, tmp_path: Path) -> None:
    job = write_job(tmp_path, "show", images, concept=0)
    rows = pd.read_parquet(job / "metrics.parquet")
    # as a job writes them: starts by their own numbers, in the order of the images
    rows["restart"] = rows["restart"].map({0: 2, 1: 0, 2: 1}).astype(np.int32)
    rows = rows.sort_values("metric", kind="stable")
    rows.to_parquet(job / "metrics.parquet")
    (show,) = read_maximisations([job])
    assert show.values.tolist() == [[0.1, 4.2], [-0.3, 3.9], [0.5, 2.25]]
    rows[rows["restart"] != 1].to_parquet(job / "metrics.parquet")
    with pytest.raises(RosettaError, match="3 and 3 images of 2 restarts"):
        read_maximisations([job])
    shutil.rmtree(job)
    with pytest.raises(RosettaError, match="run the job again"):
        read_maximisations([job])
