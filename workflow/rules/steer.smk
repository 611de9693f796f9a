# Jobs that steer the pivot: inversions, activation maximisation, edits, tunings, evaluations.
for job in settings.steering.jobs.values():

    rule:
        name:
            f"steer_{job.name}"
        input:
            needed(settings, job.name),
        output:
            report(
                directory(paths.job(job)),
                patterns=["{picture,contact_sheet}.png"],
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
            trigger=trigger("steer", job=job.name),
        shell:
            command("steer", "{params.job}", threads=True)
