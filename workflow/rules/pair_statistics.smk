# How best buddies agree from image to image.


rule pair_statistics:
    input:
        **activation_inputs(pivot, *(encoder.name for encoder in settings.encoders)),
        buddies=[paths.best_buddies(encoder.name) for encoder in settings.encoders],
    output:
        paths.pair_statistics,
    log:
        paths.log("pair_statistics"),
    benchmark:
        paths.benchmark("pair_statistics")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(1)
    resources:
        **needs["pair_statistics"],
    params:
        config=paths.config,
        cfg=cfg("pair_statistics"),
        code=code("pair_statistics"),
    shell:
        "python -m rosetta_core pair-statistics --config {params.config:q} --threads {threads} "
        "> {log:q} 2>&1"
