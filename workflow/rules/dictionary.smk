# The pages: every concept with its images, heat maps, units and correlations.


rule dictionary:
    input:
        [paths.rosetta, paths.concepts],
        [paths.units(model) for model in models],
        [paths.best_buddies(model) for model in models],
        manifests(*models),
        [manifest_of(paths.samples(shard)) for shard in shards],
        config=ancient(paths.config),
    output:
        report(
            directory(paths.dictionary),
            htmlindex="index.html",
            caption="../report/dictionary.rst",
            category="Dictionary",
        ),
    params:
        cfg=cfg("dictionary"),
        code=code("dictionary"),
    threads: share(1)
    log:
        paths.log("dictionary"),
    benchmark:
        paths.benchmark("dictionary")
    conda:
        "../../envs/rosetta.yaml"
    shell:
        "python -m rosetta_core dictionary --config {input.config:q} --threads {threads} "
        "> {log:q} 2>&1"
