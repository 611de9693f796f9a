# The pages: every concept, image and unit, with examples, correlations and significance.


rule dictionary:
    input:
        [paths.rosetta, paths.concepts],
        paths.significance,
        [paths.selectivity, paths.layers, paths.vargha_delaney],
        [paths.units(model) for model in models],
        [paths.neighbours(model) for model in models],
        [paths.best_buddies(model) for model in models],
        [paths.unit_examples(model) for model in models],
        paths.concept_examples,
        [paths.job(job) for job in settings.steering.show],
        sampled,
    output:
        report(
            directory(paths.dictionary),
            htmlindex="index.html",
            caption="../report/dictionary.rst",
            category="Dictionary",
        ),
    log:
        paths.log("dictionary"),
    benchmark:
        paths.benchmark("dictionary")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(1)
    resources:
        **needs["dictionary"],
    params:
        config=paths.config,
        trigger=trigger("dictionary"),
    shell:
        command("dictionary", threads=True)
