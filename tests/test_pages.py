"""The pages show what the tables say, on the right images, whatever the names are."""

from html.parser import HTMLParser

import numpy as np
import oracle
import pandas as pd
import pytest
from PIL import Image

from rosetta_core.mining.examples import best_examples, evidence, leading_units
from rosetta_core.pages.dictionary import Entry, ModelSummary, Unit, write_dictionary
from rosetta_core.pages.heatmap import contrast, overlay

HOSTILE = "<script>alert('x')</script>\"/é{{ 7 * 7 }}"


def test_leading_units_have_the_best_buddies_on_average() -> None:
    rows = [
        (1, "x", 10, 0.9), (1, "y", 20, 0.1),
        (2, "x", 11, 0.6), (2, "x", 12, 0.7), (2, "y", 21, 0.5), (2, "y", 20, 0.2),
    ]  # fmt: skip
    concept = pd.DataFrame(rows, columns=["pivot_unit", "model", "unit", "corr"])
    assert leading_units(concept, pivot="g") == {"g": 2, "x": 12, "y": 21}


def test_evidence_is_the_mean_product_of_enlarged_maps() -> None:
    rng = np.random.default_rng(0)
    pivot = rng.standard_normal((5, 8, 8)).astype(np.float32)
    encoders = {
        name: rng.standard_normal((5, *grid)).astype(np.float32)
        for name, grid in {"x": (3, 3), "y": (14, 14), "z": (4, 20)}.items()
    }
    expected = np.zeros(5)
    for other in encoders.values():
        size = tuple(np.maximum(pivot.shape[1:], other.shape[1:]).tolist())
        f, g = (oracle.enlarge(maps[:, None], size).reshape(5, -1) for maps in (pivot, other))
        expected += (f * g).mean(1).numpy() / 3
    np.testing.assert_allclose(evidence(pivot, encoders), expected, atol=1e-6)


@pytest.mark.parametrize("cut", [4, 1, 3])
def test_best_examples_however_images_come(cut: int) -> None:
    size = np.array([0.1, 0.9, 0.5, 0.9], np.float32)[:, None, None] ** 0.5
    maps = {model: np.repeat(np.repeat(size, 2, 1), 2, 2) for model in ("g", "d")}
    found: list = []
    for images in (range(cut), range(cut, 4)):
        part = {model: array[images.start : images.stop] for model, array in maps.items()}
        if images:
            found = best_examples("g", part, images, before=found, count=3)
    assert [example.image for example in found] == [1, 3, 2]
    assert [round(example.score, 3) for example in found] == [0.9, 0.9, 0.5]
    np.testing.assert_array_equal(found[2].maps["d"], maps["d"][2])


def test_overlay_is_warm_where_the_unit_fires_and_grey_elsewhere() -> None:
    image = np.full((64, 64, 3), (40, 160, 90), np.uint8)
    activation = np.zeros((4, 4), np.float32)
    activation[0, 3] = 5
    drawn = overlay(image, activation, full=5, size=96).astype(int)
    assert drawn.shape == (96, 96, 3)
    hot, cold = drawn[4, 91], drawn[90, 5]
    assert hot[0] > 1.5 * hot[2]
    assert np.ptp(cold) < np.ptp(image[0, 0]) / 2
    assert contrast(np.array([-3.0, 0.1], np.float32)) == 1  # noise isn't blown up


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def entry(concept: int, models: list[str]) -> Entry:
    unit = Unit(unit=3, layer=HOSTILE, channel=3, grid="4×4", corr=0.5)
    rng = np.random.default_rng(concept)
    return Entry(
        concept=concept, size=1, mean_corr=0.5, min_corr=0.25,
        leading=dict.fromkeys(models, unit),
        members={model: [unit, unit] for model in models},
        images=[5, 2],
        pictures=[rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(2)],
        maps={model: rng.random((2, 4, 4), np.float32) for model in models},
    )  # fmt: skip


def write(folder, entries: list[Entry], models: list[str]) -> Page:
    summaries = [
        ModelSummary(name, "encoder", HOSTILE, "x", "MIT", 1, 1000, 2, 3, 4) for name in models
    ]
    facts = {"run": HOSTILE, "images": 9, "k": 5, "numbers": [("concepts", 2)], "how": HOSTILE}
    write_dictionary(folder, entries, models=summaries, facts=facts, tile=32)
    return Page((folder / "index.html").read_text())


def test_names_show_as_text_and_every_picture_is_there(tmp_path) -> None:
    models = ["g", HOSTILE]
    page = write(tmp_path / "d", [entry(0, models), entry(1, models)], models)
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(HOSTILE) > 5
    links = [a.get("src") or a.get("href") or "" for _, a in page.tags]
    files = [link for link in links if link and not link.startswith("#")]
    assert len(files) == 5  # the style sheet, two pictures, two sheets
    for file in files:
        assert (tmp_path / "d" / file).is_file(), file
    anchors = {link[1:] for link in links if link.startswith("#")}
    assert anchors <= {a.get("id") for _, a in page.tags}
    for tag, attributes in page.tags:
        if tag == "img":
            with Image.open(tmp_path / "d" / attributes["src"]) as picture:
                assert picture.size == (int(attributes["width"]), int(attributes["height"]))
            assert attributes["alt"]


def test_no_concepts_is_a_page_that_says_so(tmp_path) -> None:
    page = write(tmp_path / "d", [], ["g", "x"])
    assert "No unit of g has a best buddy in every encoder" in " ".join(page.text.split())
