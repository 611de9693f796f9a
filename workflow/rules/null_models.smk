# An encoder is mined under a null model.


rule null_models:
    input:
        unpack(lambda wildcards: activation_inputs(pivot, wildcards.model)),
        images=sampled,
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
    threads: share(len(encoders))
    resources:
        **needs["null_models"],
        gpu=gpu,
    params:
        config=paths.config,
        trigger=trigger("null_models"),
    shell:
        command(
            "null_models", "{wildcards.model} --null {wildcards.null}", threads=True
        )
