"""Samples what the machine does while a trial runs, with MLflow's own monitor: the *System metrics* page of its run.

The machine is the one that the study was started on; on a cluster, other nodes are not looked at. Every 10 s, or as
``MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL`` says: load of CPUs and, where there are any, GPUs, memory, disk and network.
"""

import logging

from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

# MLflow's own; the step of such a metric is the number of the sample, not a training step.
PREFIX = "system/"


class MachineLoad:
    """Samples into the runs of the trials that run.

    Args:
        tracking_uri: The study's store.
    """

    def __init__(self, *, tracking_uri: str) -> None:
        """Nothing runs yet."""
        self._uri = tracking_uri
        self._monitors: dict[str, SystemMetricsMonitor] = {}
        # Each start and end would be a line in the terminal.
        logging.getLogger("mlflow.system_metrics").setLevel(logging.ERROR)

    def begin(self, run_id: str) -> None:
        """Sample into a run, until `end`; from its first sample where one had begun before."""
        self.end(run_id)
        monitor = SystemMetricsMonitor(run_id, tracking_uri=self._uri)
        monitor.start()
        self._monitors[run_id] = monitor

    def end(self, run_id: str) -> None:
        """Sample no more into a run; nothing is written to it afterwards."""
        if monitor := self._monitors.pop(run_id, None):
            monitor.finish()
