"""Maps straight from the networks are those of the stores, and give the same correlations."""

import numpy as np
import pytest
import torch
from conftest import tiny

from rosetta_core import stages
from rosetta_core.config import Config, parse_config
from rosetta_core.mining.correlation.pearson import correlate
from rosetta_core.runs.live_source import live_activations
from rosetta_core.runs.sources import activation_source
from rosetta_core.runtime.threads import TorchThreadPool

MODELS = ["dcgan", "mobilenet_v2"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory, weights: Config) -> Config:
    """A run with stored maps of two models."""
    config = parse_config(tiny(results=str(tmp_path_factory.mktemp("stored"))))
    for shard in config.shards:
        stages.sample.run(config, shard=shard)
        for model in MODELS:
            stages.activations.run(config, model=model, shard=shard)
    return config


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("model", MODELS)
def test_maps_and_moments_are_those_of_the_stores(stored: Config, model: str, threads: int) -> None:
    live, kept = live_activations(stored, model), activation_source(stored, model)
    assert (live.name, live.layers, live.images) == (kept.name, kept.layers, kept.images)
    with torch.no_grad(), TorchThreadPool(threads) as workers:
        for images in (range(7), range(7, 16), range(3, 9)):  # some of them twice
            live.load(images, workers)
            for layer in range(len(live.layers)):
                some = slice(1, 5)
                np.testing.assert_array_equal(
                    live.read(layer, images, some), kept.read(layer, images, some)
                )
    for mine, theirs in zip(live.moments(), kept.moments(), strict=True):
        assert mine.count == theirs.count
        np.testing.assert_allclose(mine.mean, theirs.mean, rtol=1e-12)
        np.testing.assert_allclose(mine.deviation, theirs.deviation, rtol=1e-12)


@pytest.mark.parametrize("budget", [2**31, 2**23])
def test_correlations_are_those_of_the_stores(stored: Config, budget: int) -> None:
    expected = correlate(*(activation_source(stored, model) for model in MODELS))
    live = [live_activations(stored, model) for model in MODELS]
    found = correlate(live[0], live[1], memory_budget=budget)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    assert np.nanmax(np.abs(found - expected)) <= 1e-6
    for source in live:
        with pytest.raises(IndexError):  # the maps of the last batch were released
            source.read(0, range(1))


def test_workers_keep_the_order_and_pass_errors_on() -> None:
    before = torch.get_num_threads()
    for count in (1, 4):
        with TorchThreadPool(count) as workers:
            assert list(workers.map(lambda x: x * x, range(50))) == [x * x for x in range(50)]
            assert list(workers.prefetch(lambda x: torch.get_num_threads(), range(5))) == [1] * 5
            with pytest.raises(ZeroDivisionError):
                list(workers.map(lambda x: 1 // (x - 7), range(50)))
        assert torch.get_num_threads() == before
