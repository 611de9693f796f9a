# How best buddies agree from image to image.


rule agreement:
    input:
        unpack(lambda wildcards: maps_of(pivot, wildcards.model)),
        buddies=paths.best_buddies("{model}"),
    output:
        paths.agreement("{model}"),
    log:
        paths.log("agreement", "{model}"),
    benchmark:
        paths.benchmark("agreement", "{model}")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(len(settings.encoders))
    resources:
        **needs["agreement"],
    params:
        config=paths.config,
        cfg=cfg("agreement"),
        code=code("agreement"),
    shell:
        "python -m rosetta_core agreement {wildcards.model} "
        "--config {params.config:q} --threads {threads} > {log:q} 2>&1"
