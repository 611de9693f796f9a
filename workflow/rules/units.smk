# The table of a model's units.


rule units:
    input:
        lambda wildcards: manifests(wildcards.model),
    output:
        report(paths.units("{model}"), caption="../report/units.rst", category="Tables"),
    log:
        paths.log("units", "{model}"),
    benchmark:
        paths.benchmark("units", "{model}")
    conda:
        "../../envs/rosetta.yaml"
    params:
        config=paths.config,
        trigger=trigger("units"),
    shell:
        command("units", "{wildcards.model}")
