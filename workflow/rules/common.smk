# What the rules share: the checked configuration, paths, resources, triggers and commands.
import os
import re
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

# the code beside the Snakefile is what runs, here and in the jobs
ROOT = str(workflow.current_basedir.join("../.."))
sys.path.insert(0, ROOT)
inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
os.environ.update(
    PYTHONPATH=os.pathsep.join(dict.fromkeys([ROOT, *filter(None, inherited)])),
    # jobs run in the interpreter of Snakemake, or in the environment that it deploys. It is a
    # variable because Snakemake reruns all jobs if the text of their commands changes
    ROSETTA_PYTHON=(
        "python" if workflow.deployment_settings.deployment_method else sys.executable
    ),
    # last line of the log of a job that the kernel killed, which cannot write it itself
    ROSETTA_KILLED=(
        "rosetta: killed (SIGKILL), probably by the kernel for memory; lower memory_budget, run "
        "fewer jobs at once (--cores), or give the job more memory"
    ),
)

from rosetta_core.config import load_config, parse_config, typed_values
from rosetta_core.errors import MAX_LINE, one_line
from rosetta_core.io.atomic import manifest_path
from rosetta_core.runs.lock import run_lock
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.plan import job_resources
from rosetta_core.runs.progress import show_progress
from rosetta_core.runs.setting_changes import (
    describe_changes,
    record_changes,
    setting_changes,
)
from rosetta_core.stages import triggers
from rosetta_core.stages.correlations import passes
from rosetta_core.stages.registry import STAGES, benchmarks
from rosetta_core.stages.steering.execution import needed
from rosetta_core.stages.tools.check import check_config
from rosetta_core.stages.tools.plan import plan_run
from rosetta_core.stages.tools.prepare import write_config
from rosetta_core.stages.tools.summary import run_summary
from rosetta_core.runtime.failures import explain_failure
from rosetta_core.validation import to_json
from rosetta_core.zoo.weights.sources import RemoteWeights


def refuse(error):
    """Print one line and exit; an exception would be printed with Snakemake's own words."""
    explained = explain_failure(error)
    if explained is None:
        raise error
    print(f"rosetta: {one_line(explained[0], longest=MAX_LINE)}", file=sys.stderr)
    os._exit(explained[1])


# whether this process submits cluster jobs or is one; locally `--jobs` is a synonym of `--cores`
on_cluster = workflow.remote_exec or workflow.resource_settings.nodes is not None

# whether another workflow uses this one by `module`; its handlers and command line are not ours
is_module = not workflow.modifier.is_main_snakefile()

# one reader for Snakemake and `rosetta`: Snakemake's keeps the last of duplicate keys
try:
    if workflow.modifier.skip_configfile:  # the other workflow gives a configuration
        settings = parse_config(config)
    else:
        files = workflow.config_settings.configfiles or [Path("config.yaml")]
        files = [
            file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
            for file in files
        ]
        changed = typed_values(workflow.config_settings.config)  # by --config
        settings = load_config(*files, changes=changed)
    check_config(settings, elsewhere=on_cluster)
except Exception as error:
    refuse(error)

paths = RunPaths(settings)
locks = ExitStack()  # held until this process ends
started = time.time()
pivot = settings.pivot.name
models = [model.name for model in settings.models]
encoders = [encoder.name for encoder in settings.encoders]
shards = settings.shards
live = not settings.stores_activations  # networks feed the correlations directly
blocks = (
    list(range(settings.correlation.blocks))
    if settings.correlation.blocks > 1
    else [None]
)
# one job per card: Snakemake counts jobs against the profile's `gpu`; on a CPU they run side by
# side. With `auto`, a process that submits cluster jobs cannot see whether its nodes have cards
gpu = int(
    settings.device.startswith("cuda")
    or settings.device == "auto"
    and not on_cluster
    and shutil.which("nvidia-smi") is not None
)


def growing(amount):
    """Double the amount at each attempt, for jobs killed for memory or time."""
    return lambda wildcards, attempt: amount * 2 ** (attempt - 1)


plan = plan_run(settings).stages
needs = {cost.name: job_resources(cost) for cost in plan}
for resources in needs.values():
    resources.update({name: growing(resources[name]) for name in ("mem_mb", "runtime")})

changes = setting_changes(settings)
if workflow.is_main_process:
    for line in describe_changes(settings.run, changes):
        print(f"rosetta: {one_line(line)}", file=sys.stderr)

if is_module:
    write_config(settings)  # what `onstart` does for a run of this workflow alone
else:
    show_progress(settings.run, {cost.name: cost.seconds_per_job for cost in plan})


wildcard_constraints:
    model="|".join(map(re.escape, models)),
    shard=r"\d{5}",
    null="|".join(settings.nulls) or "none",


def trigger(stage, **job):
    """Return the rerun trigger of a job: the settings it reads, and its code's fingerprint."""
    return lambda wildcards: triggers.trigger(
        STAGES[stage], settings, **{**wildcards, **job}
    )


def command(stage, arguments="", threads=False):
    """Return the shell command of a stage's job; it reads the configuration that the run wrote."""
    options = " --threads {threads}" if threads else ""
    return (
        f'"$ROSETTA_PYTHON" -m rosetta_core {STAGES[stage].command} {arguments} '
        f"--config {{params.config:q}}{options} > {{log:q}} 2>&1 "
        '|| (code=$?; [ $code != 137 ] || echo "$ROSETTA_KILLED" >> {log:q}; exit $code)'
    )


def weights_of(wildcards):
    """Return a model's file of weights, if it has one that is watched."""
    return paths.watched_weights(settings.model(wildcards.get("model", pivot))) or []


def manifests(*names):
    """Return the manifests of models' shards; their stores change only together with them."""
    return [
        manifest_path(paths.activations(name, shard))
        for name in names
        for shard in shards
    ]


sampled = [manifest_path(paths.samples(shard)) for shard in shards]


def activation_inputs(*names):
    """Return what activations come from: stores, or weights and samples where networks run."""
    names = list(dict.fromkeys(names))
    if not live:
        return {"manifests": manifests(*names)}
    watched = (paths.watched_weights(settings.model(name)) for name in names)
    return {"weights": [path for path in watched if path], "samples": sampled}


def share(jobs):
    """Return the threads of a job when `jobs` like it can run at once; on a cluster, the most."""
    if on_cluster:
        return workflow.resource_settings.max_threads or 1
    return max(1, (workflow.resource_settings.cores or 1) // jobs)
