# The whole run: weights → samples → activations → correlations → best buddies → concepts →
# examples → dictionary, and jobs that steer the pivot. Rules are in workflow/rules, one file a stage; what they call is
# `rosetta STAGE`.
from snakemake.utils import min_version

min_version("9.3")


if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/weights.smk"
include: "workflow/rules/samples.smk"


if not live:

    include: "workflow/rules/activations.smk"


include: "workflow/rules/correlations.smk"
include: "workflow/rules/neighbours.smk"
include: "workflow/rules/concepts.smk"


if settings.nulls:

    include: "workflow/rules/null_models.smk"


if settings.intervals:

    include: "workflow/rules/pair_statistics.smk"


if settings.has_significance:

    include: "workflow/rules/significance.smk"


include: "workflow/rules/sweep.smk"
include: "workflow/rules/examples.smk"
include: "workflow/rules/layers.smk"
include: "workflow/rules/steering.smk"
include: "workflow/rules/dictionary.smk"
include: "workflow/rules/costs.smk"


onstart:
    try:
        kept.enter_context(run_lock(paths.run))
    except RosettaError as error:
        refuse(error)
    stages.configure(settings)  # the jobs read results/{run}/config.yaml


onsuccess:
    print(stages.summary(settings, began=began))


rule all:
    default_target: True
    input:
        report(
            paths.dictionary,
            patterns=["figures/{figure,concepts|image}.png"],
            labels={"figure": "{figure}"},
            caption="workflow/report/figures.rst",
            category="Figures",
        ),
        [paths.steering] if settings.steering.jobs else [],
        paths.costs,
        paths.provenance,
