# The page of all steering jobs.


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
        trigger=trigger("steering_pages"),
    shell:
        command("steering_pages")
