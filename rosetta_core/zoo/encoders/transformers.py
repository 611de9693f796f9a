"""Encoders of Hugging Face transformers: any vision model, and the vision tower of a larger one.

The network is the model that `AutoModel` builds of a configuration, without pooling over positions;
weights are converted by the library itself, so that files of older versions and of models with
heads fit. Code that a model brings along (`trust_remote_code`) is never executed, and nothing is
downloaded here except the two files of settings.
"""

import importlib
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.utils import logging as library_log

from rosetta_core.errors import RosettaError, describe_exception, did_you_mean
from rosetta_core.zoo.construction import CONSTRUCTOR_ERRORS, construct
from rosetta_core.zoo.encoders.transformers_files import Definition, read_definition
from rosetta_core.zoo.encoders.transformers_inputs import input_of
from rosetta_core.zoo.encoders.transformers_layouts import (
    FirstTensor,
    adapt,
    hints_of,
    patch_grid,
    prefix_tokens_of,
    preset_of,
    trailing_tokens,
)
from rosetta_core.zoo.layers import Grid
from rosetta_core.zoo.model_spec import Input
from rosetta_core.zoo.network import Encoder

__all__ = ["build", "facts_of"]

PIXELS = "pixel_values"
WRAPPERS = ("timm_backbone", "timm_wrapper")  # networks of timm
# entries of a configuration that choose code, which may be fetched, another precision, or outputs
DROPPED = (
    "_attn_implementation",
    "_attn_implementation_internal",
    "_experts_implementation",
    "attn_implementation",
    "auto_map",
    "dtype",
    "out_features",
    "out_indices",
    "stage_names",
    "torch_dtype",
)


def build(
    architecture: str | None = None,
    *,
    arguments: Mapping[str, Any] | None = None,
    input: Input | None = None,
) -> Encoder:
    """Build a vision model with random weights.

    Args:
        architecture: a type of model, for example dinov2; a folder with `config.json` (/…, ./… or
            ../…); or OWNER/NAME or OWNER/NAME@REVISION on the Hugging Face hub.
        arguments: replacements for entries of the configuration, for example image_size.
        input: preprocessing in place of the image processor's.

    Raises:
        RosettaError: there is no such model, it does not take images, its files are damaged, an
            argument is refused, or its image processor has no equal here.
    """
    definition = read_definition(architecture or "")
    config = _config(definition, arguments or {})
    model_class = _model_class(definition, config)
    network = _construct(definition, model_class, config, arguments)
    chosen = input or input_of(definition, config)
    adapt(network, config, grid=patch_grid(config, chosen.sides))
    return Encoder(
        network=network,
        input=chosen,
        convert_checkpoint=_Converter(definition, model_class, config),
        **facts_of(network, chosen.sides),
    )


def facts_of(network: PreTrainedModel, sides: Grid) -> dict[str, Any]:
    """Return the fields of an `Encoder` that follow from a network: its layers and layouts.

    Args:
        network: a vision model of the library.
        sides: height and width of its images.
    """
    grid, prefix = patch_grid(network.config, sides), prefix_tokens_of(network)
    return {
        "preset": preset_of(network),
        "prefix_tokens": prefix,
        "hint_for": hints_of(network, grid=grid, prefix_tokens=prefix),
        "to_maps": FirstTensor(trailing_tokens(network.config), grid, prefix),
    }


def _config(definition: Definition, arguments: Mapping[str, Any]) -> PreTrainedConfig:
    """Return the configuration of a network, or of the vision tower of a larger one."""
    name, content = definition.name, dict(definition.config)
    kind = content.get("model_type")
    if kind not in CONFIG_MAPPING:
        if "auto_map" in content:
            raise RosettaError(
                f"{name}: needs code of its own (trust_remote_code), which is never executed; "
                "choose a model of transformers itself"
            )
        hint = did_you_mean(str(kind), CONFIG_MAPPING.keys())
        cure = "give a type of model, ./FOLDER, or OWNER/NAME on the hub"
        raise RosettaError(f"{name}: transformers has no type of model {kind!r}{hint}; {cure}")
    if kind in WRAPPERS:
        raise RosettaError(f"{name}: is a network of timm; use family timm")
    if content.get("quantization_config"):
        raise RosettaError(f"{name}: has quantised weights; choose the original model")
    with _one_line(name, "its configuration is refused"):
        content = _clean(content)
        config = CONFIG_MAPPING[kind].from_dict(content)
        tower = getattr(config, "vision_config", None)
        if isinstance(tower, PreTrainedConfig):
            config, content = tower, content.get("vision_config") or {}
        entries = config.to_dict()
    if not arguments:
        return config
    for argument in arguments:
        if argument not in entries or argument in ("model_type", *DROPPED):
            raise RosettaError(
                f"{name}: argument {argument!r} is not part of its configuration"
                f"{did_you_mean(argument, entries)}; give entries of config.json"
            )
    with _one_line(name, f"refuses the arguments {dict(arguments)}"):
        return type(config).from_dict({**content, **arguments})


