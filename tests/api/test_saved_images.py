"""Images that are written to a folder are read again as they were."""

from pathlib import Path

import numpy as np
import pytest

import rosetta_core as rosetta


def test_written_images_are_read_again_in_order(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    folder = rosetta.images(pixels).save(tmp_path / "photos")
    again = rosetta.images(folder, size=8)
    np.testing.assert_array_equal(again.pixels, pixels)
    assert [Path(name).name for name in again.names] == [f"{i:02d}.png" for i in range(12)]


def test_a_folder_with_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    images = rosetta.images(np.zeros((1, 8, 8, 3), np.uint8))
    for place in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(rosetta.RosettaError, match="is not an empty folder; choose another"):
            images.save(place)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
