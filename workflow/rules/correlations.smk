# The pivot's units with those of other models, over all images and positions. A job makes one pass
# over the pivot's maps, for one or several models, the pivot among them; with `correlation.blocks`
# a job has a part of the pivot's units, and the blocks are joined.


def block_name(block):
    """Return the part of a job's name that says its block."""
    return [] if block is None else [f"{block:04d}"]


def correlations_store(model, block):
    """Return the store of a pair, or of a block that is deleted once it was joined."""
    store = directory(paths.correlations(model, block))
    return store if block is None else temp(store)


for members in passes(settings):

    for block in blocks:

        rule:
            name:
                "_".join(["correlations", *members, *block_name(block)])
            input:
                **activation_inputs(pivot, *members),
            output:
                stores=[correlations_store(m, block) for m in members],
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
            threads: share(len(passes(settings)) * len(blocks))
            resources:
                **needs["correlations"],
                gpu=gpu,
            params:
                members=members,
                block=[] if block is None else [f"--block={block}"],
                config=paths.config,
                trigger=trigger("correlations", models=members, block=block),
            shell:
                command("correlations", "{params.members} {params.block}", threads=True)
