"""Snakemake, started beside a test.

Start    a process of it, and the jobs that it starts
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
from checkout import Checkout

__all__ = ["PATIENCE", "Start"]

PATIENCE = 600  # seconds
HANGS = 60  # seconds after its last job


class Start:
    """Snakemake, started in a checkout, and the jobs that it starts."""

    def __init__(
        self,
        checkout: Checkout,
        log: Path,
        *,
        config: str = "tiny.yaml",
        group: Path | None = None,  # cgroup of the processes
    ) -> None:
        self.checkout, self.log = checkout, log
        # a shell that starts this in the background has Ctrl-C ignored, and children inherit that
        signal.signal(signal.SIGINT, signal.default_int_handler)
        environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        join = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"] if group else []
        with log.open("w") as file:
            self.process = subprocess.Popen(
                [*join, sys.executable, "-m", "snakemake", "--configfile", config, "--cores", "2"],
                cwd=checkout.folder,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def jobs(self) -> list[psutil.Process]:
        """The jobs of this checkout that are at work, whoever started them."""
        found = []
        for process in psutil.process_iter(["cmdline", "cwd"]):
            line = process.info["cmdline"] or []
            here = process.info["cwd"] == str(self.checkout.folder)
            if here and line[1:3] == ["-m", "rosetta_core"]:
                found.append(process)
        return found

    def await_job(self) -> bool:
        """Wait until a job is at work; say whether one is before the end."""
        while not self.ended:
            if self.jobs():
                return True
            time.sleep(0.02)
        return False

    def strike(self, way: str) -> set[str]:
        """Kill something; return the stages that were at work."""
        jobs = self.jobs()
        stages = {job.info["cmdline"][3] for job in jobs} or {"between jobs"}
        match way:
            case "job" if jobs:
                jobs[0].kill()
            case "snakemake" | "job":
                self.process.kill()
            case "all of it":
                os.killpg(self.process.pid, signal.SIGKILL)
            case "terminate":
                self.process.terminate()
                self._wait_or_kill()
            case "ctrl-c":
                os.killpg(self.process.pid, signal.SIGINT)
        if way != "job" or not jobs:
            self.process.wait(PATIENCE)
        return stages

    def _wait_or_kill(self) -> None:
        """Wait for the end; kill what hangs a minute after its last job, as the docs say.

        Snakemake's handler of SIGTERM can wait for a lock that it holds itself.
        """
        for job in self.jobs():
            with suppress(psutil.NoSuchProcess):
                job.wait(PATIENCE)
        try:
            self.process.wait(HANGS)
        except subprocess.TimeoutExpired:
            print("it hangs and is killed", flush=True)
            self.process.kill()
            self.process.wait(PATIENCE)
