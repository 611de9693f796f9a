"""StyleGAN-XL (Sauer, Schwarz and Geiger, 2022): class-conditional StyleGAN3 for ImageNet.

Sauer et al., "StyleGAN-XL: Scaling StyleGAN to Large Diverse Datasets", SIGGRAPH 2022. Classes are
embedded by a pretrained classifier (section 3.1). A network of low resolution, the stem, grows in
stages (section 3.2): its last layers are removed and new ones added.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rosetta_core.errors import RosettaError
from rosetta_core.zoo.construction import fill_defaults, resolve_arguments, to_builtin
from rosetta_core.zoo.generators.style_based import MappingNetwork, constructor_arguments
from rosetta_core.zoo.generators.stylegan2.modulated import Linear
from rosetta_core.zoo.generators.stylegan3.layer_plan import (
    LayerPlan,
    plan_layers,
    plan_network,
    progression,
)
from rosetta_core.zoo.generators.stylegan3.shared import (
    SYNTHESIS,
    complete_arguments,
    make_generator,
)
from rosetta_core.zoo.network import Generator

if TYPE_CHECKING:
    from rosetta_core.zoo.weights.pickles.networks import PickledModule

__all__ = ["ARCHITECTURES", "arguments_of", "build", "plan_stages"]

FAMILY = "stylegan_xl"
STAGE = {"img_resolution": 4, "head_layers": 1, "up_factor": 1}
EMBEDDED = "mapping.embed.weight"
EMBEDDING = (1000, 320)  # classes of ImageNet, and features of the classifier EfficientNet-lite0


def _described(stages: int) -> dict[str, Any]:
    """Return a stem of 16 px with stages; each adds 7 layers, the stage to 1024 px adds 5."""
    resolutions = [32 << stage for stage in range(stages)]
    return {
        "z_dim": 64,
        "c_dim": 1000,
        "w_dim": 512,
        "img_resolution": 16,
        "img_channels": 3,
        "channel_base": 65536,
        "channel_max": 1024,
        "num_layers": 10,
        "stages": [
            {"img_resolution": side, "head_layers": 5 if side == 1024 else 7, "up_factor": 2}
            for side in resolutions
        ],
    }


# From section 3.2 and the defaults of the published code. Not compared with the published files,
# which were not available.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    f"imagenet-{16 << stages}": _described(stages) for stages in range(7)
}


class ClassMapping(MappingNetwork):
    """A mapping network with a pretrained class embedding, and a mean of w per class."""

    def __init__(self, *, class_embedding_shape: Sequence[int], **sizes: Any) -> None:
        self._embedded_classes, self._embedding = class_embedding_shape
        super().__init__(**sizes)

    def initial_mean(self) -> Tensor:
        """Return the mean of w of each class before training."""
        return torch.zeros(self.c_dim, self.w_dim) if self.c_dim else super().initial_mean()

    def add_embedding(self, features: int) -> int:
        """Add the embedding of a classifier, and a layer that maps it to the length of z."""
        self.embed = nn.Embedding(self._embedded_classes, self._embedding)
        self.embed_proj = Linear(self._embedding, self.z_dim, activate=True)
        return self.z_dim

    def embedded(self, rows: Tensor) -> Tensor:
        """Embed the largest class of each row (n, c_dim)."""
        return self.embed_proj(self.embed(rows.argmax(1)))

    def mean(self, rows: Tensor | None) -> Tensor:
        """Return the mean of w of each row's largest class (n, w_dim); (w_dim,) without classes."""
        return self.w_avg if rows is None else self.w_avg[rows.argmax(1)]


def build(
    architecture: str | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    truncation: float = 1.0,
) -> Generator:
    """Build a generator with random weights; the preset is all layers except the last, the image.

    Args:
        architecture: name of a network of the paper, in `ARCHITECTURES`.
        arguments: in its place, arguments of the stem's constructor (z_dim, c_dim, w_dim,
            img_resolution, img_channels, and those that differ from the defaults); `stages`, a list
            of the arguments of each stage (img_resolution, head_layers, up_factor); and
            `class_embedding_shape`, the number of embedded classes and the embedding's length.
        truncation: ψ, the share of the distance of w from its class mean that is retained.

    Raises:
        RosettaError: the architecture is unknown, or arguments are missing, unknown or invalid.
    """
    arguments = resolve_arguments(architecture, arguments, published=ARCHITECTURES, family=FAMILY)
    complete = _complete_arguments(arguments)
    generator = make_generator(
        complete,
        plan_stages(complete),
        truncation=truncation,
        mapping_type=partial(ClassMapping, class_embedding_shape=complete["class_embedding_shape"]),
        mapping_first=bool(complete["stages"]),
    )
    # files of networks without classes have the embedding of the classifier all the same
    return generator if complete["c_dim"] else replace(generator, unused_entries=(EMBEDDED,))


