# Numbers of matches against images, K and encoders, as a table and curves.


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
        trigger=trigger("sweep_curves"),
    shell:
        command("sweep_curves")
