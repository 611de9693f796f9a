# The concept score of every concept on every image, and the concepts' maps.


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
        trigger=trigger("concept_examples"),
    shell:
        command("concept_examples", threads=True)
