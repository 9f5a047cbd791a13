"""A copy of a study's runs on an MLflow server, brought there as the study goes on, in order and once.

The store in the study's folder stays the record: trials never wait for a network, and what a server has missed is what
the store has beyond ``delivered.jsonl``, a file of one line a delivery that is only ever added to. So an outage, of
minutes or of days, needs no queue besides. A delivery that was made but not noted, for a kill in between, is made
again: a run is looked for by its tag before it is created, and MLflow keeps one of two points that are equal in
everything.

Files (samples, traces, configurations, logs) follow the metrics, and only to a server that takes files over the
network: one whose artifact folder is a plain path would have this machine write to a folder of that name on its own
disk. MLflow's interface cannot take points out of a run: a trial that begins again gets a new run on the server, and
the cut off one goes to the server's trash.
"""

import os
import sqlite3
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from sweep.input.addresses import without_credentials
from sweep.input.errors import in_shell
from sweep.store.mlflow_tables import RecordedRun, open_tables, points_to_deliver, read_runs
from sweep.store.study_folder import artifact_folder
from sweep.store.undelivered import (
    DELIVERED,
    SENT,
    Delivered,
    SentFile,
    note,
    noted,
    sent_files,
    undelivered,
    unsent_files,
    what_is_lacking,
)

ADDRESS = "MLFLOW_TRACKING_URI"
SOURCE_RUN = "iskpo.source_run"
_SECONDS_BETWEEN = 5.0
_PATIENCE_SECONDS = 10.0
_ON_ITS_DISK = ("", "file")
# MLflow's own limits for one request.
_POINTS, _ENTRIES = 1000, 100


def server_address() -> str | None:
    """Address of the server that gets a copy: MLflow's own variable, where that names a server."""
    address = os.environ.get(ADDRESS, "")
    return address if address.startswith(("http://", "https://")) else None


