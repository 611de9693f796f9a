# The blocks of a pair's correlations, joined.


rule join:
    input:
        [paths.correlations("{model}", block) for block in blocks],
    output:
        directory(paths.correlations("{model}")),
    log:
        paths.log("join", "{model}"),
    benchmark:
        paths.benchmark("join", "{model}")
    conda:
        "../../envs/rosetta.yaml"
    params:
        config=paths.config,
        trigger=trigger("join"),
    shell:
        command("join", "{wildcards.model}")
