# A model runs on the images of a shard, and its activation maps are stored.


rule activations:
    input:
        weights=weights_of,
        manifest=manifest_path(paths.samples("{shard}")),
        store=ancient(paths.samples("{shard}")),
    output:
        store=directory(paths.activations("{model}", "{shard}")),
        manifest=manifest_path(paths.activations("{model}", "{shard}")),
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
        trigger=trigger("activations"),
    shell:
        command(
            "activations", "{wildcards.model} --shard {wildcards.shard}", threads=True
        )
