# What chance gives in place of best buddies.


rule null_models:
    input:
        unpack(lambda wildcards: activation_inputs(pivot, wildcards.model)),
        images=[manifest_of(paths.samples(shard)) for shard in shards],
        buddies=paths.best_buddies("{model}"),
    output:
        paths.null_matches("{null}", "{model}"),
        paths.null_corr("{null}", "{model}"),
    log:
        paths.log("null_models", "{null}", "{model}"),
    benchmark:
        paths.benchmark("null_models", "{null}", "{model}")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(len(settings.encoders))
    resources:
        **needs["null_models"],
        gpu=gpu,
    params:
        config=paths.config,
        cfg=cfg("null_models"),
        code=code("null_models"),
    shell:
        "python -m rosetta_core null-models {wildcards.model} --null {wildcards.null} "
        "--config {params.config:q} --threads {threads} > {log:q} 2>&1"