class Delivery:
    """Delivers one study to one server.

    Args:
        output: The study's folder.
        address: The server's.
    """

    def __init__(self, *, output: Path, address: str) -> None:
        """Prepare; nothing is sent yet."""
        # MLflow would retry for minutes in one call; the next round is the retry here.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
        self._output, self._address = output, address
        self._client = MlflowClient(tracking_uri=address)
        self._known = noted(output)
        self._sent = {key: stamp for key, stamp in sent_files(output).items() if key[1]}
        self._takes_files: bool | None = None
        self._experiments: dict[str, str] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="delivery to MLflow's server")
        (output / DELIVERED).touch()

    def start(self) -> None:
        """Deliver from now on, every few seconds, in a thread of its own."""
        self._thread.start()

    def finish(self) -> str:
        """Deliver what is left, once; returns what to tell people where that did not work, or ""."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self.deliver()
        except (MlflowException, sqlite3.Error, OSError) as error:
            address, reason = without_credentials(self._address), without_credentials(str(error)).splitlines()[0]
            return (
                f"{address} does not have everything ({undelivered(self._output)} undelivered: {reason[:200]}); all of "
                f"it is in {self._output}, and `iskpo-sweep resume {in_shell(self._output)}` delivers it"
            )
        return ""

    def _run(self) -> None:
        while not self._ended.wait(_SECONDS_BETWEEN):
            try:
                self.deliver()
            except (MlflowException, sqlite3.Error, OSError):
                # The server is away, or the store is being written: the next round begins where this one stopped.
                continue

    def deliver(self) -> None:
        """Bring the server up to date.

        Raises:
            MlflowException: The server does not answer or refuses.
            sqlite3.Error: The study's own store cannot be read now.
            OSError: What was delivered cannot be noted.
        """
        for run in what_is_lacking(self._output, self._known):
            self._deliver_run(run)
        self._deliver_files()

    def _deliver_run(self, run: str) -> None:
        # Read in one moment, since a trial that begins again loses its points and changes its attempt in between; and
        # closed before anything is sent: whoever writes to the store waits for its readers.
        with open_tables(self._output, patience=_PATIENCE_SECONDS) as tables:
            found, points = read_runs(tables, params=True, run_id=run), points_to_deliver(tables, run)
        if not found:
            return  # Deleted since.
        (stored,) = found
        known = self._known.get(run)
        if known is None or known.attempt != str(stored.attempts):
            known = self._begin_run(stored)
        while known.points < len(points):
            batch = [Metric(*point) for point in points[known.points : known.points + _POINTS]]
            self._client.log_batch(known.remote, metrics=batch)
            known = self._note(known, points=known.points + len(batch))
        tags = [RunTag(*tag) for tag in self._tags(stored).items()]
        for start in range(0, len(tags), _ENTRIES):
            self._client.log_batch(known.remote, tags=tags[start : start + _ENTRIES])
        for gone in known.tags.keys() - stored.tags.keys():
            self._client.delete_tag(known.remote, gone)
        if stored.status == "RUNNING":
            self._client.update_run(known.remote, status=stored.status)
        else:
            self._client.set_terminated(known.remote, stored.status, end_time=stored.end_time)
        self._note(known, status=stored.status, tags=stored.tags)

    def _begin_run(self, stored: RecordedRun) -> Delivered:
        experiment = self._experiment(stored.experiment)
        remote = ""
        for run in self._client.search_runs([experiment], filter_string=f"tags.`{SOURCE_RUN}` = '{stored.run_id}'"):
            if run.data.tags.get("iskpo.attempts", "1") == str(stored.attempts):
                remote = run.info.run_id
            else:
                self._client.delete_run(run.info.run_id)
        if not remote:
            # Its attempt is among the tags it is created with: found again, it is known for what it is.
            created = self._client.create_run(
                experiment, start_time=stored.start_time, run_name=stored.name, tags=self._tags(stored)
            )
            remote = created.info.run_id
        params = [Param(*row) for row in stored.params.items()]
        for start in range(0, len(params), _ENTRIES):
            self._client.log_batch(remote, params=params[start : start + _ENTRIES])
        return self._note(Delivered(run=stored.run_id, remote=str(remote), attempt=str(stored.attempts)))

    def _experiment(self, name: str) -> str:
        if name not in self._experiments:
            found = self._client.get_experiment_by_name(name)
            self._experiments[name] = str(found.experiment_id if found else self._client.create_experiment(name))
        return self._experiments[name]

    def _tags(self, stored: RecordedRun) -> dict[str, str]:
        tags = {**stored.tags, SOURCE_RUN: stored.run_id, MLFLOW_RUN_NAME: stored.name}
        if parent := self._known.get(tags.get(MLFLOW_PARENT_RUN_ID, "")):
            tags[MLFLOW_PARENT_RUN_ID] = parent.remote
        return tags

    def _note(self, known: Delivered, **changes: Any) -> Delivered:
        known = Delivered(**{**asdict(known), **changes})
        note(self._output / DELIVERED, known)
        self._known[known.run] = known
        return known

    def _deliver_files(self) -> None:
        """Send the files that the server lacks of the runs that it knows."""
        runs = {delivered.remote: run for run, delivered in self._known.items()}
        for file in unsent_files(self._output, of=self._known, sent=self._sent):
            if not self._accepts_files(file.remote):
                return
            path, folder = artifact_folder(self._output, runs[file.remote]) / file.path, str(Path(file.path).parent)
            self._client.log_artifact(file.remote, str(path), None if folder == "." else folder)
            # Its stamp is from before: what was still being written is sent again.
            note(self._output / SENT, file)
            self._sent[file.remote, file.path] = file.stamp

    def _accepts_files(self, remote: str) -> bool:
        if self._takes_files is None:
            address = without_credentials(self._client.get_run(remote).info.artifact_uri)
            self._takes_files = urlparse(address).scheme not in _ON_ITS_DISK
            if not self._takes_files:
                note(self._output / SENT, SentFile(remote, "", f"it keeps files on its own disk ({address})"))
        return self._takes_files
