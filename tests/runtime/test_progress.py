"""Lines of progress in a log, with counts, rates and times by hand."""

import io
import logging
import time

import nbclient
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from rosetta_core.runtime.progress import LOG_INTERVAL, Progress, red


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a process believes to have run."""
    seconds = [1000.0]
    monkeypatch.setattr(time, "perf_counter", lambda: seconds[0])
    return seconds


def test_a_log_has_a_line_every_half_minute_and_one_at_the_end(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "rosetta")
    with Progress("maps of x", total=100, unit="images") as progress:
        clock[0] += LOG_INTERVAL
        progress.advance(10)
        assert caplog.messages == []
        clock[0] += 10  # 40 s: 20 images, half an image a second
        progress.advance(10)
        assert caplog.messages == ["maps of x: 20 of 100 images (0.5 a second), 2 min 40 s left"]
        clock[0] += 20  # half a minute has not passed since that line
        progress.advance()
        assert len(caplog.messages) == 1
        clock[0] += 11  # 71 s
        progress.advance(50)
        assert caplog.messages[1] == "maps of x: 71 of 100 images (1.0 a second), 29 s left"
        clock[0] += 60
        progress.advance(29)  # complete: the last line says so
        assert len(caplog.messages) == 2
        clock[0] += 69
    assert caplog.messages[2:] == ["maps of x: 100 of 100 images in 200.0 s (0.5 a second)"]


def test_nothing_done_has_no_rate(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rosetta")
    with Progress("maps", total=3) as progress:
        clock[0] += 2 * LOG_INTERVAL
        progress.advance(0)
    assert caplog.messages == ["maps: 0 of 3 images in 60.0 s (0.0 a second)"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_red_text_is_for_terminals_with_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert red("stop", Terminal()) == "\x1b[1;31mstop\x1b[0m"
    assert red("stop", io.StringIO()) == "stop"
    monkeypatch.setenv("TERM", "dumb")
    assert red("stop", Terminal()) == "stop"
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert red("stop", Terminal()) == "stop"


@pytest.mark.whole_run
def test_a_notebook_shows_a_bar() -> None:
    cell = """
from rosetta_core.runtime.progress import Progress

with Progress("maps of x", total=4) as progress:
    progress.advance(4)
"""
    notebook = new_notebook(cells=[new_code_cell(cell)])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    shown = "".join(x["text"] for x in notebook.cells[0].outputs if x.get("name") == "stderr")
    assert "maps of x: 100%|" in shown
    assert "4/4" in shown
