# The pivot's units with those of other models, over all images and positions. Each job makes one
# pass over the pivot's maps for one or several models, among them the pivot itself; with
# `correlation.blocks` every job has a part of the pivot's units, and the parts are joined.
for members in stages.passes(settings):

    for block in blocks:

        rule:
            name:
                "_".join(["correlations", *members, *block_name(block)])
            input:
                **activation_inputs(pivot, *members),
            output:
                stores=[part_of_run(paths.correlations(m, block)) for m in members],
                units=[
                    report(
                        paths.units(m),
                        caption="../report/units.rst",
                        category="Tables",
                    )
                    for m in members
                    if live
                ],
            log:
                paths.log("correlations", *members, *block_name(block)),
            benchmark:
                paths.benchmark("correlations", *members, *block_name(block))
            conda:
                "../../envs/rosetta.yaml"
            threads: share(len(stages.passes(settings)) * len(blocks))
            resources:
                **needs["correlations"],
                gpu=gpu,
            params:
                members=members,
                block=[f"--block={block}"] if len(blocks) > 1 else [],
                config=paths.config,
                cfg=triggers.settings("correlations", settings),
                code=triggers.code("correlations", settings),
            shell:
                "python -m rosetta_core correlations {params.members} {params.block} "
                "--config {params.config:q} --threads {threads} > {log:q} 2>&1"


if len(blocks) > 1:

    rule join:
        input:
            [paths.correlations("{model}", block) for block in blocks],
        output:
            directory(paths.correlations("{model}")),
        log:
            paths.log("join", "{model}"),
        benchmark:
            paths.benchmark("join", "{model}")
        conda:
            "../../envs/rosetta.yaml"
        params:
            config=paths.config,
            cfg=cfg("join"),
            code=code("join"),
        shell:
            "python -m rosetta_core join {wildcards.model} --config {params.config:q} "
            "> {log:q} 2>&1"
