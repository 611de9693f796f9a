"""Correlations of the paper's network shapes, on random maps: `python benchmarks/paper.py`.

StyleGAN3-1024 with ViT-B/16, and StyleGAN2-256 with ResNet-50 and with five encoders: FLOP of each
with and without resized maps, and the time of the correlations. By default there are 1000 images,
as in the paper, on a GPU, and 16 on a CPU, where only ratios are meaningful. Maps are generated on
the device when they are read, so no store is timed.

Shapes are those of the published networks: StyleGAN3-t from the formulas of its paper (Karras et
al. 2021, "layer specifications": cutoffs, sampling rates, channels; the margin is cropped),
StyleGAN2 (two convolutions per resolution, 512 channels up to 64×64), ViT-B's MLP (12 × 3072), and
the output of every convolution block of ResNet-50.
"""

import argparse
import time

import numpy as np
import torch
from torch import Tensor

from rosetta_core.mining.correlation.moments import Moments
from rosetta_core.mining.correlation.pearson import correlate_blocks
from rosetta_core.mining.sources.base import ActivationSource
from rosetta_core.runs.plan import pair_operations
from rosetta_core.runtime.devices import resolve_device
from rosetta_core.runtime.memory import keep_freed_memory
from rosetta_core.zoo.layers import Layer

POOL = 4  # different images; the others repeat them


def stylegan3_t(resolution: int = 1024, layers: int = 14) -> list[Layer]:
    """Return the synthesis layers of StyleGAN3-t without ToRGB, margins cropped."""
    exponent = np.minimum(np.arange(layers + 1) / (layers - 2), 1)
    cutoff = 2 * (resolution / 2 / 2) ** exponent
    stopband = 2**2.1 * (resolution / 2 * 2**0.3 / 2**2.1) ** exponent
    rate = np.exp2(np.ceil(np.log2(np.minimum(2 * stopband, resolution))))
    channels = np.rint(np.minimum(2**14 / cutoff, 512))
    return [square(f"L{i}", int(channels[i]), int(rate[i])) for i in range(layers)]


def stylegan2() -> list[Layer]:
    """Return the convolutions of StyleGAN2-256."""
    sides = [4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256]
    return [square(str(i), min(512, 2**15 // side), side) for i, side in enumerate(sides)]


def vit_b16() -> list[Layer]:
    """Return the MLPs of ViT-B/16."""
    return [square(f"blocks.{i}.mlp", 3072, 14) for i in range(12)]


def resnet50() -> list[Layer]:
    """Return the convolutions of ResNet-50's bottlenecks."""
    stages = zip((3, 4, 6, 3), (64, 128, 256, 512), (56, 28, 14, 7), strict=True)
    return [
        square(f"layer{stage}.{block}.{conv}", width * (4 if conv == 2 else 1), side)
        for stage, (blocks, width, side) in enumerate(stages, 1)
        for block in range(blocks)
        for conv in range(3)
    ]


def square(name: str, channels: int, side: int) -> Layer:
    """Return a layer of square maps."""
    return Layer(name, channels, side, side)


EXPERIMENTS = {
    "StyleGAN3-1024 × ViT-B/16": (stylegan3_t(), [vit_b16()]),
    "StyleGAN2-256 × ResNet-50": (stylegan2(), [resnet50()]),
    "StyleGAN2-256 × five encoders": (
        stylegan2(),
        [resnet50(), resnet50(), resnet50(), vit_b16(), vit_b16()],
    ),
}


class RandomMaps(ActivationSource):
    """Random maps of some layers, generated when they are read."""

    def __init__(self, name: str, layers: list[Layer], images: int, device: torch.device) -> None:
        self.name, self.layers, self.images, self.device = name, layers, images, device

    def read(self, layer: int, images: range, channels: slice = slice(None)) -> Tensor:
        """Return maps (n, c, h, w), of which POOL are different."""
        shape = self.layers[layer]
        start, stop, _ = channels.indices(shape.channels)
        generator = torch.Generator(self.device).manual_seed(layer)
        few = torch.rand(
            (POOL, stop - start, *shape.grid), generator=generator, device=self.device
        ).half()
        return few[torch.arange(images.start, images.stop, device=self.device) % POOL]

    def moments(self) -> list[Moments]:
        """Return the moments of uniform noise."""
        return [
            Moments(1, np.full(layer.channels, 0.5), np.full(layer.channels, 1 / 12))
            for layer in self.layers
        ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--memory", type=int, default=8, help="GiB of working memory")
    arguments = parser.parse_args()
    device = resolve_device(arguments.device)
    images = arguments.images or (16 if device.type == "cpu" else 1000)
    keep_freed_memory()
    rate = peak(device)
    print(f"{images} images on {device}, peak rate {rate / 1e12:.2f} TFLOP/s\n")
    print("| | units | TFLOP per image | with resizing | seconds | products at the peak rate (s) |")
    print("|---|---|---|---|---|---|")
    for name, (pivot, encoders) in EXPERIMENTS.items():
        pairs = [pair_operations(pivot, encoder) for encoder in encoders]
        ours, enlarged = (sum(numbers) for numbers in zip(*pairs, strict=True))
        models = [RandomMaps(str(i), layers, images, device) for i, layers in enumerate(encoders)]
        source = RandomMaps("pivot", pivot, images, device)
        started = time.perf_counter()
        blocks = correlate_blocks(
            source,
            models,
            memory_budget=arguments.memory * 2**30,
            device=device,
            threads=torch.get_num_threads(),
        )
        for _ in blocks:
            pass
        seconds = time.perf_counter() - started
        units = [sum(layer.channels for layer in layers) for layers in (pivot, *encoders)]
        print(f"| {name} | {units[0]:,} × {sum(units[1:]):,} | {ours / 1e12:.3f} | "
              f"× {enlarged / ours:.0f} | {seconds:.1f} | {images * ours / rate:.1f} |",
              flush=True)  # fmt: skip


def peak(device: torch.device) -> float:
    """Return the FLOP/s of a large square product in float32, or in float16 on a GPU."""
    kind = torch.float32 if device.type == "cpu" else torch.float16
    side = 3072 if device.type == "cpu" else 8192
    matrix, best = torch.rand(side, side, device=device).to(kind), 0.0
    for _ in range(5):
        started = time.perf_counter()
        matrix @ matrix
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best


if __name__ == "__main__":
    main()
