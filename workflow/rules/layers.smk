# Which layers the Rosetta neurons are in, and whether they are more selective than the rest.


rule layers:
    input:
        paths.rosetta,
        [paths.units(model) for model in models],
        [paths.best_buddies(model) for model in models if model != pivot],
        [paths.unit_examples(model) for model in models],
    output:
        report(
            paths.selectivity, caption="../report/selectivity.rst", category="Tables"
        ),
        report(paths.layers, caption="../report/layers.rst", category="Tables"),
        report(
            paths.vargha_delaney, caption="../report/vargha_delaney.rst", category="Tables"
        ),
    log:
        paths.log("layers"),
    benchmark:
        paths.benchmark("layers")
    conda:
        "../../envs/rosetta.yaml"
    resources:
        **needs["layers"],
    params:
        config=paths.config,
        cfg=cfg("layers"),
        code=code("layers"),
    shell:
        "python -m rosetta_core layers --config {params.config:q} > {log:q} 2>&1"
