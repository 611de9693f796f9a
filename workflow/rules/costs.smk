# What the jobs of the run took, as Snakemake measured them.


rule costs:
    input:
        [paths.benchmark(*job) for job in stages.measured(settings)],
    output:
        report(paths.costs, caption="../report/costs.rst", category="Costs"),
    log:
        paths.log("costs"),
    localrule: True
    conda:
        "../../envs/rosetta.yaml"
    params:
        config=paths.config,
        code=code("costs"),
    shell:
        "python -m rosetta_core costs --config {params.config:q} > {log:q} 2>&1"


# What made the run: written when one of its jobs ran, for what they took is news of it.
rule provenance:
    input:
        paths.costs,
    output:
        paths.provenance,
    log:
        paths.log("provenance"),
    localrule: True
    conda:
        "../../envs/rosetta.yaml"
    params:
        config=paths.config,
        code=code("provenance"),
    shell:
        "python -m rosetta_core provenance --config {params.config:q} > {log:q} 2>&1"
