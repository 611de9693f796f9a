"""Figures in notebooks."""

import base64
import io

import nbclient
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image


@pytest.mark.whole_run
@pytest.mark.parametrize("first", ["", "import matplotlib.pyplot"])
def test_a_notebook_shows_a_figure_as_it_is_saved(first: str) -> None:
    cell = f"""
{first}
from rosetta_core.drawing.canvas import Canvas

canvas = Canvas(60, 40)
canvas.figure
"""
    notebook = new_notebook(cells=[new_code_cell(cell)])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    (output,) = (x for x in notebook.cells[0].outputs if x["output_type"] == "execute_result")
    picture = Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"])))
    assert picture.size == (60, 40)
