# The cost of all jobs of the run, as Snakemake measured them.


rule costs:
    input:
        benchmarks(settings),
    output:
        report(paths.costs, caption="../report/costs.rst", category="Costs"),
    log:
        paths.log("costs"),
    localrule: True
    conda:
        "../../envs/rosetta.yaml"
    params:
        config=paths.config,
        trigger=trigger("costs"),
    shell:
        command("costs")
