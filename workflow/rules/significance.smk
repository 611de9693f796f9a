# Excess correlation, p-values, FDR and recovery rates of pairs and concepts.


rule significance:
    input:
        [paths.best_buddies(model) for model in models],
        [
            table(null, encoder)
            for null in settings.nulls
            for encoder in encoders
            for table in (paths.null_matches, paths.null_corr)
        ],
        [paths.correlations(model) for model in models if settings.splits],
        [paths.pair_statistics] if settings.intervals else [],
        paths.rosetta,
    output:
        [
            report(
                path,
                caption=f"../report/significance_{path.stem}.rst",
                category="Tables",
            )
            for path in paths.significance
        ],
    log:
        paths.log("significance"),
    benchmark:
        paths.benchmark("significance")
    conda:
        "../../envs/rosetta.yaml"
    resources:
        **needs["significance"],
    params:
        config=paths.config,
        trigger=trigger("significance"),
    shell:
        command("significance")
