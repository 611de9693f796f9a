"""Sheets hold every picture where its names say, and curves are drawn whatever the terms are."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from numpy.typing import NDArray
from PIL import Image

from rosetta_core.drawing import contact_sheets as sheets
from rosetta_core.drawing.canvas import GAP, TILE, width_of
from rosetta_core.drawing.contact_sheets import SIZE, write_curve, write_sheet
from rosetta_core.errors import RosettaError

COLOURS = [[(200, 30, 30), (30, 160, 40), (40, 60, 200)], [(220, 190, 20), None, (150, 40, 160)]]
HOSTILE = "$x_1$ <script>alert(1)</script> éΩж"


def tiles(colours: list[list[tuple[int, int, int] | None]] = COLOURS) -> list[list]:
    return [
        [None if colour is None else np.full((9, 9, 3), colour, np.uint8) for colour in row]
        for row in colours
    ]


def pixels(path: Path) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB"))


def box(drawn: NDArray[np.uint8], colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Left, top, width and height of what has a colour."""
    rows, columns = np.nonzero((drawn == colour).all(axis=2))
    left, top = columns.min(), rows.min()
    return left, top, columns.max() - left + 1, rows.max() - top + 1


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """What is saved."""
    saved: list[Figure] = []

    def save(figure: Figure, path: Path) -> Path:
        saved.append(figure)
        return path

    monkeypatch.setattr(sheets, "save", save)
    return saved


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_every_tile_stands_in_its_row_and_column_and_none_leaves_a_gap(tmp_path: Path) -> None:
    path = write_sheet(tmp_path / "a.png", tiles(), rows=["one", "two"], columns=["a", "b", "c"])
    drawn = pixels(path)
    left, top, *_ = box(drawn, (200, 30, 30))
    for r, row in enumerate(COLOURS):
        for c, colour in enumerate(row):
            x, y = left + c * (TILE + GAP), top + r * (TILE + GAP)
            if colour is None:
                assert (drawn[y : y + TILE, x : x + TILE] == 255).all()
            else:
                assert box(drawn, colour) == (x, y, TILE, TILE)


def test_names_stand_beside_and_above_and_the_caption_below(
    tmp_path: Path, figures: list[Figure]
) -> None:
    names = {"rows": ["one", HOSTILE[:5]], "columns": ["a", "b", "c"]}
    write_sheet(tmp_path / "a.png", tiles(), **names, caption="the caption")
    texts = {t.get_text(): t.get_position() for t in figures[0].findobj(Text) if t.get_text()}
    assert set(texts) == {"one", HOSTILE[:5], "a", "b", "c", "the caption"}
    assert texts["one"][0] == texts[HOSTILE[:5]][0] < texts["a"][0] - TILE / 2
    assert texts["b"] == (texts["a"][0] + TILE + GAP, texts["a"][1])
    assert texts["a"][1] < texts["one"][1] < texts[HOSTILE[:5]][1] < texts["the caption"][1]


def test_long_names_are_broken_into_lines_that_fit(tmp_path: Path, figures: list[Figure]) -> None:
    name = "efficientnet_lite0/blocks.3.0.bn2.drop/201"
    long = f"{HOSTILE} and {'on and ' * 30}on"
    write_sheet(tmp_path / "a.png", tiles()[:1], rows=[name], columns=[name, "", long],
                caption=long)  # fmt: skip
    texts = [t for t in figures[0].findobj(Text) if t.get_text()]
    beside = [t.get_text() for t in texts if t.get_ha() == "right"]
    assert "".join(beside) == name
    heads = [t.get_text() for t in texts if t.get_ha() == "center"]
    assert max(width_of(line, size=SIZE) for line in heads) <= TILE
    assert any("…" in line for line in heads)
    below = [t.get_text() for t in texts if t.get_ha() == "left"]
    assert " ".join(below) == long  # a caption is never cut
    sheet = figures[0].get_figwidth() * figures[0].dpi
    assert max(width_of(line, size=SIZE) for line in below) < sheet


