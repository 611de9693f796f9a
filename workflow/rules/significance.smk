# Which pairs and concepts exceed chance, and are found again.


rule significance:
    input:
        [paths.best_buddies(model) for model in models],
        [
            table(null, model)
            for null in settings.nulls
            for model in models
            if model != pivot
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
        cfg=cfg("significance"),
        code=code("significance"),
    shell:
        "python -m rosetta_core significance --config {params.config:q} > {log:q} 2>&1"
