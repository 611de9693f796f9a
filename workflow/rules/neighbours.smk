# Nearest neighbours and best buddies of the pivot and a model.


rule neighbours:
    input:
        paths.correlations("{model}"),
    output:
        report(
            paths.neighbours("{model}"),
            caption="../report/neighbours.rst",
            category="Tables",
        ),
        report(
            paths.best_buddies("{model}"),
            caption="../report/best_buddies.rst",
            category="Tables",
        ),
    log:
        paths.log("neighbours", "{model}"),
    benchmark:
        paths.benchmark("neighbours", "{model}")
    conda:
        "../../envs/rosetta.yaml"
    resources:
        **needs["neighbours"],
    params:
        config=paths.config,
        trigger=trigger("neighbours"),
    shell:
        command("neighbours", "{wildcards.model}")
