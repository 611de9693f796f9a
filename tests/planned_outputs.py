"""Which outputs of the tiny run jobs write, as a plan of the workflow lists them."""

from collections.abc import Sequence

from checkout import Checkout

PAIRS = ["dcgan", "efficientnet_lite0", "mobilenet_v2", "mtcnn_onet"]
MEASURED = ["tables/costs.csv", "provenance.json"]
PAGES = ["dictionary", *MEASURED]
EXAMPLES = ["examples/concepts.zarr", *PAGES]
JOBS = {
    "astronaut": "inversions",
    "strongest": "shows",
    "tuned": "tunings",
    "shifted": "edits",
    "table": "evaluations",
}
SIGNIFICANCE = [
    f"tables/significance/{table}.parquet"
    for table in ("null_counts", "concepts", "pairs", "split_half")
]
LAYERS = [f"tables/{table}.parquet" for table in ("layers", "selectivity", "vargha_delaney")]
STEERED = [*(f"{folder}/{job}" for job, folder in JOBS.items()), "steering"]
CONCEPTS = ["tables/rosetta.parquet", "tables/concepts.parquet"]
JOINS = [*CONCEPTS, *SIGNIFICANCE, *LAYERS, *EXAMPLES, *STEERED]
NEURONS = "results/tiny/tables/rosetta.parquet"  # enough where pages are not what is asked about
PAIR_STATISTICS = (
    "tables/significance/pair_statistics.parquet"  # of the best buddies of all encoders
)


def outputs(
    *, samples=(), activations=(), units=(), corr=(), neighbours=(), examples=(), joins=JOINS
):
    """The paths that jobs make, as a plan lists them."""
    made = [f"samples/dcgan/{shard}{end}" for shard in samples for end in (".zarr", ".json")]
    made += [f"activations/{store}{end}" for store in activations for end in (".zarr", ".json")]
    made += [f"tables/units/{model}.parquet" for model in units]
    made += [f"correlations/dcgan--{model}.zarr" for model in corr]
    made += [
        f"tables/{table}/dcgan--{model}.parquet"
        for table in ("neighbours", "best_buddies")
        for model in neighbours
    ]
    made += [
        f"tables/significance/{table}/dcgan--{model}.parquet"
        for table in ("null_matches/permute_images", "null_corr/permute_images")
        for model in neighbours
        if model != "dcgan"
    ]
    made += [PAIR_STATISTICS] if set(neighbours) - {"dcgan"} else []
    made += [f"examples/units/{model}.zarr" for model in examples]
    return sorted(f"results/tiny/{path}" for path in [*made, *joins])


def steered(*jobs: str, more: Sequence[str] = ()) -> list[str]:
    """What steering makes again if these jobs run."""
    made = [f"{JOBS[job]}/{job}" for job in jobs]
    pages = ["dictionary"] if "strongest" in jobs else []
    return outputs(joins=[*made, *more, *pages, "steering", *MEASURED])


def edit(checkout: Checkout, file: str, old: str, new: str) -> None:
    path = checkout.folder / "rosetta_core" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
