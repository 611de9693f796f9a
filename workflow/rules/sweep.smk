# How many images, neighbours and encoders are enough: `snakemake sweep_curves`. No other target asks
# for it.


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
        cfg=cfg("sweep"),
        code=code("sweep"),
    shell:
        "python -m rosetta_core sweep {wildcards.model} "
        "--config {params.config:q} --threads {threads} > {log:q} 2>&1"


rule sweep_curves:
    input:
        [paths.sweep(model) for model in models],
    output:
        report(paths.sweep_table, caption="../report/sweep.rst", category="Tables"),
        [
            report(path, caption="../report/sweep.rst", category="Figures")
            for path in paths.sweep_curves
        ],
    log:
        paths.log("sweep_curves"),
    benchmark:
        paths.benchmark("sweep_curves")
    conda:
        "../../envs/rosetta.yaml"
    params:
        config=paths.config,
        cfg=cfg("sweep_curves"),
        code=code("sweep_curves"),
    shell:
        "python -m rosetta_core sweep-curves --config {params.config:q} > {log:q} 2>&1"
