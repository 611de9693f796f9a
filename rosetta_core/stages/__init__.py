"""The stages of a run, each a function of the configuration: what the rules and an API user call.

check            everything that can be wrong before a job starts
configure        the run's resolved configuration
list_layers      a model's layers and their shapes
plan             what a run will take
fetch            a model's weights
sample           the images of a shard
activations      a model's maps of a shard
units            the table of a model's units
passes           which models are correlated in one job
correlations     the pivot's units with those of models
join             the correlations of a pair from those of blocks of rows
neighbours       nearest neighbours and best buddies of the pivot and a model
concepts         Rosetta neurons and concepts
chance           what a null gives in place of an encoder's best buddies
agreement        how pairs of the pivot and the encoders agree from image to image
evidence         which pairs and concepts exceed chance, and are found again
sweep            the best partners of the pivot's and a model's units, of ever more images
sweep_curves     how findings depend on images, neighbours and encoders
unit_examples    the images and maps that each unit of a model fires at
concept_examples how strongly the concepts show on every image, and their maps there
layers           which layers Rosetta neurons are in, and how selective they are
steer            a job that inverts, shows, edits, tunes or evaluates
needed           the files that such a job reads
steering_pages   one page for all of them
dictionary       the pages
figure           a figure for a paper
measured         which jobs of the workflow are measured
costs            what they took
summary          what a run came to, for the end of it
provenance       what made the run
export           the tables as CSV, JSON or Parquet
verify           every byte of a finished run
mine             all of it, one stage after the other

Five are of no run, or of several, and so no functions of a configuration:

compare          where two runs differ
convert          a clean file of weights out of a checkpoint
train            an encoder that is taught without labels
translate        the concepts of two runs, joined by the encoder units that they share
zoo              the table of the published models
"""

from itertools import product
from pathlib import Path

from rosetta_core.config import Config
from rosetta_core.stages.before import check, configure, fetch, list_layers, plan
from rosetta_core.stages.convert import convert
from rosetta_core.stages.costs import costs, measured, summary
from rosetta_core.stages.examples import concept_examples, unit_examples
from rosetta_core.stages.export import export
from rosetta_core.stages.figures import figure
from rosetta_core.stages.layers import layers
from rosetta_core.stages.mining import concepts, correlations, join, neighbours, passes
from rosetta_core.stages.networks import activations, sample, units
from rosetta_core.stages.pages import dictionary
from rosetta_core.stages.provenance import compare, provenance
from rosetta_core.stages.significance import null_models, pair_statistics, significance
from rosetta_core.stages.steering import needed, steer, steering_pages
from rosetta_core.stages.sweep import sweep, sweep_curves
from rosetta_core.stages.training import train
from rosetta_core.stages.translation import translate
from rosetta_core.stages.verify import verify
from rosetta_core.stages.zoo import zoo

__all__ = [
    "activations",
    "check",
    "compare",
    "concept_examples",
    "concepts",
    "configure",
    "convert",
    "correlations",
    "costs",
    "dictionary",
    "export",
    "fetch",
    "figure",
    "join",
    "layers",
    "list_layers",
    "measured",
    "mine",
    "needed",
    "neighbours",
    "null_models",
    "pair_statistics",
    "passes",
    "plan",
    "provenance",
    "sample",
    "significance",
    "steer",
    "steering_pages",
    "summary",
    "sweep",
    "sweep_curves",
    "train",
    "translate",
    "unit_examples",
    "units",
    "verify",
    "zoo",
]


def mine(config: Config) -> Path:
    """Run every stage one after the other, without Snakemake and its cache; return the pages."""
    check(config)
    configure(config)
    for model in config.models:
        fetch(config, model=model.name)
    for shard in config.shards:
        sample(config, shard=shard)
    if config.mining.store == "zarr":
        for model in config.models:
            for shard in config.shards:
                activations(config, model=model.name, shard=shard)
            units(config, model=model.name)
    for members in passes(config):
        correlations(config, models=members)
    for model in config.models:
        neighbours(config, model=model.name)
    concepts(config)
    _tell(config)
    for model in config.models:
        unit_examples(config, model=model.name)
    concept_examples(config)
    layers(config)
    for job in config.steering.jobs:
        steer(config, job=job)
    if config.steering.jobs:
        steering_pages(config)
    return dictionary(config)


def _tell(config: Config) -> None:
    """Run the stages of the evidence, as far as the run has any."""
    for null, encoder in product(config.nulls, config.encoders):
        null_models(config, model=encoder.name, null=null)
    if config.intervals:
        pair_statistics(config)
    if config.has_significance:
        significance(config)