def _complete_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return all arguments of the stem, with its stages and the shape of the class embedding."""
    complete = complete_arguments(
        arguments,
        family=FAMILY,
        further={"stages": (), "class_embedding_shape": EMBEDDING},
        further_of_mapping={"rand_embedding": False},  # concerns the embedding's initialisation
    )
    if not isinstance(complete["stages"], list | tuple):
        raise RosettaError(f"{FAMILY}: stages is {complete['stages']!r}; give a list of stages")
    shape = complete["class_embedding_shape"]
    sizes = isinstance(shape, list | tuple) and [type(size) for size in shape] == [int, int]
    if not sizes or shape[0] < complete["c_dim"]:
        raise RosettaError(
            f"{FAMILY}: class_embedding_shape is {shape!r}; give the number of classes, at least "
            f"{complete['c_dim']}, and the length of an embedding"
        )
    return complete


def plan_stages(arguments: Mapping[str, Any]) -> list[LayerPlan]:
    """Plan the layers of the stem and of its stages, from all arguments.

    Each stage removes the critically sampled layers and adds `head_layers` + 1 new ones. The first
    new layer keeps the band of its input, like layer 0 of the stem; from there the bands widen to
    the stage's resolution. One number is skipped between the retained and the new layers.

    Raises:
        RosettaError: an argument of a stage is missing, unknown or invalid.
    """
    plans, resolution = plan_network(arguments, where=FAMILY), arguments["img_resolution"]
    # of the stem's arguments for layers, stages take only these two
    kernel = {name: arguments[name] for name in ("conv_kernel", "use_radial_filters")}
    new = {**arguments, **_defaults("filter_size", "lrelu_upsampling", "conv_clamp"), **kernel}
    for number, stage_arguments in enumerate(arguments["stages"], start=1):
        where = f"{FAMILY}: stage {number}"
        stage = fill_defaults(stage_arguments, sizes=STAGE, defaults={}, family=where)
        resolution *= stage["up_factor"]
        if stage["img_resolution"] != resolution:
            raise RosettaError(
                f"{where}: img_resolution is {stage['img_resolution']}; give {resolution}, which "
                f"follows from up_factor {stage['up_factor']}"
            )
        retained = plans[: -arguments["num_critical"] - 1]
        last = retained[-1].output
        signals = progression(
            resolution,
            layers=stage["head_layers"],
            first_cutoff=last.cutoff,
            first_stopband=last.cutoff + last.half_width,  # files store the two, not their sum
            arguments=arguments,
            where=where,
        )
        layers = plan_layers([last, *signals[1:]], arguments=new, number=len(retained) + 1)
        plans = retained + layers
    return plans


def _defaults(*names: str) -> dict[str, Any]:
    return {name: SYNTHESIS[name] for name in names}


def arguments_of(module: "PickledModule") -> dict[str, Any] | None:
    """Return the constructor arguments of a pickled generator; None if it is not a StyleGAN-XL.

    The constructor of a stage takes a file of the network before it, so the arguments of the stem
    and of all stages are inferred from the modules.

    Raises:
        RosettaError: the inferred arguments do not result in the network's layers.
    """
    synthesis, mapping = (module.modules.get(name) for name in ("synthesis", "mapping"))
    if synthesis is None or mapping is None or "conv_kernel" not in synthesis.attributes:
        return None
    if module.class_name == "Generator":
        arguments = constructor_arguments(module)
    elif module.class_name == "SuperresGenerator":
        arguments = _stem(synthesis, mapping)
        resolution = arguments["img_resolution"]
        arguments["stages"] = list(_stages(synthesis, resolution=resolution))
    else:
        return None
    weight = embed.parameters["weight"] if (embed := mapping.modules.get("embed")) else None
    if weight is not None:
        arguments["class_embedding_shape"] = list(weight.shape)
    arguments = to_builtin(arguments)
    names = [plan.name for plan in plan_stages(_complete_arguments(arguments))]
    if names != list(synthesis.attributes["layer_names"]):
        raise RosettaError(
            f"{FAMILY}: the stages inferred from the file have {len(names)} layers up to "
            f"{names[-1]}, but its layers end with {synthesis.attributes['layer_names'][-1]}; give "
            "arguments"
        )
    return arguments


def _stem(synthesis: "PickledModule", mapping: "PickledModule") -> dict[str, Any]:
    """Return the arguments of the stem, from its synthesis network and its mapping network."""
    shared = {"z_dim", "c_dim", "w_dim", "num_ws"}
    sizes = {name: mapping.attributes[name] for name in ("z_dim", "c_dim", "w_dim")}
    rest = {name: value for name, value in mapping.arguments.items() if name not in shared}
    return {**synthesis.arguments, **sizes, "mapping_kwargs": rest}


def _stages(synthesis: "PickledModule", *, resolution: int) -> Iterator[dict[str, Any]]:
    """Yield the arguments of a network's stages, inferred from its layers.

    The first layer of a stage keeps the band of its input. The next stage removes its last
    num_critical + 1 layers; the last remaining layer has the sampling rate of the stage's image.
    """
    names, critical = synthesis.attributes["layer_names"], synthesis.attributes["num_critical"]
    layers = [layer.attributes for name in names if (layer := synthesis.modules.get(name))]
    starts = [
        position
        for position, layer in enumerate(layers)
        if position
        and layer["in_cutoff"] == layer["out_cutoff"]
        and not layer["is_critically_sampled"]
    ]
    for start, end in pairwise([*starts, len(layers) - critical - 1]):
        side = int(layers[end - 1]["out_sampling_rate"])
        yield {
            "img_resolution": side,
            "head_layers": end - start + critical,
            "up_factor": side // resolution,
        }
        resolution = side
