# A model looks at a shard, and its activation maps are written down; then the table of its units.


rule activations:
    input:
        weights=weights_of,
        manifest=manifest_of(paths.samples("{shard}")),
        store=ancient(paths.samples("{shard}")),
    output:
        store=directory(paths.activations("{model}", "{shard}")),
        manifest=manifest_of(paths.activations("{model}", "{shard}")),
    log:
        paths.log("activations", "{model}", "{shard}"),
    benchmark:
        paths.benchmark("activations", "{model}", "{shard}")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(len(shards) * len(models))
    resources:
        **needs["activations"],
        gpu=gpu,
    params:
        config=paths.config,
        cfg=cfg("activations"),
        code=code("activations"),
    shell:
        "python -m rosetta_core activations {wildcards.model} --shard {wildcards.shard} "
        "--config {params.config:q} --threads {threads} > {log:q} 2>&1"


rule units:
    input:
        lambda wildcards: manifests(wildcards.model),
    output:
        report(paths.units("{model}"), caption="../report/units.rst", category="Tables"),
    log:
        paths.log("units", "{model}"),
    benchmark:
        paths.benchmark("units", "{model}")
    conda:
        "../../envs/rosetta.yaml"
    params:
        config=paths.config,
        cfg=cfg("units"),
        code=code("units"),
    shell:
        "python -m rosetta_core units {wildcards.model} --config {params.config:q} > {log:q} 2>&1"
