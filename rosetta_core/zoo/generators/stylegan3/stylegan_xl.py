"""StyleGAN-XL (Sauer, Schwarz and Geiger, 2022): StyleGAN3 for images of many classes.

build            the generator with random weights
ARCHITECTURES    by name networks as the paper describes them
arguments_of     what the constructors of a network in a file were given
plan_stages      the layers of a network

Sauer et al., "StyleGAN-XL: Scaling StyleGAN to Large Diverse Datasets", SIGGRAPH 2022. A class
is embedded as a pretrained classifier does (section 3.1). A network of low resolution, the stem,
grows in stages (section 3.2): its last layers are cut off and new ones added.
"""

from collections.abc import Iterator, Mapping, Sequence
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
    from rosetta_core.zoo.weights.pickled_networks import PickledModule

__all__ = ["ARCHITECTURES", "arguments_of", "build", "plan_stages"]

FAMILY = "stylegan_xl"
STAGE = {"img_resolution": 4, "head_layers": 1, "up_factor": 1}
EMBEDDING = (1000, 320)  # ImageNet's classes, and the features of the classifier EfficientNet-lite0


def _described(stages: int) -> dict[str, Any]:
    """A stem of 16 px and its stages; each adds 7 layers, the one to 1024 px adds 5."""
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


# From section 3.2 and the defaults of the published code. The published files were not at hand:
# whether each was made with exactly these arguments has not been checked.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    f"imagenet-{16 << stages}": _described(stages) for stages in range(7)
}


class ClassMapping(MappingNetwork):
    """A mapping network with a pretrained embedding of classes, and a mean of w for each."""

    def __init__(self, *, class_embedding_shape: Sequence[int], **sizes: Any) -> None:
        self._embedded_classes, self._embedding = class_embedding_shape
        super().__init__(**sizes)

    def initial_mean(self) -> Tensor:
        """The mean of w of each class before training."""
        return torch.zeros(self.c_dim, self.w_dim) if self.c_dim else super().initial_mean()

    def add_embedding(self, features: int) -> int:
        """Add the embedding of a classifier, and a layer from it to the length of z."""
        self.embed = nn.Embedding(self._embedded_classes, self._embedding)
        self.embed_proj = Linear(self._embedding, self.z_dim, activate=True)
        return self.z_dim

    def embedded(self, rows: Tensor) -> Tensor:
        """Embed the foremost class of each row (n, c_dim)."""
        return self.embed_proj(self.embed(rows.argmax(1)))

    def mean(self, rows: Tensor | None) -> Tensor:
        """The mean of w of each row's foremost class (n, w_dim); without classes (w_dim,)."""
        return self.w_avg if rows is None else self.w_avg[rows.argmax(1)]


def build(
    architecture: str | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    truncation: float = 1.0,
) -> Generator:
    """Build a generator with random weights; its units are what the layers but the last give.

    Args:
        architecture: name of a network of the paper.
        arguments: or what the stem's constructor takes (z_dim, c_dim, w_dim, img_resolution,
            img_channels, and what else differs from the defaults), with `stages`, for each what
            its constructor takes (img_resolution, head_layers, up_factor), and
            `class_embedding_shape`, how many classes the embedding has and how long it is.
        truncation: ψ, how much of the distance to the class's mean of w is kept.

    Raises:
        RosettaError: for an unknown architecture, or arguments that are unknown, missing or
            impossible.
    """
    asked = resolve_arguments(architecture, arguments, published=ARCHITECTURES, family=FAMILY)
    whole = _whole(asked)
    return make_generator(
        whole,
        plan_stages(whole),
        truncation=truncation,
        mapping_of=partial(ClassMapping, class_embedding_shape=whole["class_embedding_shape"]),
        mapping_first=bool(whole["stages"]),
    )


