"""Plan of a run: estimated cost of its stages, from the shapes of its models."""

from dataclasses import asdict

from rosetta_core.config import Config
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runs.plan import Plan, Rates, RunShapes, StageCost
from rosetta_core.stages.registry import STAGES
from rosetta_core.zoo.model_info import describe

__all__ = ["plan_run"]


def plan_run(config: Config, rates: Rates | None = None) -> Plan:
    """Estimate the cost of a run; nothing needs to be fetched.

    Args:
        config: configuration of the run.
        rates: speed of the machine, as `measure_rates` returns it; None: a slow machine.
    """
    resources = RunPaths(config).resources
    models = {model.name: describe(model, resources) for model in config.models}
    run = RunShapes(config, models, rates or Rates())
    costs = []
    for stage in STAGES.values():
        jobs = stage.jobs(config) if stage.default and stage.cost else []
        if jobs and stage.cost:
            estimate = StageCost(
                **asdict(stage.cost(run)),
                name=stage.name,
                jobs=len(jobs),
                single_core=stage.single_core,
            )
            costs.append(estimate)
    return Plan(models, costs, run.pairs)
