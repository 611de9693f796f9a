# What the rules share: the checked configuration, the paths, and what makes a job run again.
import os
import re
import shutil
import sys
import time
from contextlib import ExitStack

from snakemake.utils import update_config

# the code beside the Snakefile is what runs, here and in the jobs
sys.path.insert(0, workflow.basedir)
os.environ.update(PYTHONPATH=workflow.basedir)

from rosetta_core import stages
from rosetta_core.runs import triggers
from rosetta_core.zoo.weights.sources import Fetched
from rosetta_core.config import parse_config, typed_values
from rosetta_core.validation import to_json
from rosetta_core.errors import RosettaError, one_line
from rosetta_core.io.atomic import manifest_of
from rosetta_core.runs.lock import run_lock
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.plan import needs as of_cluster
from rosetta_core.runs.progress import watch


def refuse(error):
    """Say in one line why nothing runs; Snakemake makes of an exception what it says itself."""
    print(f"rosetta: {one_line(error)}", file=sys.stderr)
    os._exit(2)


def growing(asked):
    """Twice as much at each attempt: what was killed for memory or time is given more."""
    return lambda wildcards, attempt: asked * 2 ** (attempt - 1)


# this is a job of a cluster, or starts some: locally `--jobs` is another word for `--cores`
on_cluster = workflow.remote_exec or workflow.resource_settings.nodes is not None

update_config(config, typed_values(workflow.config_settings.config))
try:
    settings = parse_config(config, source="configuration")
    stages.check(settings, elsewhere=on_cluster)
except RosettaError as error:
    refuse(error)

paths = RunPaths(settings)
kept = ExitStack()  # what this process holds until it ends
began = time.time()
pivot = settings.pivot.name
models = [model.name for model in settings.models]
shards = settings.shards
planned = stages.plan(settings).stages
needs = {stage.name: of_cluster(stage) for stage in planned}
for asked in needs.values():
    asked.update({name: growing(asked[name]) for name in ("mem_mb", "runtime")})
live = settings.mining.store == "none"  # networks feed the correlations directly
blocks = (
    list(range(settings.correlation.blocks))
    if settings.correlation.blocks > 1
    else [None]
)
# one job a card: Snakemake counts them against `gpu` of the profile; on a CPU jobs run side by side.
# `auto` asks for one where one is; what starts the jobs of a cluster cannot see its nodes
gpu = int(
    settings.device.startswith("cuda")
    or settings.device == "auto"
    and not on_cluster
    and shutil.which("nvidia-smi") is not None
)


watch(settings.run, {stage.name: stage.each for stage in planned})


wildcard_constraints:
    model="|".join(map(re.escape, models)),
    shard=r"\d{5}",
    null="permute_images|roll_positions|untrained",


def cfg(stage):
    """The settings that a job of a stage reads; the job runs again when they change."""
    return lambda wildcards: triggers.settings(stage, settings, **wildcards)


def code(stage):
    """The fingerprint of the code that a job of a stage runs; it runs again when it changes."""
    return lambda wildcards: triggers.code(
        stage, settings, model=wildcards.get("model"), null=wildcards.get("null")
    )


def weights_of(wildcards):
    """A model's file of weights, if it has one that is watched."""
    return paths.watched_weights(settings.model(wildcards.get("model", pivot))) or []


def manifests(*names):
    """The manifests of models' shards. The stores beside them carry no news of their own."""
    return [
        manifest_of(paths.activations(name, shard))
        for name in names
        for shard in shards
    ]


def activation_inputs(*names):
    """What maps come from: stores, or weights and samples where networks run without stores."""
    names = list(dict.fromkeys(names))
    if not live:
        return {"manifests": manifests(*names)}
    return {
        "weights": [
            path
            for name in names
            if (path := paths.watched_weights(settings.model(name)))
        ],
        "samples": [manifest_of(paths.samples(shard)) for shard in shards],
    }


def block_name(block):
    """What tells the jobs of blocks apart, in names of rules and logs."""
    return [] if block is None else [f"{block:04d}"]


def part_of_run(store):
    """A store of the run, or of a block that is not kept once it was joined."""
    return directory(store) if len(blocks) == 1 else temp(directory(store))


def share(jobs):
    """How many threads a job gets when `jobs` like it can run at once; on a cluster, all it may."""
    if on_cluster:
        return workflow.resource_settings.max_threads or 1
    return max(1, (workflow.resource_settings.cores or 1) // jobs)
