# Which pairs and concepts exceed chance, and are found again.


rule evidence:
    input:
        [paths.best_buddies(model) for model in models],
        [
            table(null, model)
            for null in settings.nulls
            for model in models
            if model != pivot
            for table in (paths.chance, paths.held)
        ],
        [paths.correlations(model) for model in models if settings.splits],
        [paths.agreement] if settings.intervals else [],
        paths.rosetta,
    output:
        [
            report(
                path,
                caption=f"../report/evidence_{path.stem}.rst",
                category="Tables",
            )
            for path in paths.evidence
        ],
    log:
        paths.log("evidence"),
    benchmark:
        paths.benchmark("evidence")
    conda:
        "../../envs/rosetta.yaml"
    resources:
        **needs["evidence"],
    params:
        config=paths.config,
        cfg=cfg("evidence"),
        code=code("evidence"),
    shell:
        "python -m rosetta_core evidence --config {params.config:q} > {log:q} 2>&1"
