# What chance gives in place of best buddies.


rule chance:
    input:
        unpack(lambda wildcards: maps_of(pivot, wildcards.model)),
        images=[manifest_of(paths.samples(shard)) for shard in shards],
        buddies=paths.best_buddies("{model}"),
    output:
        paths.chance("{null}", "{model}"),
        paths.held("{null}", "{model}"),
    log:
        paths.log("chance", "{null}", "{model}"),
    benchmark:
        paths.benchmark("chance", "{null}", "{model}")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(len(settings.encoders))
    resources:
        **needs["chance"],
        gpu=gpu,
    params:
        config=paths.config,
        cfg=cfg("chance"),
        code=code("chance"),
    shell:
        "python -m rosetta_core chance {wildcards.model} --null {wildcards.null} "
        "--config {params.config:q} --threads {threads} > {log:q} 2>&1"
