"""Measure a piece of code: CPU seconds, wall seconds and peak memory. Standard library only."""

import resource
import time
from pathlib import Path


def resident_mib(field):
    """Return VmRSS (now) or VmHWM (peak) of this process in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def reset_peak():
    """Reset the peak, so that imports and set-up do not count (on Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


class Measurement:
    """Context manager; `pause()` is another, for code that must not be counted.

    CPU seconds are those of all threads of the process. `memory_mib` is the peak above what was
    resident at the start: the working memory of the code itself with its results.
    """

    def __enter__(self):
        reset_peak()
        self.before_mib = resident_mib("VmRSS")
        self.cpu_s = self.wall_s = 0.0
        self._start()
        return self

    def __exit__(self, *exception):
        self._stop()
        self.peak_mib = resident_mib("VmHWM")

    def _start(self):
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def _stop(self):
        self.cpu_s += time.process_time() - self._cpu
        self.wall_s += time.perf_counter() - self._wall

    def pause(self):
        return _Pause(self)

    def as_dict(self):
        return {
            "cpu_s": self.cpu_s,
            "wall_s": self.wall_s,
            "peak_mib": self.peak_mib,
            "memory_mib": self.peak_mib - self.before_mib,
        }


def best_of(repeats, call):
    """Call `repeats` times; return the last result, the least CPU and the least wall seconds."""
    costs = []
    for _ in range(repeats):
        result = None  # the previous one is not to count as resident
        with Measurement() as measurement:
            result = call()
        costs.append(measurement.as_dict())
    best = {key: min(cost[key] for cost in costs) for key in ("cpu_s", "wall_s")}
    # A repetition writes into memory that the first one has left: only the first shows the need.
    return result, costs[0] | best


class _Pause:
    def __init__(self, measurement):
        self.measurement = measurement

    def __enter__(self):
        self.measurement._stop()

    def __exit__(self, *exception):
        self.measurement._start()
