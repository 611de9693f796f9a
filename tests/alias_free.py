"""What the files of goldens and tables say of StyleGAN3 and StyleGAN-XL, in the project's terms.

golden_arguments    the arguments that `build` takes for a golden or an entry of a table
attributes_of       what the reference implementations note in a layer
"""

from collections.abc import Mapping
from typing import Any

from rosetta_core.zoo.alias_free_layers import SynthesisLayer


def golden_arguments(about: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that `build` takes for a golden or an entry of a table."""
    further = {"stages": about.get("init_stages") or about.get("stages"),
               "class_embedding_shape": about.get("class_embedding_shape")}  # fmt: skip
    return about["init_kwargs"] | {name: value for name, value in further.items() if value}


def attributes_of(layer: SynthesisLayer) -> dict[str, Any]:
    """What the reference implementation notes in a layer, from its plan."""
    plan = layer.plan
    before, after = plan.padding
    noted: dict[str, Any] = {"padding": [before, after, before, after]}
    for side, signal in {"in": plan.takes, "out": plan.gives}.items():
        noted[f"{side}_size"] = [signal.size, signal.size]
        for name in ("channels", "sampling_rate", "cutoff", "half_width"):
            noted[f"{side}_{name}"] = getattr(signal, name)
    names = ("is_torgb", "is_critically_sampled", "conv_kernel", "conv_clamp", "tmp_sampling_rate")
    names += ("up_factor", "up_taps", "down_factor", "down_taps", "down_radial")
    return noted | {name: getattr(plan, name) for name in names}
