# Selectivity of Rosetta units and other units, by layer.


rule layers:
    input:
        paths.rosetta,
        [paths.units(model) for model in models],
        [paths.best_buddies(encoder) for encoder in encoders],
        [paths.unit_examples(model) for model in models],
    output:
        report(
            paths.selectivity, caption="../report/selectivity.rst", category="Tables"
        ),
        report(paths.layers, caption="../report/layers.rst", category="Tables"),
        report(
            paths.vargha_delaney,
            caption="../report/vargha_delaney.rst",
            category="Tables",
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
        trigger=trigger("layers"),
    shell:
        command("layers")
