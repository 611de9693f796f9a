# TopK neighbours and best buddies of the pivot and a model.


rule neighbours:
    input:
        corr=paths.correlations("{model}"),
    output:
        report(
            paths.neighbours("{model}"),
            caption="../report/neighbours.rst",
            category="Tables",
        ),
        report(
            paths.best_buddies("{model}"),
            caption="../report/best_buddies.rst",
            category="Tables",
        ),
    log:
        paths.log("neighbours", "{model}"),
    benchmark:
        paths.benchmark("neighbours", "{model}")
    conda:
        "../../envs/rosetta.yaml"
    resources:
        **needs["neighbours"],
    params:
        config=paths.config,
        cfg=cfg("neighbours"),
        code=code("neighbours"),
    shell:
        "python -m rosetta_core neighbours {wildcards.model} --config {params.config:q} "
        "> {log:q} 2>&1"
