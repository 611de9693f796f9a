# Jobs that move the pivot's latents: inversions, shows, edits, tunings, evaluations; and their page.
for job in settings.steering.jobs.values():

    rule:
        name:
            f"steer_{job.name}"
        input:
            stages.needed(settings, job.name),
        output:
            report(
                directory(paths.job(job)),
                patterns=["{picture,sheet}.png"],
                labels={"job": job.name},
                caption="../report/steering.rst",
                category="Steering",
            ),
        log:
            paths.log("steer", job.name),
        benchmark:
            paths.benchmark("steer", job.name)
        conda:
            "../../envs/rosetta.yaml"
        threads: 1
        resources:
            **needs["steer"],
            gpu=gpu,
        params:
            job=job.name,
            config=paths.config,
            cfg=triggers.settings("steer", settings, job=job.name),
            code=triggers.code("steer", settings, job=job.name),
        shell:
            "python -m rosetta_core steer {params.job} --config {params.config:q} "
            "--threads {threads} > {log:q} 2>&1"


rule steering_pages:
    input:
        [paths.job(job) for job in settings.steering.jobs.values()],
    output:
        report(
            directory(paths.steering),
            htmlindex="index.html",
            caption="../report/steering_pages.rst",
            category="Steering",
        ),
    log:
        paths.log("steering_pages"),
    benchmark:
        paths.benchmark("steering_pages")
    conda:
        "../../envs/rosetta.yaml"
    params:
        config=paths.config,
        cfg=cfg("steering_pages"),
        code=code("steering_pages"),
    shell:
        "python -m rosetta_core steering-pages --config {params.config:q} > {log:q} 2>&1"
