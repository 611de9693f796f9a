# The pivot draws the images of a shard.


rule sample:
    input:
        weights=weights_of,
    output:
        store=directory(paths.samples("{shard}")),
        manifest=manifest_of(paths.samples("{shard}")),
    log:
        paths.log("sample", "{shard}"),
    benchmark:
        paths.benchmark("sample", "{shard}")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(len(shards))
    resources:
        **needs["sample"],
        gpu=gpu,
    params:
        config=paths.config,
        cfg=cfg("sample"),
        code=code("sample"),
    shell:
        "python -m rosetta_core sample --shard {wildcards.shard} --config {params.config:q} "
        "--threads {threads} > {log:q} 2>&1"
