# Code, libraries, weights and machine of the run; written again whenever one of its jobs ran.


rule provenance:
    input:
        paths.costs,
    output:
        paths.provenance,
    log:
        paths.log("provenance"),
    localrule: True
    conda:
        "../../envs/rosetta.yaml"
    params:
        config=paths.config,
        trigger=trigger("provenance"),
    shell:
        command("provenance")
