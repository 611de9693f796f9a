# The pivot draws the images of a shard, or they are taken from a folder.


rule sample:
    input:
        weights=[] if settings.sampling.folder else weights_of,
        images=lambda wildcards: paths.folder_images(wildcards.shard),
    output:
        store=directory(paths.samples("{shard}")),
        manifest=manifest_path(paths.samples("{shard}")),
    log:
        paths.log("sample", "{shard}"),
    benchmark:
        paths.benchmark("sample", "{shard}")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(len(shards))
    resources:
        **needs["sample"],
        gpu=0 if settings.sampling.folder else gpu,
    params:
        config=paths.config,
        cfg=cfg("sample"),
        code=code("sample"),
    shell:
        "python -m rosetta_core sample --shard {wildcards.shard} --config {params.config:q} "
        "--threads {threads} > {log:q} 2>&1"
