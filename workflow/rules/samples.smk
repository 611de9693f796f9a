# The pivot draws the images of a shard.


rule sample:
    input:
        config=ancient(paths.config),
        weights=weights_of,
    output:
        store=directory(paths.samples("{shard}")),
        manifest=manifest_of(paths.samples("{shard}")),
    params:
        cfg=cfg("sample"),
        code=code("sample"),
    threads: share(len(shards))
    resources:
        gpu=gpu,
    log:
        paths.log("sample", "{shard}"),
    benchmark:
        paths.benchmark("sample", "{shard}")
    conda:
        "../../envs/rosetta.yaml"
    shell:
        "python -m rosetta_core sample --shard {wildcards.shard} --config {input.config:q} "
        "--threads {threads} > {log:q} 2>&1"
