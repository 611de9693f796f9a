# Rosetta neurons, and the concepts that they form.


rule concepts:
    input:
        [paths.best_buddies(model) for model in models],
        config=ancient(paths.config),
    output:
        report(paths.rosetta, caption="../report/rosetta.rst", category="Tables"),
        report(paths.concepts, caption="../report/concepts.rst", category="Tables"),
    params:
        cfg=cfg("concepts"),
        code=code("concepts"),
    log:
        paths.log("concepts"),
    benchmark:
        paths.benchmark("concepts")
    conda:
        "../../envs/rosetta.yaml"
    shell:
        "python -m rosetta_core concepts --config {input.config:q} > {log:q} 2>&1"
