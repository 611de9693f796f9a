# A model looks at a shard, and its activation maps are written down; then the table of its units.


rule activations:
    input:
        config=ancient(paths.config),
        weights=weights_of,
        manifest=manifest_of(paths.samples("{shard}")),
        store=ancient(paths.samples("{shard}")),
    output:
        store=directory(paths.activations("{model}", "{shard}")),
        manifest=manifest_of(paths.activations("{model}", "{shard}")),
    params:
        cfg=cfg("activations"),
        code=code("activations"),
    threads: share(len(shards) * len(models))
    resources:
        gpu=gpu,
    log:
        paths.log("activations", "{model}", "{shard}"),
    benchmark:
        paths.benchmark("activations", "{model}", "{shard}")
    conda:
        "../../envs/rosetta.yaml"
    shell:
        "python -m rosetta_core activations {wildcards.model} --shard {wildcards.shard} "
        "--config {input.config:q} --threads {threads} > {log:q} 2>&1"


rule units:
    input:
        lambda wildcards: manifests(wildcards.model),
        config=ancient(paths.config),
    output:
        paths.units("{model}"),
    params:
        cfg=cfg("units"),
        code=code("units"),
    log:
        paths.log("units", "{model}"),
    conda:
        "../../envs/rosetta.yaml"
    shell:
        "python -m rosetta_core units {wildcards.model} --config {input.config:q} > {log:q} 2>&1"
