# Nearest neighbours and best buddies of the pivot and a model.


rule neighbours:
    input:
        corr=paths.correlations("{model}"),
        config=ancient(paths.config),
    output:
        paths.neighbours("{model}"),
        paths.best_buddies("{model}"),
    params:
        cfg=cfg("neighbours"),
        code=code("neighbours"),
    log:
        paths.log("neighbours", "{model}"),
    benchmark:
        paths.benchmark("neighbours", "{model}")
    conda:
        "../../envs/rosetta.yaml"
    shell:
        "python -m rosetta_core neighbours {wildcards.model} --config {input.config:q} "
        "> {log:q} 2>&1"