def _clean(content: Any) -> Any:
    """Return settings without those that choose code or precision, at all depths."""
    if not isinstance(content, Mapping):
        return content
    cleaned = {name: _clean(value) for name, value in content.items() if name not in DROPPED}
    if "use_pretrained_backbone" in cleaned:
        cleaned["use_pretrained_backbone"] = False  # or weights would be fetched
    return cleaned


def _model_class(definition: Definition, config: PreTrainedConfig) -> type[PreTrainedModel]:
    """Return the class that AutoModel chooses for a configuration, or that of its vision tower."""
    name, kind = definition.name, config.model_type
    try:
        chosen = MODEL_MAPPING.get(type(config), None) or _tower_class(config)
    except ImportError as error:
        raise RosettaError(f"{name}: cannot be imported ({describe_exception(error)})") from None
    if isinstance(chosen, tuple):
        chosen = chosen[0]
    parameters = list(inspect.signature(chosen.forward).parameters) if chosen else []
    if chosen is None or chosen.main_input_name != PIXELS or PIXELS not in parameters:
        raise RosettaError(f"{name}: {kind} does not take images alone; choose a vision model")
    if getattr(config, "num_frames", None) or getattr(config, "is_encoder_decoder", False):
        takes = "videos" if getattr(config, "num_frames", None) else "images and queries"
        raise RosettaError(f"{name}: {kind} takes {takes}, not images alone; choose another model")
    return chosen


def _tower_class(config: PreTrainedConfig) -> type[PreTrainedModel] | None:
    """Return the vision model of a configuration that AutoModel does not list."""
    path = type(config).__module__.replace(".configuration_", ".modeling_")
    module = importlib.import_module(path)
    for chosen in vars(module).values():
        if inspect.isclass(chosen) and issubclass(chosen, PreTrainedModel):
            own = getattr(chosen, "config_class", None) is type(config)
            if own and chosen.__name__.endswith("VisionModel"):
                return chosen
    return None


def _options(model_class: type[PreTrainedModel]) -> dict[str, Any]:
    """Return keyword arguments of a model's constructor: no pooling behind the last layer."""
    takes = inspect.signature(model_class.__init__).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in takes else {}


def _construct(
    definition: Definition,
    model_class: type[PreTrainedModel],
    config: PreTrainedConfig,
    arguments: Mapping[str, Any] | None,
) -> PreTrainedModel:
    """Build a network; errors name the arguments."""

    def constructor(**_arguments: Any) -> PreTrainedModel:  # part of the configuration already
        try:
            return model_class(config, **_options(model_class))
        except ImportError as error:  # of a backend of this model alone
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise RosettaError(
                f"{definition.name}: needs a library that is not installed ({lines[0][:120]}); "
                "install it, or choose another model"
            ) from None

    with _quiet():
        return construct(constructor, arguments, name=definition.name)


@dataclass(frozen=True)
class _Converter:
    """Conversion of a checkpoint to a network's state dict, by the library's own rules."""

    definition: Definition
    model_class: type[PreTrainedModel]
    config: PreTrainedConfig

    def __call__(self, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the entries of a checkpoint by the names of the network's parameters.

        Entries that fit no parameter are left out, for example those of heads and text towers,
        except those of further blocks of the network.
        """
        state = {name: value for name, value in content.items() if isinstance(value, Tensor)}
        shapes_only = any(value.is_meta for value in state.values())
        filled = {name: _filled(value) for name, value in state.items()}
        with (
            torch.random.fork_rng(devices=[]),
            torch.device("cpu"),
            _quiet(),
            _one_line(self.definition.name, "the library refuses the file of weights"),
        ):
            network, report = self.model_class.from_pretrained(
                None,
                config=self.config,
                state_dict=filled,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **_options(self.model_class),
            )
        needed = network.state_dict()
        absent = set(report["missing_keys"])
        converted = {name: value for name, value in needed.items() if name not in absent}
        if shapes_only:
            converted = {name: value.to("meta") for name, value in converted.items()}
        for name, shape, _ in report["mismatched_keys"]:  # refused by its shape
            converted[name] = torch.empty(shape, device="meta")
        kinds = {_without_numbers(name) for name in needed}
        extra = [name for name in report["unexpected_keys"] if _without_numbers(name) in kinds]
        return {**converted, **{name: torch.empty(0) for name in extra}}


def _filled(value: Tensor) -> Tensor:
    """Return a tensor with elements, for one of which only the shape was read."""
    if not value.is_meta:
        return value
    return torch.zeros((), dtype=value.dtype, device="cpu").expand(value.shape)


def _without_numbers(name: str) -> tuple[str, ...]:
    return tuple("*" if part.isdigit() else part for part in name.split("."))


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the library's reports and progress bars."""
    level, bars = library_log.get_verbosity(), library_log.is_progress_bar_enabled()
    library_log.set_verbosity(transformers.logging.CRITICAL)
    library_log.disable_progress_bar()
    try:
        yield
    finally:
        library_log.set_verbosity(level)
        if bars:
            library_log.enable_progress_bar()


@contextmanager
def _one_line(name: str, problem: str) -> Iterator[None]:
    """Report what the library raises in one line."""
    try:
        yield
    except RosettaError:
        raise
    except (StrictDataclassError, *CONSTRUCTOR_ERRORS) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise RosettaError(f"{name}: {problem} ({reason}); correct it") from None
