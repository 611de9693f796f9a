# The top-activating images of each unit of a model, with their maps.


rule unit_examples:
    input:
        unpack(lambda wildcards: activation_inputs(wildcards.model)),
        units=paths.units("{model}"),
        images=sampled,
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
        trigger=trigger("unit_examples"),
    shell:
        command("unit_examples", "{wildcards.model}", threads=True)
