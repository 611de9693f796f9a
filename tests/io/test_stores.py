"""What the stages write to stores, on real networks: exact, whole, and checked when it is read."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from conftest import tiny
from torch import nn

from rosetta_core import stages
from rosetta_core.config import Config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.io.atomic import manifest_path
from rosetta_core.io.file_index import write_file_index
from rosetta_core.io.stores.store import (
    create_array,
    new_store,
    open_group,
    open_store,
    read_array,
    write_manifest,
)
from rosetta_core.mining.sampling.generator import image_seed
from rosetta_core.mining.sampling.samples import Samples
from rosetta_core.mining.sources.live import LiveActivations
from rosetta_core.mining.sources.recording import images_per_block, record_shard
from rosetta_core.mining.sources.stored import StoredActivations
from rosetta_core.runs.paths import RunPaths
from rosetta_core.zoo.encoders.preprocessing import preprocess
from rosetta_core.zoo.layers import Layer
from rosetta_core.zoo.loading import load
from rosetta_core.zoo.model_spec import Input
from rosetta_core.zoo.network import Encoder

CPU = torch.device("cpu")


@pytest.fixture
def configure(tmp_path, weights: Config):
    def with_changes(folder: str = "results", **changes) -> Config:
        return parse_config(tiny(results=str(tmp_path / folder), **changes))

    return with_changes


def sampled(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """Latents and images of a run, sampled shard by shard."""
    stores = [stages.sample.run(config, shard=shard) for shard in config.shards]
    samples = Samples(stores)
    return samples.latents(range(samples.count)), samples.images(range(samples.count))


def test_image_i_is_the_same_whatever_the_batch_shard_or_number(configure) -> None:
    latents, images = sampled(configure("a"))
    for folder, sampling, batch in (
        ("b", {"images": 16, "shard_size": 16}, 16),
        ("c", {"images": 21, "shard_size": 5}, 3),
    ):
        config = configure(folder, sampling=sampling, activations={"batch_size": batch})
        other_latents, other_images = sampled(config)
        np.testing.assert_array_equal(other_latents[:16], latents)
        np.testing.assert_array_equal(other_images[:16], images)
    assert images.shape == (16, 64, 64, 3)
    assert images.std() > 30  # pictures, not a grey square
    assert len(np.unique(latents[:, 0])) == 16


def test_samples_record_what_made_them(configure) -> None:
    config = configure(sampling={"truncation": 0.5, "seed": 7})
    group, manifest = open_store(stages.sample.run(config, shard="00001"))
    assert group.attrs["truncation"] == manifest["truncation"] == 0.5
    assert manifest["images"] == [8, 16]
    assert (read_array(group, "classes") == -1).all()
    seeds = read_array(group, "seeds").tolist()
    assert seeds == [image_seed(7, image) for image in range(8, 16)]
    redrawn = torch.randn(100, generator=torch.Generator().manual_seed(seeds[3])) * 0.5
    np.testing.assert_array_equal(read_array(group, "latents")[3], redrawn.numpy())


def test_runs_with_different_seeds_share_no_image() -> None:
    seeds = {image_seed(seed, image) for seed in range(20) for image in range(500)}
    assert len(seeds) == 20 * 500


def test_stored_maps_are_those_of_a_plain_forward_pass(configure) -> None:
    config = configure(memory_budget="64 MiB")
    stages.sample.run(config, shard="00000")
    model = config.model("mobilenet_v2")
    maps = StoredActivations([stages.activations.run(config, model="mobilenet_v2", shard="00000")])
    encoder = load(model, RunPaths(config).weights(model), device=CPU)
    seen = []
    hook = (
        encoder.network.features[14]
        .conv[1]
        .register_forward_hook(lambda _m, _i, output: seen.append(output.clone()))
    )
    images = torch.from_numpy(Samples([RunPaths(config).samples("00000")]).images(range(8)))
    with torch.no_grad():
        encoder.network(preprocess(images, encoder.input))
    hook.remove()
    expected = seen[0].numpy()
    stored = maps.read(1, range(8)).numpy()
    assert stored.dtype == np.float16
    assert stored.shape == expected.shape == (8, 576, 7, 7)
    np.testing.assert_allclose(stored, expected, rtol=2**-10, atol=1e-4)
    np.testing.assert_array_equal(maps.read(1, range(2, 5), slice(10, 12)), stored[2:5, 10:12])
    moments = maps.moments()[1]  # from float32, not from what was rounded
    flat = expected.astype(np.float64).transpose(1, 0, 2, 3).reshape(576, -1)
    np.testing.assert_allclose(moments.mean, flat.mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(moments.std, flat.std(1), rtol=1e-4, atol=1e-6)


def test_the_manifest_says_how_images_went_in(configure) -> None:
    config = configure()
    stages.sample.run(config, shard="00000")
    store = stages.activations.run(config, model="mtcnn_onet", shard="00000")
    manifest = json.loads(manifest_path(store).read_text())
    assert manifest["input"] == {
        "size": 48, "crop": 1.0, "interpolation": "bilinear", "mean": [0.5] * 3, "std": [0.5] * 3,
    }  # fmt: skip
    assert manifest["layers"][1] == {
        "name": "prelu2", "channels": 64, "height": 21, "width": 21, "margin": 0,
    }  # fmt: skip
    assert {"torch", "zarr", "rosetta-core"} <= set(manifest["versions"])


def test_a_rebuilt_store_has_the_same_manifest(configure) -> None:
    config = configure()
    stages.sample.run(config, shard="00000")
    texts = [
        manifest_path(stages.activations.run(config, model="dcgan", shard="00000")).read_text()
        for _ in range(2)
    ]
    assert texts[0] == texts[1]


def chunk_of(store: Path) -> Path:
    """A file that holds maps."""
    return next(path for path in (store / "prelu2/maps/c").rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda file: file.unlink(), "is missing"),
        (lambda file: file.write_bytes(file.read_bytes()[:-7]), "bytes, not"),
    ],
)
def test_a_lost_or_truncated_chunk_is_noticed(configure, damage, problem: str) -> None:
    config = configure()
    stages.sample.run(config, shard="00000")
    store = stages.activations.run(config, model="mtcnn_onet", shard="00000")
    damage(chunk_of(store))
    with pytest.raises(RosettaError, match=problem) as caught:
        StoredActivations([store])
    assert str(store) in str(caught.value)


@pytest.mark.parametrize("place", [(8, 0, 64), (8, 0, 32), (4, 0, 64), (3, 5, 6)])
def test_a_flipped_bit_is_never_read_as_data(configure, place) -> None:
    """Whether the whole is read or some channels or images of it."""
    config = configure()
    stages.sample.run(config, shard="00000")
    store = stages.activations.run(config, model="mtcnn_onet", shard="00000")
    file = chunk_of(store)
    sound = file.read_bytes()
    images, first, last = place
    expected = StoredActivations([store]).read(1, range(images), slice(first, last))
    damage = rf"prelu2/maps, images 0 to {images - 1}: is damaged"
    noticed = 0
    for flipped in np.random.default_rng(0).integers(0, len(sound), 20):
        content = bytearray(sound)
        content[flipped] ^= 1 << (int(flipped) % 8)
        file.write_bytes(content)
        try:
            found = StoredActivations([store]).read(1, range(images), slice(first, last))
        except RosettaError as error:
            assert re.search(damage, str(error))
            noticed += 1
        else:  # the flip is in a chunk that wasn't asked for
            np.testing.assert_array_equal(found, expected)
    assert noticed == 20  # all maps of this layer are one chunk


def test_a_store_of_another_shape_than_its_manifest(configure) -> None:
    config = configure()
    stages.sample.run(config, shard="00000")
    store = stages.activations.run(config, model="mtcnn_onet", shard="00000")
    manifest = json.loads(manifest_path(store).read_text())
    manifest["layers"][1]["height"] += 1
    write_manifest(store, manifest)
    with pytest.raises(RosettaError, match=r"layer 'prelu2' has float16 \(8, 64, 21, 21\), but"):
        StoredActivations([store])


def test_a_stored_map_that_is_not_finite_stops_the_correlations(configure) -> None:
    config = configure()
    stores = []
    for shard in config.shards:
        stages.sample.run(config, shard=shard)
        for model in ("dcgan", "mtcnn_onet"):
            stores.append(stages.activations.run(config, model=model, shard=shard))
    maps = zarr.open_group(stores[3])["prelu2/maps"]
    maps[2, 7, 1, 0] = np.nan  # a checksum is no help: the network put it there
    write_file_index(stores[3], final_path=stores[3])
    write_manifest(stores[3], json.loads(manifest_path(stores[3]).read_text()))
    with pytest.raises(RosettaError) as caught:
        stages.correlations.run(config, models=["dcgan", "mtcnn_onet"])
    place = "layer 'prelu2', image 10, channel 7, position (1, 0): the map contains nan"
    assert f"{stores[3]}: {place}" in str(caught.value)
    folder = RunPaths(config).correlations("dcgan").parent
    assert not folder.exists() or not list(folder.iterdir())


class Constant(nn.Module):
    """A network whose second unit shows what its input says."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.Identity()

    def forward(self, x):
        return self.act(torch.cat([torch.zeros_like(x[:, :1]), x[:, :1]], dim=1))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 7e4])
