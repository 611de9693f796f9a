"""Models in a configuration: what they are, where their weights come from, what they see.

ModelSpec     any model: family, weights, layers
EncoderSpec   an encoder, possibly untrained
Input         how an encoder sees an image
GENERATORS    the families of networks that draw images
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from rosetta_core.validation import PATTERNS, SEEDS, Name, Section, Seed
from rosetta_core.zoo.published import PUBLISHED, published
from rosetta_core.zoo.weights.sources import Weights

__all__ = ["GENERATORS", "EncoderSpec", "Input", "ModelSpec"]

GeneratorFamily = Literal[
    "dcgan", "stylegan2", "stylegan2_rosinality", "stylegan3", "stylegan_xl", "biggan"
]
EncoderFamily = Literal["timm", "torchvision", "open_clip", "mtcnn_onet"]
GENERATORS: tuple[str, ...] = get_args(GeneratorFamily)
SINGLE = ("dcgan", "mtcnn_onet")  # families of one architecture
TARGET = r"^[^\s:]+:[A-Za-z_]\w*$"
PATTERNS[TARGET] = "names no function; write MODULE:NAME or FILE.py:NAME"


class Input(Section):
    """How an encoder sees an image: crop, resize, normalise (pixels in 0..1)."""

    size: int = Field(description="side of the square input, in pixels", ge=1, le=16_384)
    crop: float = Field(1.0, description="centre crop, as a share of the side", gt=0, le=1)
    interpolation: Literal["bilinear", "bicubic"] = Field("bicubic", description="with antialias")
    mean: list[float] = Field(description="per channel", min_length=3, max_length=3)
    std: list[Annotated[float, Field(gt=0)]] = Field(
        description="per channel", min_length=3, max_length=3
    )


class ModelSpec(Section):
    """A network of the zoo."""

    name: Name = Field(description="your name for it, used in files, tables and pages")
    family: Literal[GeneratorFamily, EncoderFamily, "python"] = Field(
        description="kind of network; those that draw images are "
        f"{', '.join(GENERATORS)}; those that look at them {', '.join(get_args(EncoderFamily))}; python "
        "is one of your own, of either kind"
    )
    architecture: str | None = Field(
        None, description="which of the family, by its name in the library or in the docs"
    )
    arguments: dict[str, Any] | None = Field(
        None,
        description="arguments of its constructor; for generators in place of an architecture",
    )
    target: str | None = Field(
        None,
        description="python: the function that builds it, MODULE:NAME or FILE.py:NAME",
        pattern=TARGET,
    )
    weights: Weights | None = Field(
        None, description="where the weights come from; null where a python target loads its own"
    )
    layers: list[str] | None = Field(
        None,
        description="dotted module names with globs; null takes the family's preset",
        min_length=1,
    )
    input: Input | None = Field(
        None, description="crop, resize and normalisation; null takes the model's own"
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """In a file, a model may also be named: NAME, or {zoo: NAME, …}."""
        whole = handler(schema)
        keys = handler.resolve_ref_schema(whole)["properties"]
        name: JsonSchemaValue = {"enum": list(PUBLISHED), "description": "a model of the zoo"}
        named = {
            "type": "object",
            "properties": {"zoo": name, **keys},
            "required": ["zoo"],
            "additionalProperties": False,
        }
        return {"anyOf": [name, named, whole]}

    @model_validator(mode="before")
    @classmethod
    def _published(cls, content: Any) -> Any:
        """A model of the zoo by its name, with or without keys of one's own."""
        return published(content)

    @model_validator(mode="after")
    def _whole(self) -> "ModelSpec":
        given = self.architecture is not None
        if self.family == "python" and given:
            raise ValueError("family python takes no architecture; name the function in target")
        if self.family in SINGLE and (given or self.arguments):
            raise ValueError(f"family {self.family} takes no architecture and no arguments")
        if self.family in ("timm", "torchvision", "open_clip") and not given:
            raise ValueError(f"family {self.family} needs an architecture")
        either = self.family in GENERATORS and self.family not in SINGLE
        if either and given == (self.arguments is not None):
            raise ValueError(f"family {self.family} takes an architecture or arguments")
        if (self.family == "python") != (self.target is not None):
            verb = "takes no" if self.target else "needs a"
            raise ValueError(f"family {self.family} {verb} target")
        if self.family != "python" and self.weights is None:
            raise ValueError("weights is missing; name a file, or random for an untrained one")
        if self.input and self.family in GENERATORS:
            raise ValueError(f"family {self.family} draws images and takes no input")
        return self


class EncoderSpec(ModelSpec):
    """A network that looks at images."""

    family: Literal[EncoderFamily, "python"] = Field(
        description=f"kind of network: {', '.join(get_args(EncoderFamily))}, or python for your own"
    )
    untrained: bool | Seed = Field(
        False,
        exclude=True,  # a resolved configuration has random weights and a name in its place
        description="the same network with random weights, a control: true, or a seed for others "
        "than those of seed 0; a model of the zoo is then named NAME_untrained",
    )

    @model_validator(mode="before")
    @classmethod
    def _published(cls, content: Any) -> Any:
        """The same, or what it was before its training."""
        return _untrained(content)


def _untrained(content: Any) -> Any:
    """Spell out an encoder, with random weights in place of its own if it is to be untrained."""
    if not isinstance(content, Mapping) or "untrained" not in content:
        return published(content)
    seed = content["untrained"]
    kept = {key: value for key, value in content.items() if key != "untrained"}
    if seed is False:
        return published(kept)
    if not isinstance(seed, int) or not 0 <= seed < SEEDS:
        raise ValueError(f"untrained is true, false, or a seed from 0 on, not {seed!r}")
    if "zoo" in kept:
        kept = {"name": f"{kept['zoo']}_untrained", **kept}
    whole = published(kept)
    if whole.get("family") == "python" and whole.get("weights") is None:
        raise ValueError(
            "untrained can't be, for the python target loads its own weights; name one that loads "
            "none, with weights: random"
        )
    return {**whole, "weights": {"random": 0 if seed is True else seed}}
