"""Run the jobs of a plan, each in a process of its own, and gather what they found."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd

from zoo.evaluation.metrics import METRICS
from zoo.plan import Plan
from zoo.store import JobFolder, read_json, write_csv, write_json
from zoo.worker import Job

# Receives the events of a job as the worker sends them.
Listen = Callable[[Job, dict[str, Any]], None]


def execute(plan: Plan, listen: Listen) -> list[Job]:
    """Run every job that isn't done yet, each in a process of its own; the jobs that failed.

    results.csv and run.json are brought up to date after each job. On KeyboardInterrupt the running job is
    ended and marked as failed before the exception goes on.
    """
    failed = []
    for job in plan.jobs:
        folder = plan.run.job(job.model, job.fold)
        if folder.done:
            listen(job, {"event": "job_skipped", "metrics": read_json(folder.metrics)})
        else:
            listen(job, {"event": "job_launched"})
            if not _run_process(job, folder, listen):
                failed.append(job)
        _record(plan)
    return failed


def _run_process(job: Job, folder: JobFolder, listen: Listen) -> bool:
    """Run one job in a fresh interpreter and pass its events on; whether it is done."""
    folder.path.mkdir(parents=True, exist_ok=True)
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
    told = False
    with (
        folder.log.open("ab") as log,
        subprocess.Popen(
            [sys.executable, "-P", "-m", "zoo.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment,
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the worker in order
        ) as process,
    ):  # fmt: skip
        assert process.stdin and process.stdout
        try:
            with contextlib.suppress(BrokenPipeError):  # a worker that died at once says so by its exit status
                process.stdin.write(job.to_json())
                process.stdin.close()
            for line in process.stdout:
                event = json.loads(line)
                told = told or event["event"] == "job_failed"
                listen(job, event)
            code = process.wait()
        except BaseException:
            _end(process)
            folder.set_status("failed", error="interrupted", refused=False)
            raise
    if code and not told:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with status {code}"
        error = f"the worker process {how}" + (" (out of memory?)" if code == -signal.SIGKILL else "")
        folder.set_status("failed", error=error, refused=False)
        listen(job, {"event": "job_failed", "error": f"{error}; see {folder.log}", "refused": False})
    return code == 0


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()


def _record(plan: Plan) -> None:
    """Write results.csv from the jobs that are done, and what they really used into run.json."""
    rows = []
    run = read_json(plan.run.request)
    for job in plan.jobs:
        folder = plan.run.job(job.model, job.fold)
        if not folder.done:
            continue
        status = folder.status()
        run["machine"] = status["machine"]
        run["weights"].setdefault(job.model, {})[str(job.fold)] = status["weights"]
        scores = read_json(folder.metrics)
        numbers = {f"{name}_{role}": scores[role][name] for role in ("validation", "test") for name in METRICS}
        rows.append({"model": job.model, "fold": job.fold, "weights": status["weights"], **numbers})
    write_json(plan.run.request, run)
    columns = ["model", "fold", "weights", *(f"{name}_{role}" for role in ("validation", "test") for name in METRICS)]
    write_csv(plan.run.results, pd.DataFrame(rows, columns=columns))
