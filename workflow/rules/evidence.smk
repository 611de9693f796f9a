# What chance gives in place of best buddies, and how far those exceed it.


rule chance:
    input:
        unpack(lambda wildcards: maps_of(pivot, wildcards.model)),
        images=[manifest_of(paths.samples(shard)) for shard in shards],
        buddies=paths.best_buddies("{model}"),
    output:
        paths.chance("{null}", "{model}"),
        paths.held("{null}", "{model}"),
    log:
        paths.log("chance", "{null}", "{model}"),
    benchmark:
        paths.benchmark("chance", "{null}", "{model}")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(len(settings.encoders))
    resources:
        **needs["chance"],
        gpu=gpu,
    params:
        config=paths.config,
        cfg=cfg("chance"),
        code=code("chance"),
    shell:
        "python -m rosetta_core chance {wildcards.model} --null {wildcards.null} "
        "--config {params.config:q} --threads {threads} > {log:q} 2>&1"


rule evidence:
    input:
        [paths.best_buddies(model) for model in models],
        [
            table(null, model)
            for null in settings.nulls
            for model in models
            if model != pivot
            for table in (paths.chance, paths.held)
        ],
        paths.rosetta,
    output:
        report(
            paths.pair_evidence,
            caption="../report/pair_evidence.rst",
            category="Tables",
        ),
        report(
            paths.concept_evidence,
            caption="../report/concept_evidence.rst",
            category="Tables",
        ),
        report(paths.chance_counts, caption="../report/chance.rst", category="Tables"),
    log:
        paths.log("evidence"),
    benchmark:
        paths.benchmark("evidence")
    conda:
        "../../envs/rosetta.yaml"
    resources:
        **needs["evidence"],
    params:
        config=paths.config,
        cfg=cfg("evidence"),
        code=code("evidence"),
    shell:
        "python -m rosetta_core evidence --config {params.config:q} > {log:q} 2>&1"
