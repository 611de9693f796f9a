# What shows a unit or a concept best: images, and the maps on them. Both look at all maps once.


rule unit_examples:
    input:
        unpack(lambda wildcards: activation_inputs(wildcards.model)),
        units=paths.units("{model}"),
        images=[manifest_of(paths.samples(shard)) for shard in shards],
    output:
        directory(paths.unit_examples("{model}")),
    log:
        paths.log("unit_examples", "{model}"),
    benchmark:
        paths.benchmark("unit_examples", "{model}")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(len(models))
    resources:
        **needs["unit_examples"],
        gpu=gpu if live else 0,
    params:
        config=paths.config,
        cfg=cfg("unit_examples"),
        code=code("unit_examples"),
    shell:
        "python -m rosetta_core unit-examples {wildcards.model} --config {params.config:q} "
        "--threads {threads} > {log:q} 2>&1"


rule concept_examples:
    input:
        **activation_inputs(*models),
        rosetta=paths.rosetta,
        units=[paths.units(model) for model in models],
    output:
        directory(paths.concept_examples),
    log:
        paths.log("concept_examples"),
    benchmark:
        paths.benchmark("concept_examples")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(1)
    resources:
        **needs["concept_examples"],
        gpu=gpu if live else 0,
    params:
        config=paths.config,
        cfg=cfg("concept_examples"),
        code=code("concept_examples"),
    shell:
        "python -m rosetta_core concept-examples --config {params.config:q} "
        "--threads {threads} > {log:q} 2>&1"
