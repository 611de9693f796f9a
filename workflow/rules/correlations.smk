# The pivot's units with a model's, over all images and positions; the model may be the pivot.


rule correlations:
    input:
        lambda wildcards: manifests(*pair(wildcards)),
        units=lambda wildcards: [paths.units(name) for name in pair(wildcards)],
    output:
        directory(paths.correlations("{model}")),
    log:
        paths.log("correlations", "{model}"),
    benchmark:
        paths.benchmark("correlations", "{model}")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(len(models))
    resources:
        gpu=gpu,
    params:
        config=paths.config,
        cfg=cfg("correlations"),
        code=code("correlations"),
    shell:
        "python -m rosetta_core correlations {wildcards.model} --config {params.config:q} "
        "--threads {threads} > {log:q} 2>&1"