@pytest.mark.parametrize(
    ("rows", "columns"), [([], []), (["a"], ["x"]), (["a", "b"], ["x", "y"]), (["a", "b"], [])]
)
def test_a_sheet_without_a_name_for_every_row_and_column_is_refused(
    tmp_path: Path, rows: list[str], columns: list[str]
) -> None:
    with pytest.raises(RosettaError, match="contact sheet: the tiles do not fit") as error:
        write_sheet(tmp_path / "a.png", tiles(), rows=rows, columns=columns)
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


def curves(*, starts: int, names: list[str], steps: int = 50) -> dict[str, NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    fall = np.exp(-np.linspace(0, 4, steps))[:, None]
    return {name: fall * rng.uniform(1, 2, starts) - place for place, name in enumerate(names)}


def test_a_curve_draws_every_start_and_the_best_strongest(
    tmp_path: Path, figures: list[Figure]
) -> None:
    terms = curves(starts=3, names=["similarity", "regulariser", "total"])
    write_curve(tmp_path / "a.png", terms, best=1, about=HOSTILE)
    panels = figures[0].axes
    assert [panel.get_title(loc="left") for panel in panels] == [
        "total",
        "similarity",
        "regulariser",
    ]
    for panel in panels:
        values = terms[panel.get_title(loc="left")]
        lines = [line for line in panel.get_lines() if len(line.get_xdata()) > 1]
        drawn = {tuple(line.get_ydata()): line.get_linewidth() for line in lines}
        assert set(drawn) == {tuple(column) for column in values.T}
        assert max(drawn, key=drawn.__getitem__) == tuple(values[:, 1])
        assert f"{values[-1, 1]:.3g}".replace("-", "−") in words(panel.figure)
    assert HOSTILE in words(figures[0])
    assert "the best of 3 starts in colour" in words(figures[0])


@pytest.mark.parametrize("names", [["total"], ["total", "a"], ["a", "b", "c", "d", "total"]])
@pytest.mark.parametrize("starts", [1, 9])
def test_no_panel_of_a_curve_covers_another(
    tmp_path: Path, figures: list[Figure], names: list[str], starts: int
) -> None:
    for steps in (1, 400):
        terms = curves(starts=starts, names=names, steps=steps)
        write_curve(tmp_path / "a.png", terms, best=0, about="x" * 500)
    for figure in figures:
        figure.draw_without_rendering()
        boxes = [panel.get_tightbbox() for panel in figure.axes]
        assert len(boxes) == len(names)
        for place, one in enumerate(boxes):
            assert one.x0 >= 0 and one.x1 <= figure.bbox.x1 and one.y0 >= 0
            assert not any(one.overlaps(other) for other in boxes[place + 1 :])


def test_a_curve_needs_a_total(tmp_path: Path) -> None:
    with pytest.raises(RosettaError, match=r"'total' is missing from the terms \(a, b\)"):
        write_curve(tmp_path / "a.png", curves(starts=1, names=["a", "b"]), best=0, about="")


def test_same_sheet_and_curve_are_same_files_whatever_the_users_style(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        names = {"rows": ["one", HOSTILE], "columns": ["a", "b", "c"], "caption": HOSTILE}
        drawn = [
            write_sheet(folder / "sheet.png", tiles(), **names),
            write_curve(
                folder / "curve.png", curves(starts=2, names=["a", "total"]), best=0, about=HOSTILE
            ),
        ]
        written.append([path.read_bytes() for path in drawn])
        monkeypatch.setitem(sheets.matplotlib.rcParams, "axes.facecolor", "red")
        monkeypatch.setitem(sheets.matplotlib.rcParams, "axes.unicode_minus", False)
        monkeypatch.setitem(sheets.matplotlib.rcParams, "font.size", 20.0)
    assert written[0] == written[1]
