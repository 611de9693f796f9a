"""The page of cross-run matches in a real browser."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from checkout import Checkout
from made_up_runs import MODELS, UNITS, random_run, side
from playwright.sync_api import expect

from rosetta_core.mining.matching.cross_run import match_concepts
from rosetta_core.pages.cross_run_page import write_cross_run_page
from rosetta_core.stages.tools.translate import translate_runs

AGAINST = {"runOnly": ["wcag2a", "wcag2aa", "best-practice"], "preload": False}


@pytest.fixture(scope="session")
def translated(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny run matched with itself."""
    folder = tmp_path_factory.mktemp("translated") / "page & <more>"
    translate_runs(finished.run, finished.run, to=folder)
    return folder


@pytest.fixture(scope="session")
def unmatched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two random runs whose names would be markup."""
    folder = tmp_path_factory.mktemp("unmatched")
    found = match_concepts(random_run(0), random_run(1), units=UNITS, permutations=2000)
    write_cross_run_page(folder, found, (side("<b>&"), side('"a"')), encoders=MODELS)
    return folder


def test_concepts_stand_side_by_side_and_lead_to_their_dictionary(opened, translated: Path) -> None:
    page = opened(translated)
    expect(page).to_have_title("tiny and tiny")
    pairs = page.locator("article.pair")
    assert pairs.count() > 0
    assert page.locator("article.pair img").count() == 2 * pairs.count()
    for picture in page.locator("article.pair img").all():
        picture.scroll_into_view_if_needed()
        page.wait_for_function("(i) => i.complete && i.naturalWidth", arg=picture.element_handle())
        width, height, as_said = picture.evaluate(
            "(i) => [i.naturalWidth, i.naturalHeight, i.width / i.height]"
        )
        assert width / height == pytest.approx(as_said, rel=0.02)  # nothing is distorted
    link = page.locator("article.pair figcaption a").first
    name = link.inner_text()  # concept 3 of tiny
    link.click()
    page.wait_for_selector("main h1")
    expect(page.locator("h1")).to_have_text(f"Concept {name.split()[1]}")


def test_shared_units_are_a_key_away(opened, translated: Path) -> None:
    page = opened(translated)
    first = page.locator("article.pair").first
    table = first.get_by_role("table").first
    expect(table).to_be_hidden()
    first.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(table).to_be_visible()
    rows = table.locator("tbody tr")
    assert rows.locator("th").all_text_contents() == [
        *("efficientnet_lite0", "mobilenet_v2", "mtcnn_onet"),
    ]
    shared = [int(text) for text in rows.locator("td:nth-child(2)").all_text_contents()]
    assert f"{sum(shared)} shared unit" in first.inner_text()


def test_a_page_without_significant_matches(opened, unmatched: Path) -> None:
    page = opened(unmatched)
    expect(page.get_by_role("heading", name="No significant match")).to_be_visible()
    expect(page.get_by_role("heading", name="Pairs with the lowest p")).to_be_visible()
    expect(page.locator("h1")).to_have_text('Cross-run matches of <b>& and "a"')
    assert page.locator("p.random").count() == 2


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["translated", "unmatched"])
def test_pages_are_accessible_and_fit_a_telephone(opened, request, name: str, dark: bool) -> None:
    folder = request.getfixturevalue(name)
    for width in (1280, 360):
        page = opened(folder, width=width, dark=dark)
        for summary in page.locator("summary").all():
            summary.click()
        found = Axe().run(page, options=AGAINST)
        assert found.violations_count == 0, found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
