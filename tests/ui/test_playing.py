"""A video in a real browser."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from rosetta_core.drawing.video import write_video

PAGE = """<!doctype html><title>video</title><video src="a.mp4" muted autoplay></video>"""
LAST = (220, 120, 40)


@pytest.mark.parametrize("count", [1, 12])
def test_the_browser_plays_a_video_to_its_end(browser: Browser, tmp_path: Path, count: int) -> None:
    frames = np.full((count, 48, 64, 3), (30, 60, 90), np.uint8)
    frames[-1] = LAST
    write_video(tmp_path / "a.mp4", frames)
    (tmp_path / "page.html").write_text(PAGE)
    page = browser.new_page()
    page.goto((tmp_path / "page.html").as_uri())
    video = page.locator("video")
    page.wait_for_function("video => video.ended || video.error", arg=video.element_handle())
    assert video.evaluate("video => video.error && video.error.message") is None
    size = video.evaluate("video => [video.videoWidth, video.videoHeight]")
    seconds = video.evaluate("video => video.duration")
    shown = np.asarray(Image.open(io.BytesIO(video.screenshot())).convert("RGB"))
    page.close()
    assert size == [384, 288]
    assert seconds == pytest.approx(count / 24, abs=0.01)
    assert np.abs(shown[shown.shape[0] // 2, shown.shape[1] // 2] - np.float64(LAST)).max() < 6