def test_values_that_cannot_be_stored(tmp_path, value: float) -> None:
    seen = Input(size=4, mean=[0] * 3, std=[1 / value] * 3 if np.isfinite(value) else [1] * 3)
    network = Encoder(network=Constant(), input=seen, preset=("act",))
    inputs = np.zeros((6, 4, 4, 3), np.uint8)
    inputs[3] = 255
    if not np.isfinite(value):
        network.network.act = nn.Hardtanh(0, 0.5)
        network.network.act.forward = lambda x: torch.where(x > 0.5, value, x)
    with pytest.raises(RosettaError, match=r"constant: layer 'act', image 13, channel 1"):
        record_shard(
            LiveActivations(
                network, name="constant", layers=[Layer("act", 2, 4, 4)], images=6, first_image=10,
                inputs=lambda images: (inputs[images.start : images.stop],), batch_size=2,
                device=CPU,
            ),
            tmp_path / "00000.zarr", images=range(10, 16), memory_budget=2**26, threads=2,
            about={"model": "constant"},
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_unwritten_chunks_are_missing(tmp_path) -> None:
    with new_store(tmp_path / "x.zarr") as group:
        array = create_array(group, "maps", shape=(8, 6, 4, 4), shard=(4, 6, 4, 4), dtype="float16")
        array[:4] = 1
        assert array.shards == (4, 6, 4, 4)
    with pytest.raises(RosettaError, match="other chunks than its shape"):
        read_array(open_group(tmp_path / "x.zarr"), "maps")


@pytest.mark.parametrize(("budget", "expected"), [(1, 1), (1000, 8), (10**9, 32)])
def test_block_images(budget: int, expected: int) -> None:
    assert images_per_block(100, memory_budget=budget, images=20) == expected
