"""Images of a folder in place of a generator's: taken as they look, mined by an encoder."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, Checkout, tiny
from numpy.typing import NDArray
from PIL import Image

from rosetta_core import open_run, stages
from rosetta_core.api.runs import Run
from rosetta_core.cli.main import main
from rosetta_core.config import Config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import manifest_path
from rosetta_core.io.images import crop_square, resize_image
from rosetta_core.mining.correlation.store import read_correlations
from rosetta_core.mining.sampling.samples import Samples
from rosetta_core.runs.paths import RunPaths
from rosetta_core.stages.correlations import passes
from rosetta_core.stages.tools.check import check_config
from rosetta_core.stages.tools.export import export_run
from rosetta_core.stages.tools.mine import mine
from rosetta_core.stages.tools.plan import plan_run
from rosetta_core.steering.images import SAMPLES, sample_image

IMAGES, SIZE = 12, 48


def photograph(number: int) -> NDArray[np.uint8]:
    """A crop of a photograph, wide, high or square."""
    image = sample_image(SAMPLES[number % len(SAMPLES)])
    rng = np.random.default_rng(number)
    height, width = (60, 90) if number % 3 == 0 else (90, 60) if number % 3 == 1 else (64, 64)
    top, left = (int(rng.integers(0, image.shape[axis] - 90)) for axis in (0, 1))
    return image[top : top + height, left : left + width]


def fill(folder: Path, images: int = IMAGES) -> Path:
    """A folder of photographs, some in a folder below."""
    (folder / "more").mkdir(parents=True)
    for number in range(images):
        place = folder / "more" if number >= 8 else folder
        Image.fromarray(photograph(number)).save(place / f"photograph {number:02d}.png")
    return folder


def settings(folder: Path | str, **changes: Any) -> dict[str, Any]:
    """mobilenet_v2 as the pivot of two other encoders, on a folder's images."""
    encoders = {one["name"]: one for one in tiny()["encoders"]}
    pivot = encoders.pop("mobilenet_v2")
    content = tiny(encoders=list(encoders.values()))
    content["sampling"] |= {"folder": str(folder), "images": IMAGES, "size": SIZE, "shard_size": 5}
    content |= {"pivot": pivot}
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    return content


def config_of(folder: Path | str, **changes: Any) -> Config:
    return parse_config(settings(folder, **changes))