def _whole(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments, with defaults for those left out."""
    whole = complete_arguments(
        arguments,
        family=FAMILY,
        further={"stages": (), "class_embedding_shape": EMBEDDING},
        further_of_mapping={"rand_embedding": False},  # says how the embedding is initialised
    )
    if not isinstance(whole["stages"], list | tuple):
        raise RosettaError(f"{FAMILY}: stages is {whole['stages']!r}; give a list of stages")
    shape = whole["class_embedding_shape"]
    sizes = isinstance(shape, list | tuple) and [type(size) for size in shape] == [int, int]
    if not sizes or shape[0] < whole["c_dim"]:
        raise RosettaError(
            f"{FAMILY}: class_embedding_shape is {shape!r}; give two sizes, of at least "
            f"{whole['c_dim']} classes and of an embedding"
        )
    return whole


def plan_stages(arguments: Mapping[str, Any]) -> list[LayerPlan]:
    """Plan the layers of the stem and of the stages after it, from all arguments.

    Each stage cuts off the critically sampled layers and adds `head_layers` + 1 new ones. The
    first of them keeps the band of its input, as layer 0 of the stem does; from there the bands
    widen to the stage's resolution. Between the numbers of the layers that were kept and those
    of the new ones, one is left out where the stem ends.

    Raises:
        RosettaError: for an unknown or missing argument of a stage, or an impossible one.
    """
    plans, resolution = plan_network(arguments, where=FAMILY), arguments["img_resolution"]
    # stages don't hand on what the stem's layers were given beyond these two
    kernel = {name: arguments[name] for name in ("conv_kernel", "use_radial_filters")}
    new = {**arguments, **_defaults("filter_size", "lrelu_upsampling", "conv_clamp"), **kernel}
    for number, asked in enumerate(arguments["stages"], start=1):
        where = f"{FAMILY}: stage {number}"
        stage = fill_defaults(asked, sizes=STAGE, defaults={}, family=where)
        resolution *= stage["up_factor"]
        if stage["img_resolution"] != resolution:
            raise RosettaError(
                f"{where}: img_resolution is {stage['img_resolution']}; with up_factor "
                f"{stage['up_factor']} it must be {resolution}"
            )
        kept = plans[: -arguments["num_critical"] - 1]
        last = kept[-1].gives
        signals = progression(
            resolution,
            layers=stage["head_layers"],
            first_cutoff=last.cutoff,
            first_stopband=last.cutoff + last.half_width,  # files keep the two, not the sum
            arguments=arguments,
            where=where,
        )
        plans = kept + plan_layers([last, *signals[1:]], arguments=new, number=len(kept) + 1)
    return plans


def _defaults(*names: str) -> dict[str, Any]:
    return {name: SYNTHESIS[name] for name in names}


def arguments_of(module: "PickledModule") -> dict[str, Any] | None:
    """Return the arguments that make `build` build a network that was found in a file.

    The constructor of a stage was given a file of the network before it, so the stem and all
    stages are read off the modules. None if it is no StyleGAN-XL.

    Raises:
        RosettaError: if what was read off does not give the layers that the network has.
    """
    synthesis, mapping = (module.modules.get(name) for name in ("synthesis", "mapping"))
    if synthesis is None or mapping is None or "conv_kernel" not in synthesis.attributes:
        return None
    if module.class_name == "Generator":
        found = constructor_arguments(module)
    elif module.class_name == "SuperresGenerator":
        found = _stem(synthesis, mapping)
        found["stages"] = list(_stages(synthesis, resolution=found["img_resolution"]))
    else:
        return None
    weight = embed.parameters["weight"] if (embed := mapping.modules.get("embed")) else None
    if weight is not None:
        found["class_embedding_shape"] = list(weight.shape)
    found = to_builtin(found)
    named = [plan.name for plan in plan_stages(_whole(found))]
    if named != list(synthesis.attributes["layer_names"]):
        raise RosettaError(
            f"{FAMILY}: the stages read off the file give {len(named)} layers up to {named[-1]}, "
            f"not its own up to {synthesis.attributes['layer_names'][-1]}; give the arguments"
        )
    return found


def _stem(synthesis: "PickledModule", mapping: "PickledModule") -> dict[str, Any]:
    """The arguments of the stem: those of its synthesis network, and the rest of its mapping's."""
    own = {"z_dim", "c_dim", "w_dim", "num_ws"}
    sizes = {name: mapping.attributes[name] for name in ("z_dim", "c_dim", "w_dim")}
    rest = {name: value for name, value in mapping.arguments.items() if name not in own}
    return {**synthesis.arguments, **sizes, "mapping_kwargs": rest}


def _stages(synthesis: "PickledModule", *, resolution: int) -> Iterator[dict[str, Any]]:
    """The stages of a network, read off its layers.

    A stage's first layer is the one that keeps the band of its input. The next stage cuts off its
    last num_critical + 1 layers; the last that is left is sampled as the stage's image is.
    """
    names, critical = synthesis.attributes["layer_names"], synthesis.attributes["num_critical"]
    layers = [layer.attributes for name in names if (layer := synthesis.modules.get(name))]
    starts = [
        place
        for place, layer in enumerate(layers)
        if place
        and layer["in_cutoff"] == layer["out_cutoff"]
        and not layer["is_critically_sampled"]
    ]
    for start, end in pairwise([*starts, len(layers) - critical - 1]):
        grown = int(layers[end - 1]["out_sampling_rate"])
        yield {
            "img_resolution": grown,
            "head_layers": end - start + critical,
            "up_factor": grown // resolution,
        }
        resolution = grown
