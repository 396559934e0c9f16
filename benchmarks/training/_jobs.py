"""Shared code of trainings on both sides: jobs, running them, resuming, rows."""

import json

from benchmarks.common import harness
from benchmarks.common.tables import mean_and_range


def run_job(side, job, folder, name, peers, threads=1):
    """Train by "mala" or "skldos" on `job`; return the report, from `folder`/`name`.json if there.

    The report is written only after everything else, so an interrupted run is repeated. A report of
    another job is ignored.
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
        report = harness.run_peer("mala_train.py", [job_path], peers, threads)
    else:
        report = harness.run_own("benchmarks.training.skldos_train", [job_path], threads)
    report["job"] = job
    report_path.write_text(json.dumps(report, indent=1))
    return report


def row_of(variant, seed, report):
    """Return time, memory and the best epoch from a report."""
    training = {
        key: report["training"][key] for key in ("cpu_s", "wall_s", "memory_mib", "peak_mib")
    }
    row = {"variant": variant, "seed": seed, "epochs": report["n_epochs"], **training}
    return row | {"mse_scaled_best": min(report["mse_scaled"])}


def training_cells(rows):
    """Return CPU and wall seconds of trainings with their ranges, and the largest peak memory."""
    cells = [mean_and_range([row[key] for row in rows], ".1f") for key in ("cpu_s", "wall_s")]
    return [*cells, f"{max(row['peak_mib'] for row in rows):.0f}"]
