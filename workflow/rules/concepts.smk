# Rosetta neurons, and the concepts that they form.


rule concepts:
    input:
        [paths.best_buddies(model) for model in models],
    output:
        report(paths.rosetta, caption="../report/rosetta.rst", category="Tables"),
        report(paths.concepts, caption="../report/concepts.rst", category="Tables"),
    log:
        paths.log("concepts"),
    benchmark:
        paths.benchmark("concepts")
    conda:
        "../../envs/rosetta.yaml"
    resources:
        **needs["concepts"],
    params:
        config=paths.config,
        trigger=trigger("concepts"),
    shell:
        command("concepts")
