"""Model specifications: family, weights, mined layers and preprocessing of a model.

They are sections of the configuration, and plain values for `build` and `load`.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, assert_never

from pydantic import AfterValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from rosetta_core.validation import PATTERN_MESSAGES, SEED_LIMIT, Name, Section, Seed
from rosetta_core.zoo.named_models import NAMED_MODELS, expand_name
from rosetta_core.zoo.registry import (
    ENCODERS,
    FAMILIES,
    GENERATORS,
    EncoderFamily,
    GeneratorFamily,
)
from rosetta_core.zoo.weights.local import RandomWeights
from rosetta_core.zoo.weights.sources import Weights

__all__ = ["EncoderSpec", "Input", "ModelSpec", "has_image_range"]

TARGET = r"^[^\s:]+:[A-Za-z_]\w*$"
PATTERN_MESSAGES[TARGET] = "is not a function; write MODULE:NAME or FILE.py:NAME"


def _check_range(values: list[float]) -> list[float]:
    if values[0] >= values[1]:
        raise ValueError(f"{values} is not a range; give the value of black, then of white")
    return values


Range = Annotated[list[float], Field(min_length=2, max_length=2), AfterValidator(_check_range)]


class Input(Section):
    """Preprocessing of an encoder's images: centre crop, resize, normalise (pixels in 0..1)."""

    size: int = Field(description="side of the square input, in pixels", ge=1, le=16_384)
    crop: float = Field(1.0, description="centre crop, as a share of the side", gt=0, le=1)
    interpolation: Literal["bilinear", "bicubic"] = Field(
        "bicubic", description="interpolation of the resize, with antialiasing"
    )
    mean: list[float] = Field(description="mean of each channel", min_length=3, max_length=3)
    std: list[Annotated[float, Field(gt=0)]] = Field(
        description="standard deviation of each channel", min_length=3, max_length=3
    )


class ModelSpec(Section):
    """A model: a network of a family, its weights, and the layers that are mined."""

    name: Name = Field(description="name of the model in files, tables and pages")
    family: Literal[GeneratorFamily, EncoderFamily, "python"] = Field(
        description=f"family of networks; generators: {', '.join(GENERATORS)}; encoders: "
        f"{', '.join(ENCODERS)}; python: a function of your own that returns either"
    )
    architecture: str | None = Field(
        None, description="architecture within the family, by its name in the library or the docs"
    )
    arguments: dict[str, Any] | None = Field(
        None,
        description="constructor arguments; for generators, in place of an architecture",
    )
    target: str | None = Field(
        None,
        description="family python: function that builds the model, MODULE:NAME or FILE.py:NAME",
        pattern=TARGET,
    )
    weights: Weights | None = Field(
        None, description="source of the weights; null: a python target loads its own"
    )
    layers: list[str] | None = Field(
        None,
        description="mined layers: dotted module names with globs; null: the family's preset",
        min_length=1,
    )
    input: Input | None = Field(
        None, description="preprocessing of an encoder's images; null: the network's own"
    )
    output_range: Range | None = Field(
        None,
        description="values of black and white in a generator's images, for example [0, 1] or [0, "
        "255]; null: [-1, 1], unless the images contradict it",
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Also accept NAME and {zoo: NAME, …} in a file."""
        whole = handler(schema)
        keys = handler.resolve_ref_schema(whole)["properties"]
        name: JsonSchemaValue = {"enum": list(NAMED_MODELS), "description": "a model of the zoo"}
        named = {
            "type": "object",
            "properties": {"zoo": name, **keys},
            "required": ["zoo"],
            "additionalProperties": False,
        }
        return {"anyOf": [name, named, whole]}

    @model_validator(mode="before")
    @classmethod
    def _expand_name(cls, content: Any) -> Any:
        return expand_name(content)

    @model_validator(mode="after")
    def _check_family(self) -> "ModelSpec":
        family, named = FAMILIES[self.family], self.architecture is not None
        match family.selected_by:
            case "target":
                if named:
                    raise ValueError("family python takes no architecture; give target instead")
            case "nothing":
                if named or self.arguments:
                    raise ValueError(f"family {family.name} takes no architecture and no arguments")
            case "architecture":
                if not named:
                    raise ValueError(f"family {family.name} needs an architecture")
            case "either":
                if named == (self.arguments is not None):
                    raise ValueError(f"family {family.name} takes an architecture or arguments")
            case _:
                assert_never(family.selected_by)
        if (family.selected_by == "target") != (self.target is not None):
            verb = "takes no" if self.target else "needs a"
            raise ValueError(f"family {family.name} {verb} target")
        return self

    @model_validator(mode="after")
    def _check_kind(self) -> "ModelSpec":
        family = FAMILIES[self.family]
        if self.weights is None and family.kind != "user":
            raise ValueError("weights is missing; give a source, or random for an untrained model")
        if self.input and family.kind == "generator":
            raise ValueError(f"family {family.name} is a generator and takes no input")
        if self.output_range and family.kind == "encoder":
            raise ValueError(f"family {family.name} is an encoder and takes no output_range")
        return self


def has_image_range(model: ModelSpec) -> bool:
    """Return whether the range of a generator's images can be checked.

    The images of the zoo's generators are in -1..1 once they are trained; with random weights, they
    have any values.
    """
    return model.family not in GENERATORS or not isinstance(model.weights, RandomWeights)


class EncoderSpec(ModelSpec):
    """An encoder, optionally with random weights in place of its own."""

    family: Literal[EncoderFamily, "python"] = Field(
        description=f"family of encoders: {', '.join(ENCODERS)}, or python for your own function"
    )
    untrained: bool | Seed = Field(
        False,
        exclude=True,  # a resolved configuration has random weights and a name in its place
        description="use random weights, as a control: true, or a seed (true is seed 0); a model "
        "of the zoo is then named NAME_untrained",
    )

    @model_validator(mode="before")
    @classmethod
    def _expand_name(cls, content: Any) -> Any:
        return _expand_untrained(content)


def _expand_untrained(content: Any) -> Any:
    """Expand the name of an encoder, and replace its weights by random ones if `untrained`."""
    if not isinstance(content, Mapping) or "untrained" not in content:
        return expand_name(content)
    seed = content["untrained"]
    others = {key: value for key, value in content.items() if key != "untrained"}
    if seed is False:
        return expand_name(others)
    if not isinstance(seed, int) or not 0 <= seed < SEED_LIMIT:
        raise ValueError(f"untrained: {seed!r} is invalid; give true, false, or a seed from 0 on")
    if "zoo" in others:
        others = {"name": f"{others['zoo']}_untrained", **others}
    spec = expand_name(others)
    if spec.get("family") == "python" and spec.get("weights") is None:
        raise ValueError(
            "untrained: not supported, because the python target loads its own weights; use a "
            "target without weights and set weights: random"
        )
    return {**spec, "weights": {"random": 0 if seed is True else seed}}
