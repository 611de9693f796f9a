"""The page of steering jobs, and what they add to the dictionary, in a real browser."""

from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from made_up import make_up
from made_up_jobs import METHODS, write_job, write_one_of_each
from playwright.sync_api import Page, expect

from rosetta_core.pages.dictionary.maximisation_data import read_maximisations
from rosetta_core.pages.steering_page import write_steering_page

HOSTILE = "<img src=x onerror=\"alert('x')\">&amp;"
NAMES = {"run": "faces", "pivot": "dcgan", "encoders": ["mobilenet_v2", "mtcnn_onet"]}
AGAINST = {"runOnly": ["wcag2a", "wcag2aa", "best-practice"], "preload": False}


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder: a page of jobs of all kinds, a page without, and a dictionary with shows."""
    run = tmp_path_factory.mktemp("steered")
    y, x = np.mgrid[0:64, 0:64] / 63
    shades = [np.stack([x * (1 - i / 11), y, np.full_like(x, i / 11)], axis=2) for i in range(12)]
    images = (255 * np.stack(shades)).astype(np.uint8)
    wide = [(0.1, 4.5 - 0.2 * start) for start in range(8)]
    jobs = [
        *write_one_of_each(run, images),
        write_job(run, "show", images, name="wide", concept=1, activations=wide),
        write_job(run, "edit", images, name=HOSTILE, about=HOSTILE, folder="a b#%"),
    ]
    write_steering_page(run / "steering", jobs, dictionary="../dictionary/index.html", **NAMES)
    write_steering_page(run / "none", [], **NAMES)
    dictionary = make_up(["dcgan", "x"], concepts=3, layers=["a", "b"], channels=4)
    (run / "dictionary").mkdir()
    results = read_maximisations([job for job in jobs if job.parent.name == "shows"])
    dictionary.write(run / "dictionary", examples=2, maximisations=results)
    return run


def check(page: Page) -> None:
    found = Axe().run(page, options=AGAINST)
    assert found.violations_count == 0, found.generate_report()


def test_pictures_show_and_videos_play(opened, results: Path) -> None:
    page = opened(results / "steering")
    expect(page).to_have_title("Steering · faces")
    for summary in page.locator("summary").all():
        summary.click()
    pictures = page.locator("img")
    assert pictures.count() == 8 + 6 + 7  # sheets, maps, losses
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        page.wait_for_function("(i) => i.complete && i.naturalWidth", arg=picture.element_handle())
    videos = page.locator("video")
    assert videos.count() == 7
    first = videos.first
    assert first.evaluate("(video) => [video.muted, video.paused, video.readyState]") == [
        True,
        True,
        0,  # nothing is loaded before it is played
    ]
    first.evaluate("(video) => { video.loop = false; return video.play(); }")
    page.wait_for_function("(video) => video.ended", arg=first.element_handle())
    assert first.evaluate("(video) => [video.videoWidth, video.error]") == [256, None]


def test_metrics_settings_and_table_1_can_be_read(opened, results: Path) -> None:
    page = opened(results / "steering", "#inversion")
    job = page.get_by_role("article", name="made_up_inversion")
    measures = job.get_by_role("table", name="All metrics of the best start")
    expect(measures).to_be_hidden()
    job.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(measures.get_by_role("row")).to_have_count(4)
    expect(job.get_by_role("table", name="Settings")).to_contain_text("image.seed")
    rows = page.locator("table.comparison tbody tr")
    assert rows.locator("th").all_text_contents() == METHODS
    assert page.locator("table.comparison b").all_text_contents() == ["16.34", "0.399"]
    expect(page.locator("table.comparison thead")).to_contain_text("lower is better")


def test_the_page_leads_to_its_jobs_and_to_the_dictionary(opened, results: Path) -> None:
    page = opened(results / "steering")
    page.get_by_role("list", name="Edits by name").get_by_role("link").last.click()
    expect(page.locator("h3:target")).to_have_text(HOSTILE)
    page.get_by_role("link", name="Edits", exact=True).click()
    expect(page.locator("h2:target")).to_have_text("Edits")
    page.get_by_role("link", name="concept 1 in the dictionary").last.click()
    expect(page.locator("h1")).to_have_text("Concept 1")


def test_activation_maximisation_on_the_page_of_a_concept(opened, results: Path) -> None:
    page = opened(results / "dictionary", "#/concept/1")
    expect(page.get_by_role("heading", name="Activation maximisation")).to_be_visible()
    pairs = page.locator(".pairs").first.locator("li")
    assert pairs.all_text_contents() == ["0.10 → 4.20", "−0.30 → 3.90", "0.50 → 2.25"]
    expect(page.locator(".pairs")).to_have_count(2)
    for picture in page.locator(".pairs img").all():
        picture.scroll_into_view_if_needed()
        page.wait_for_function("(i) => i.complete && i.naturalWidth", arg=picture.element_handle())
    page.keyboard.press("ArrowRight")
    expect(page.locator("h1")).to_have_text("Concept 2")
    expect(page.locator("main")).not_to_contain_text("Activation maximisation")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("address", ["steering", "none", "dictionary#/concept/1"])
def test_pages_are_accessible_light_and_dark_and_fit_a_telephone(
    opened, results: Path, address: str, dark: bool
) -> None:
    folder, mark, place = address.partition("#")
    page = opened(results / folder, mark + place, width=400, dark=dark)
    for summary in page.locator("summary").all():
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    if folder == "dictionary":
        page.locator(".pairs").first.scroll_into_view_if_needed()
    check(page)
