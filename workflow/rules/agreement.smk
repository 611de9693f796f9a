# How best buddies agree from image to image.


rule agreement:
    input:
        **maps_of(pivot, *(encoder.name for encoder in settings.encoders)),
        buddies=[paths.best_buddies(encoder.name) for encoder in settings.encoders],
    output:
        paths.agreement,
    log:
        paths.log("agreement"),
    benchmark:
        paths.benchmark("agreement")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(1)
    resources:
        **needs["agreement"],
    params:
        config=paths.config,
        cfg=cfg("agreement"),
        code=code("agreement"),
    shell:
        "python -m rosetta_core agreement --config {params.config:q} --threads {threads} "
        "> {log:q} 2>&1"
