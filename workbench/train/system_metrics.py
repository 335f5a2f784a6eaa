"""What a training takes of its machine: MLflow's own monitors of processor, memory, disk and GPU, sampled aside.

The values go into the journal with each epoch, as everything does, and reach MLflow from there: an outage, a kill or a
rebuild loses none, and MLflow's tab "System metrics" shows them by the names that it gives them.
"""

from __future__ import annotations

import threading
from typing import Any

SECONDS = 10.0  # between two samples, as MLflow's own; one takes about a millisecond
MONITORS = {  # modules of mlflow.system_metrics.metrics and their classes
    "cpu_monitor": "CPUMonitor",
    "disk_monitor": "DiskMonitor",
    "gpu_monitor": "GPUMonitor",
}


class SystemSampler:
    """Samples in a thread of its own; `take` gives the means since it was last asked, `stop` ends the thread."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = seconds
        self._lock, self._stopped = threading.Lock(), threading.Event()
        self._monitors: list[Any] = []
        self._thread = threading.Thread(target=self._work, name="system-metrics", daemon=True)

    def start(self) -> None:
        """Begin; MLflow is imported in the thread, so training does not wait for that."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; it is not waited for, since it holds nothing."""
        self._stopped.set()

    def take(self) -> dict[str, float]:
        """Return the means since the last call, by MLflow's names, and begin anew; empty before the first sample."""
        found: dict[str, float] = {}
        with self._lock:
            for monitor in self._monitors:
                found.update({name: float(value) for name, value in monitor.aggregate_metrics().items()})
                monitor.clear_metrics()
        return found

    def _work(self) -> None:
        monitors = made()
        with self._lock:
            self._monitors = monitors
        while not self._stopped.is_set():
            self._sample()
            self._stopped.wait(self.seconds)

    def _sample(self) -> None:
        with self._lock:
            for monitor in self._monitors:
                monitor.collect_metrics()


def made() -> list[Any]:
    """Return the monitors that this machine has: that of GPUs needs a driver and nvidia-ml-py."""
    import importlib

    from workbench.tracking.mlflow_client import IMPORTING, quiet_mlflow

    quiet_mlflow()
    found = []
    for module, name in MONITORS.items():
        try:
            with IMPORTING:
                home = importlib.import_module(f"mlflow.system_metrics.metrics.{module}")
            found.append(getattr(home, name)())
        except (ImportError, RuntimeError):  # no GPU, or no package for it: what is left is recorded
            continue
    return found
