"""A real browser, and dictionaries to look at."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from checkout import Checkout
from made_up import MadeUp, make_up, make_up_groups
from playwright.sync_api import Browser, Page, sync_playwright

HOSTILE = ['g "1"', "<script>alert('x')</script>", "модель/模型", "d&amp;'e'"]
HOSTILE_LAYERS = ["a/b", '<img src=x onerror="alert(1)">', "слой 层%2F", "conv.1?x=1#2"]


def write(folder: Path, run: MadeUp, *, examples: int = 4) -> Path:
    folder.mkdir()
    run.write(folder, examples=examples)
    return folder


@pytest.fixture(scope="session")
def real(finished: Checkout) -> Path:
    """The dictionary of the tiny run of the face zoo."""
    return finished.run / "dictionary"


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dictionary whose models and layers have names that break careless pages."""
    run = make_up(HOSTILE, concepts=7, layers=HOSTILE_LAYERS, channels=4)
    return write(tmp_path_factory.mktemp("hostile") / "dictionary", run)


@pytest.fixture(scope="session")
def groups(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dictionary with several units per concept and model, and with missing significance."""
    run = make_up_groups(["g", "x", "y"], layers=["a", "b", "c"], channels=7)
    return write(tmp_path_factory.mktemp("groups") / "dictionary", run)


@pytest.fixture(scope="session")
def barren(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dictionary without a concept."""
    run = make_up(["g", "x"], concepts=0, layers=["a", "b"], channels=4)
    return write(tmp_path_factory.mktemp("barren") / "dictionary", run)


def six_networks(folder: Path, *, concepts: int) -> Path:
    """A dictionary of six models; its concepts are in 17 of 20 layers, however many they are."""
    run = make_up(
        [f"network_number_{number}" for number in range(6)],
        concepts=concepts,
        layers=[f"stage{number}.block.conv2.act" for number in range(20)],
        channels=concepts * 3 // 50,
    )
    return write(folder, run, examples=1)


@pytest.fixture(scope="session")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dictionary of 10,000 concepts."""
    return six_networks(tmp_path_factory.mktemp("large") / "dictionary", concepts=10_000)


@pytest.fixture(scope="session")
def smaller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dictionary as the large one, of 500 concepts."""
    return six_networks(tmp_path_factory.mktemp("smaller") / "dictionary", concepts=500)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    path = (
        os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    )
    if not path:
        pytest.fail("no Chromium: apt-get install chromium, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()


Opened = Callable[..., Page]


@pytest.fixture
def complaints() -> list[str]:
    """What browsers said of pages in their consoles."""
    return []


@pytest.fixture
def requests() -> list[str]:
    """What pages asked for."""
    return []


@pytest.fixture
def opened(browser: Browser, complaints: list[str], requests: list[str]) -> Iterator[Opened]:
    """Opens a dictionary from disk; afterwards nothing may have gone wrong or left the machine."""
    contexts = []

    def open_page(
        folder: Path | str, address: str = "", *, width: int = 1280, dark: bool = False
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if dark else "light",
            accept_downloads=True,
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: requests.append(request.url))
        start = folder if isinstance(folder, str) else (folder / "index.html").as_uri()
        page.goto(start + address)
        page.wait_for_selector("main h1")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert requests
    here = ("file:///", "http://127.0.0.1:", "data:", "blob:")
    assert [url for url in requests if not url.startswith(here)] == []
