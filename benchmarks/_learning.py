"""What the training benchmarks share: jobs, the two sides that take them, resuming."""

import json

import _harness


def run_job(side, job, folder, name, peers, threads=1):
    """Train by "mala" or "skldos" on `job`; return the report, from `folder`/`name`.json if there.

    The report is written only after everything else, so an interrupted run is repeated. A report of
    another job is not taken for this one's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report_path = folder / f"{name}.json"
    if report_path.exists():
        report = json.loads(report_path.read_text())
        if report["job"] == job:
            return report
    job_path = folder / f"{name}.job.json"
    job_path.write_text(json.dumps(job, indent=1))
    if side == "mala":
        report = _harness.run_peer("mala_train.py", [job_path], peers, threads)
    else:
        report = _harness.run_own("skldos_train.py", [job_path], threads)
    report["job"] = job
    report_path.write_text(json.dumps(report, indent=1))
    return report
