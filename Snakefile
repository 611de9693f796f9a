# The workflow: weights → samples → activations → correlations → best buddies → concepts → examples →
# dictionary, and jobs that steer the pivot. Each stage has a file of rules in workflow/rules, which
# calls `rosetta STAGE`.
from snakemake.utils import min_version

min_version("9.3")


include: "workflow/rules/common.smk"
include: "workflow/rules/weights.smk"


# the stages that this configuration has, in the order in which they run
for stage in STAGES.values():
    if stage.jobs(settings):

        include: f"workflow/rules/{stage.name}.smk"


onstart:
    try:
        locks.enter_context(run_lock(paths.run))
        record_changes(settings, changes)
        write_config(settings)  # the jobs read results/{run}/config.yaml
    except Exception as error:
        refuse(error)


onsuccess:
    if not workflow.dag_settings.targets:
        record_changes(settings, {})
    for line in run_summary(settings, started=started).split("\n"):
        print(one_line(line))


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
