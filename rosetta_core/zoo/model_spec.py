"""Model specifications: family, weights, mined layers and preprocessing of a model.

They are sections of the configuration, and plain values for `build` and `load`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, assert_never

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from rosetta_core.validation import PATTERN_MESSAGES, SEED_LIMIT, Name, Section, Seed
from rosetta_core.zoo.layers import Hint, LayoutKind
from rosetta_core.zoo.named_models import LIBRARY_MODEL, NAMED_MODELS, expand_name
from rosetta_core.zoo.registry import (
    ENCODERS,
    FAMILIES,
    GENERATORS,
    EncoderFamily,
    GeneratorFamily,
)
from rosetta_core.zoo.weights.local import RandomWeights
from rosetta_core.zoo.weights.sources import Weights

__all__ = ["EncoderSpec", "Input", "LayoutSpec", "ModelSpec", "has_image_range", "input_size"]

TARGET = r"^[^\s:]+:[A-Za-z_]\w*$"
PATTERN_MESSAGES[TARGET] = "is not a function; write MODULE:NAME or FILE.py:NAME"


def _check_range(values: list[float]) -> list[float]:
    if values[0] >= values[1]:
        raise ValueError(f"{values} is not a range; give the value of black, then of white")
    return values


Range = Annotated[list[float], Field(min_length=2, max_length=2), AfterValidator(_check_range)]


MAX_SIDE = 16_384
MAX_MEAN = 2  # of a channel, for pixels in 0..1


def _is_size(size: Any) -> Any:
    """Check the size of inputs: a side, or height and width."""
    sides = size if isinstance(size, list | tuple) else [size, size]
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or not all(1 <= side <= MAX_SIDE for side in sides):
        raise ValueError(
            f"{size!r} is not a size; give a side from 1 to {MAX_SIDE} pixels, or [height, width]"
        )
    return tuple(size) if isinstance(size, list) else size


SIDE_OF_INPUT = {"type": "integer", "minimum": 1, "maximum": MAX_SIDE}
Size = Annotated[
    int | tuple[int, int],
    BeforeValidator(_is_size),
    WithJsonSchema(
        {
            "anyOf": [
                SIDE_OF_INPUT,
                {
                    "type": "array",
                    "items": SIDE_OF_INPUT,
                    "minItems": 2,
                    "maxItems": 2,
                },
            ]
        }
    ),
]


def _check_mean(value: float) -> float:
    if abs(value) > MAX_MEAN:
        raise ValueError(f"{value:g} is for pixels in 0..255, but they are in 0..1; divide by 255")
    return value


class Input(Section):
    """Preprocessing of an encoder's images: centre crop, resize, normalise (pixels in 0..1)."""

    size: Size = Field(description="side of the square input, in pixels, or [height, width]")
    crop: float = Field(1.0, description="centre crop, as a share of the side", gt=0, le=1)
    interpolation: Literal["bilinear", "bicubic"] = Field(
        "bicubic", description="interpolation of the resize, with antialiasing"
    )
    mean: list[Annotated[float, AfterValidator(_check_mean)]] = Field(
        description="mean of each channel", min_length=3, max_length=3
    )
    std: list[Annotated[float, Field(gt=0)]] = Field(
        description="standard deviation of each channel", min_length=3, max_length=3
    )

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width of the input, in pixels."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


def _is_grid(grid: Any) -> Any:
    """Check the height and width of maps."""
    sides = list(grid) if isinstance(grid, list | tuple) else []
    whole = all(isinstance(side, int) and not isinstance(side, bool) for side in sides)
    if len(sides) != 2 or not whole or min(sides) < 1:
        raise ValueError(f"{grid!r} is not a grid; give [height, width], for example [16, 4]")
    return tuple(sides)


SIDE = {"type": "integer", "minimum": 1}
LayoutOption = Annotated[
    LayoutKind | None,
    Field(
        description="axes of the layers' outputs: nchw, nhwc, tokens (n, t, …, c), tokens_first "
        "(t, n, c), tokens_last (n, c, t), heads (n, heads, t, d), windows or dilated_windows "
        "(n·windows, t, c), none (n, c); null: derived from the network"
    ),
]
GridOption = Annotated[
    Annotated[
        tuple[int, int],
        BeforeValidator(_is_grid),
        WithJsonSchema({"type": "array", "items": SIDE, "minItems": 2, "maxItems": 2}),
    ]
    | None,
    Field(description="[height, width] of maps, in positions; null: derived from the image's"),
]
PrefixOption = Annotated[
    int | None,
    Field(description="tokens before the grid, for example 1 for a class token", ge=0),
]


class LayoutSpec(Section):
    """Layout of the outputs of some layers."""

    layout: LayoutOption = None
    grid: GridOption = None
    prefix_tokens: PrefixOption = None

    @property
    def hint(self) -> Hint:
        """What the section says about layers."""
        return Hint(layout=self.layout, grid=self.grid, prefix_tokens=self.prefix_tokens)


def input_size(size: int | Sequence[int]) -> int | tuple[int, int]:
    """Return the size of an `Input` from a side, or from a height and a width."""
    if isinstance(size, int):
        return size
    height, width = size
    return height if height == width else (height, width)


class ModelSpec(Section):
    """A model: a network of a family, its weights, and the layers that are mined."""

    name: Name = Field(description="name of the model in files, tables and pages")
    family: Literal[GeneratorFamily, EncoderFamily, "python", "in_memory"] = Field(
        description=f"family of networks; generators: {', '.join(GENERATORS)}; encoders: "
        f"{', '.join(ENCODERS)}; python: a function of your own that returns either (in_memory: "
        "only in saved results of rosetta.mine)"
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
    layout: LayoutOption = None
    grid: GridOption = None
    prefix_tokens: PrefixOption = None
    layouts: dict[str, LayoutSpec] | None = Field(
        None,
        description="layout, grid and prefix_tokens of some layers, by patterns of their names; "
        "the last match counts",
    )
    float32_layers: list[str] | None = Field(
        None,
        description="mined layers whose maps are stored as float32, for activations beyond "
        "±65504: names with globs; null: none",
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

    @property
    def hints(self) -> dict[str, Hint]:
        """What the section says about the layouts of layers, by pattern; the last match counts."""
        every = Hint(layout=self.layout, grid=self.grid, prefix_tokens=self.prefix_tokens)
        hints = {} if every == Hint() else {"**": every}
        return hints | {name: part.hint for name, part in (self.layouts or {}).items()}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Also accept NAME and {zoo: NAME, …} in a file."""
        whole = handler(schema)
        keys = handler.resolve_ref_schema(whole)["properties"]
        name: JsonSchemaValue = {
            "anyOf": [{"enum": list(NAMED_MODELS)}, {"type": "string", "pattern": LIBRARY_MODEL}],
            "description": "a model of the zoo, or of a library",
        }
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
        if self.weights is None and family.kind not in ("user", "memory"):
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

    family: Literal[EncoderFamily, "python", "in_memory"] = Field(
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
        others = {"name": f"{expand_name(others['zoo'])['name']}_untrained", **others}
    spec = expand_name(others)
    if spec.get("family") == "python" and spec.get("weights") is None:
        raise ValueError(
            "untrained: not supported, because the python target loads its own weights; use a "
            "target without weights and set weights: random"
        )
    return {**spec, "weights": {"random": 0 if seed is True else seed}}