def taken(config: Config) -> NDArray[np.uint8]:
    """The images that a run takes."""
    for shard in config.shards:
        stages.sample.run(config, shard=shard)
    samples = Samples(RunPaths(config).sample_stores)
    return samples.images(range(samples.count))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expected(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return resize_image(crop_square(image, None), (SIZE, SIZE))


def test_images_come_in_order_of_their_paths_cropped_and_resized(here: Path) -> None:
    order = [8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6, 7]  # "more/" comes before "photograph"
    fill(here / "photos")
    for hidden in (".thumbnails", ".photograph 03.png"):  # neither is an image of the user's
        target = here / "photos" / hidden
        if hidden.endswith("png"):
            target.write_bytes(b"no image")
        else:
            target.mkdir()
            Image.new("RGB", (9, 9)).save(target / "a.png")
    (here / "photos" / "notes.txt").write_text("no image")
    found = taken(config_of("photos"))
    assert found.shape == (IMAGES, SIZE, SIZE, 3)
    for image, number in zip(found, order, strict=True):
        assert (image == expected(photograph(number))).all(), number


@pytest.mark.parametrize("shard_size", [1, 4, 12, 100])
def test_images_do_not_depend_on_shards(here: Path, shard_size: int) -> None:
    fill(here / "photos")
    small = config_of("photos", sampling={"shard_size": shard_size}, run="other")
    assert (taken(small) == taken(config_of("photos"))).all()


def test_fewer_images_than_the_folder_has_are_its_first(here: Path) -> None:
    fill(here / "photos")
    few = config_of("photos", sampling={"images": 7}, run="few")
    assert (taken(few) == taken(config_of("photos"))[:7]).all()


def test_images_look_as_a_viewer_shows_them(here: Path) -> None:
    """Whatever their file: grey, palette, transparent, 16 bit, turned."""
    folder, image = here / "photos", photograph(0)  # 60 high, 90 wide
    folder.mkdir()
    grey = np.asarray(Image.fromarray(image).convert("L"))
    Image.fromarray(grey).save(folder / "a.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(folder / "b.png")
    few = Image.fromarray(image).quantize(16)
    few.save(folder / "c.png")
    clear = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    clear[:, :45, 3] = 0
    Image.fromarray(clear, "RGBA").save(folder / "d.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    turned = Image.fromarray(np.rot90(image).copy())
    turned.save(folder / "e.TIFF", exif=exif)
    Image.fromarray(image).convert("CMYK").save(folder / "f.jpg", quality=95)
    Image.fromarray(image).save(folder / "g.webp", lossless=True)
    found = taken(config_of("photos", sampling={"images": 7}))
    wanted = {
        "grey": np.repeat(grey[:, :, None], 3, 2),
        "16 bit": np.repeat(grey[:, :, None], 3, 2),
        "palette": np.asarray(few.convert("RGB")),
        "transparent": np.where(clear[:, :, 3:] > 0, image, 255),
        "turned": image,
    }
    for (name, its), pixels in zip(wanted.items(), found, strict=False):
        assert (pixels == expected(its)).all(), name
    assert np.abs(found[5].astype(int) - expected(image)).mean() < 4
    assert (found[6] == expected(image)).all()


def empty(folder: Path) -> None:
    for file in folder.rglob("*.png"):
        file.unlink()


def truncate(folder: Path, name: str) -> None:
    picture = folder / "photograph 02.png"
    whole = picture.read_bytes()
    if name.endswith("jpg"):
        Image.open(picture).save(folder / name)
        whole = (folder / name).read_bytes()
        picture.unlink()
    (folder / name).write_bytes(whole[: len(whole) * 2 // 3])


@pytest.mark.parametrize(
    ("spoil", "sampling", "said"),
    [
        (empty, {}, "sampling.folder: there is no image in photos; give a folder with PNG"),
        (
            lambda f: None,
            {"folder": "nowhere"},
            "sampling.folder: there is no folder nowhere",
        ),
        (
            lambda f: None,
            {"images": 13},
            "sampling.images: 13 is more than the 12 images in photos",
        ),
        (
            lambda f: truncate(f, "photograph 02.png"),
            {},
            "photos/photograph 02.png: cannot be read",
        ),
        (
            lambda f: truncate(f, "photograph 02.jpg"),
            {},
            "photos/photograph 02.jpg: cannot be read",
        ),
        (
            lambda f: (f / "photograph 07.png").write_text("words"),
            {},
            "photos/photograph 07.png: not an image that Pillow reads",
        ),
        (
            lambda f: (f / "photograph 07.png").write_text(""),
            {},
            "photos/photograph 07.png: is empty",
        ),
        (
            lambda f: (f / "photograph 07.png").rename(f / "a {b}.png"),
            {},
            "'photos/a {b}.png': Snakemake reads '{' in a path as a wildcard or a",
        ),
        (
            lambda f: (f / "photograph 07.png").rename(f / "a\nb.png"),
            {},
            "'photos/a\\nb.png': Snakemake reads '\\n' in a path as",
        ),
        (
            lambda f: (f / "photograph 07.png").rename(f / "<b>7.png"),
            {},
            "'photos/<b>7.png': Snakemake reads '<b>' in a path as",
        ),
        (lambda f: None, {"folder": "."}, "sampling.folder: . and results: results are nested"),
        (
            lambda f: f.rename(f.parent / "results"),
            {"folder": "results"},
            "sampling.folder: results and results: results are nested",
        ),
        (
            lambda f: fill(f.parent / "results/tiny/photos"),
            {"folder": "results/tiny/photos"},
            "sampling.folder: results/tiny/photos and results: results are nested",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line_before_any_job(
    here: Path, spoil: Any, sampling: dict[str, Any], said: str, capsys: pytest.CaptureFixture
) -> None:
    spoil(fill(here / "photos"))
    Path("c.yaml").write_text(yaml.safe_dump(settings("photos", sampling=sampling)))
    assert main(["check", "--config", "c.yaml"]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"rosetta: {said}")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"sampling": {"folder": None}},
            "pivot.family: torchvision is an encoder; use a generator",
        ),
        ({"sampling": {"classes": [1]}}, "sampling.classes: images of a folder have no classes"),
        (
            {"steering": {"show": [{"name": "a", "concept": 0}]}},
            "steering: the pivot is an encoder",
        ),
        ({"pivot": tiny()["pivot"]}, r"sampling.folder: the pivot is a generator \(dcgan\)"),
    ],
)
def test_what_a_folder_excludes(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RosettaError, match=said) as caught:
        config_of("photos", **changes)
    assert "\n" not in str(caught.value)


def test_images_are_read_once_for_a_check_and_again_when_they_change(here: Path) -> None:
    folder = fill(here / "photos")
    config = config_of("photos", resources=str(here / "resources"))
    check_config(config)
    file, kept = folder / "photograph 03.png", (here / "resources/images").iterdir
    before = {path: path.stat().st_mtime_ns for path in kept()}
    check_config(config)
    assert {path: path.stat().st_mtime_ns for path in kept()} == before
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 255
    state = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 10**9))
    with pytest.raises(RosettaError, match=r"photograph 03.png: cannot be read"):
        check_config(config)


def test_the_plan_draws_nothing(here: Path) -> None:
    fill(here / "photos")
    sample = plan_run(config_of("photos")).stages[0]
    assert (sample.name, sample.operations) == ("sample", 0)
    assert sample.writes == IMAGES * 3 * SIZE**2


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, weights: Config) -> Run:
    """A whole run on photographs."""
    folder = tmp_path_factory.mktemp("run")
    fill(folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        pages = mine(config_of("photos"))
    return open_run(folder / pages.parent)


def test_a_run_is_mined_by_an_encoder(run: Run) -> None:
    assert run.pivot == "mobilenet_v2"
    assert repr(run).startswith(
        "<Run 'tiny': 12 images of photos, processed by mobilenet_v2, efficientnet_lite0, "
        "mtcnn_onet;"
    )
    assert len(run.concepts) > 0
    corr = run.correlations("mobilenet_v2")
    assert corr.shape[0] == corr.shape[1] == len(run.units("mobilenet_v2"))
    alive = np.isfinite(corr.diagonal())
    np.testing.assert_allclose(corr.diagonal()[alive], 1, atol=1e-5)
    assert (run.images([4])[0] == expected(photograph(0))).all()


def test_correlations_are_those_of_the_maps_on_the_images(run: Run) -> None:
    """Of the best pair: both maps, the smaller one enlarged, over all images."""
    best = run.rosetta.sort_values("corr").iloc[-1]
    pair = [torch.from_numpy(run.maps(best[name])) for name in ("pivot_id", "id")]
    large = max((its.shape[1:] for its in pair), key=lambda shape: shape[0])
    rows = [
        torch.nn.functional.interpolate(its[:, None], size=large, mode="bilinear").flatten()
        for its in pair
    ]
    assert torch.corrcoef(torch.stack(rows).double())[0, 1] == pytest.approx(best["corr"], abs=2e-3)


def test_the_pages_say_where_the_images_are_from(run: Run) -> None:
    pages = Path(run.config.results) / run.config.run / "dictionary"
    text = (pages / "data/index.js").read_text()
    content = json.loads(text[text.index("{") : text.rindex("}") + 1])
    assert content["folder"] == "photos"
    files = (pages / "data/files.js").read_text()
    assert '"address":"../../../photos"' in files and '["more/photograph 08.png",' in files
    assert (pages / "../../../photos/more/photograph 08.png").is_file()
    shown = list((pages / "data/images").glob("*.js"))
    assert shown
    for page in shown:  # folders come before the files beside them
        image = int(page.stem)
        below = image < 4
        file = (
            f"more/photograph {image + 8:02d}.png" if below else f"photograph {image - 4:02d}.png"
        )
        assert f'"origin":"photos/{file}"' in page.read_text()


def test_tables_are_exported_and_figures_drawn(run: Run, tmp_path: Path) -> None:
    export_run(run.config, format="csv", to=tmp_path / "export")
    assert (tmp_path / "export/rosetta.csv").read_text().count("mobilenet_v2/") > 0
    config = Path(run.config.results) / "tiny.yaml"
    config.write_text(yaml.safe_dump(run.config.model_dump(mode="json")))
    drawn = str(tmp_path / "figure")
    assert main(["figure", "--concepts", "0", "--config", str(config), "--out", drawn]) == 0
    assert Path(f"{drawn}.png").is_file()


def test_the_manifest_names_the_files(run: Run) -> None:
    store = RunPaths(run.config).samples("00001")
    about = json.loads(manifest_path(store).read_text())
    names = [Path(name).name for name, _ in about["sources"]]
    assert names == [f"photograph {number:02d}.png" for number in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize(
    "changes",
    [
        {"sampling": {"shard_size": 12}},
        {"activations": {"batch_size": 5}},
        {"activations": {"store": "none"}},
    ],
)
def test_numbers_do_not_depend_on_shards_batches_or_stores(
    run: Run, changes: dict[str, Any], here: Path
) -> None:
    fill(here / "photos")
    config = config_of("photos", **changes)
    taken(config)
    for model in run.models if config.activations.store == "zarr" else []:
        for shard in config.shards:
            stages.activations.run(config, model=model, shard=shard)
        stages.units.run(config, model=model)
    for members in passes(config):
        stages.correlations.run(config, models=members)
    for model in run.models:
        theirs = read_correlations(RunPaths(config).correlations(model))
        mine = run.correlations(model)
        np.testing.assert_allclose(mine, theirs, atol=1e-4)
        assert (np.isnan(mine) == np.isnan(theirs)).all()


@pytest.mark.whole_run
def test_the_workflow_takes_a_shard_again_when_its_images_change(
    tmp_path: Path, weights: Config
) -> None:
    checkout = Checkout(tmp_path)
    for name in ("Snakefile", "rosetta_core", "workflow", "profiles", "envs"):
        (tmp_path / name).symlink_to(ROOT / name)
    folder = fill(tmp_path / "photos")
    (folder / "photograph 07.png").rename(folder / "zz 'odd' name* é.png")
    checkout.configure(settings("photos", sampling={"shard_size": 6}))
    stores = [f"results/tiny/samples/mobilenet_v2/0000{shard}.json" for shard in range(2)]
    checkout.snakemake("--cores", "1", *stores)

    def again() -> list[str]:
        return [path for path in checkout.planned(*stores) if path.endswith(".json")]

    Image.fromarray(photograph(30)).save(folder / "zzz.png")  # after those that are taken
    assert again() == []
    Image.fromarray(photograph(31)).save(folder / "photograph 03.png")  # image 7
    assert again() == stores[1:]
    (folder / "more/photograph 08.png").rename(folder / "more/photograph 12.png")  # 0 becomes 3
    assert again() == stores
