# Mining repeated with subsets of the images: `snakemake sweep_curves`. No other target asks for it.


rule sweep:
    input:
        unpack(lambda wildcards: activation_inputs(pivot, wildcards.model)),
    output:
        directory(paths.sweep("{model}")),
    log:
        paths.log("sweep", "{model}"),
    benchmark:
        paths.benchmark("sweep", "{model}")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(len(models))
    resources:
        **needs["correlations"],
        gpu=gpu,
    params:
        config=paths.config,
        trigger=trigger("sweep"),
    shell:
        command("sweep", "{wildcards.model}", threads=True)
