# Confidence intervals and peak overlap of best-buddy pairs.


rule pair_statistics:
    input:
        **activation_inputs(pivot, *encoders),
        buddies=[paths.best_buddies(encoder) for encoder in encoders],
    output:
        paths.pair_statistics,
    log:
        paths.log("pair_statistics"),
    benchmark:
        paths.benchmark("pair_statistics")
    conda:
        "../../envs/rosetta.yaml"
    threads: share(1)
    resources:
        **needs["pair_statistics"],
    params:
        config=paths.config,
        trigger=trigger("pair_statistics"),
    shell:
        command("pair_statistics", threads=True)
