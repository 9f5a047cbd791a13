"""A study's MLflow runs: one parent, one child a trial. Nothing else writes to them.

verl's own logger is off: after three failures it goes on without MLflow and says nothing, it logs about 950 parameters
a run, and it cannot take up a run again.
"""

import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_RUN_NOTE

from sweep.store.delivery import Delivery, server_address
from sweep.store.innovation_tables import innovation_tables, kept_apart
from sweep.store.machine import MachineLoad, environment_tags
from sweep.store.metric_names import browsable
from sweep.store.mlflow_tables import RecordedRun, latest_study
from sweep.store.mlflow_writes import erase_metrics, insert_run
from sweep.store.recorded_points import points_of_twin
from sweep.store.reuse import Reusable
from sweep.store.study_folder import ARTIFACTS, tracking_uri
from sweep.store.study_store import keep_journal
from sweep.store.trial_tables import UNTRAINED

_PUBLIC_NUMERICS = (
    "Filtered by the published float32 formula (public-cumsum-fp32), which departs from the exact filter at long "
    "responses. Do not read its numbers as those of the exact filter."
)
# MLflow makes an experiment of this number in every store, called Default.
_OWN_EXPERIMENT = "0"
_STATES = {"finished": "FINISHED", "stopped early": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


class StudyTracking:
    """Writes one study's runs.

    Args:
        output: The study's folder.
        study: Name of the study, which is the name of the MLflow experiment.
    """

    def __init__(self, *, output: Path, study: str) -> None:
        """Open, or create, the store; the first time that takes some seconds, for its tables."""
        # It prints each step of making its tables, and of what it raises the whole traceback besides.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
        self._output = output
        self._client = MlflowClient(tracking_uri=tracking_uri(output))
        keep_journal(self._client._tracking_client.store.engine)
        self._experiment = self._find_or_create_experiment(study)
        self._parent = ""
        self._runs: dict[str, str] = {}
        self._attempts: dict[str, int] = {}
        self._restarted: dict[str, int] = {}
        self._running: set[str] = set()
        self._innovations: dict[str, dict[int, dict[str, float]]] = {}
        self._load = MachineLoad(output=output)
        address = server_address()
        self._delivery = Delivery(output=output, address=address) if address else None

    def _find_or_create_experiment(self, study: str) -> str:
        found = self._client.get_experiment_by_name(study)
        is_own = found is not None and found.experiment_id == _OWN_EXPERIMENT
        # It keeps artifacts in the current folder; one that already has runs stays what it is.
        if is_own and not self._client.search_runs([_OWN_EXPERIMENT], run_view_type=ViewType.ALL, max_results=1):
            self._client.rename_experiment(_OWN_EXPERIMENT, f"{study} (made by MLflow, unused)")
            found = None
        if found is not None:
            return str(found.experiment_id)
        artifacts = (self._output.resolve() / ARTIFACTS).as_uri()
        return str(self._client.create_experiment(study, artifact_location=artifacts))

    def _create(self, *, name: str, params: dict[str, Any], tags: dict[str, str]) -> str:
        run = self._client.create_run(self._experiment, run_name=name, tags={**tags, MLFLOW_RUN_NAME: name})
        self._client.log_batch(run.info.run_id, params=[Param(key, str(value)) for key, value in params.items()])
        return str(run.info.run_id)

    def _tag(self, run: str, **tags: str) -> None:
        self._client.log_batch(run, tags=[RunTag(f"iskpo.{key}", value[:4900]) for key, value in tags.items()])

    def start_study(self, *, name: str, question: str, params: dict[str, Any]) -> str:
        """Create the parent run.

        Args:
            name: The study's name.
            question: What the study asks, in words.
            params: The study's parameters.

        Returns:
            The run's id.
        """
        tags = {"iskpo.kind": "study", "iskpo.study": name, "iskpo.state": "running", **environment_tags()}
        if question:
            tags |= {"iskpo.question": question, MLFLOW_RUN_NOTE: question}
        self._parent = self._create(name=name, params={"name": name, **params}, tags=tags)
        if self._delivery is not None:
            self._delivery.start()
        return self._parent

    def log_study_files(self, paths: list[Path]) -> None:
        """Keep the study's own files with its run."""
        for path in paths:
            self._client.log_artifact(self._parent, str(path), "study")

    def resume_study(self) -> dict[str, RecordedRun]:
        """Take the study's runs up again after the process that wrote them has ended, however it ended.

        Returns:
            Every trial that has a run, by key, with its objectives; one that was cut off is still running in it.

        Raises:
            LookupError: The store holds no run of a study.
        """
        study, known = latest_study(self._output, metrics=("objective/*",))
        if study is None:
            raise LookupError("the store holds no run of a study")
        self._parent = study.run_id
        for key, run in known.items():
            self._runs[key], self._attempts[key] = run.run_id, run.attempts
            if run.state == "running":
                self._running.add(key)
            elif run.status == "RUNNING":
                # Killed between the two calls that end a trial.
                self._client.set_terminated(run.run_id, _STATES[run.state])
        self._client.update_run(self._parent, status="RUNNING")
        self._tag(self._parent, state="running")
        if self._delivery is not None:
            self._delivery.start()
        return known

    def _restart_trial(self, key: str) -> None:
        """Use a trial's run for one more attempt: what the last one measured is taken out.

        An attempt that goes on from a checkpoint reports what came before it again.
        """
        run = self._runs[key]
        self._attempts[key] += 1
        self._innovations.pop(key, None)
        self._load.end(run)
        erase_metrics(self._output, run)
        self._client.update_run(run, status="RUNNING")
        self._restarted[key] = int(time.time() * 1000)
        self._tag(run, state="running", attempts=str(self._attempts[key]), restarted=str(self._restarted[key]))
        if "iskpo.reason" in self._client.get_run(run).data.tags:
            self._client.delete_tag(run, "iskpo.reason")

    def resume_trial(self, *, key: str, step: int, seconds: float) -> None:
        """Note that an attempt goes on from a checkpoint, and count the time that the trial had trained by then."""
        restarted = self._restarted.get(key, int(time.time() * 1000)) - int(1000 * seconds)
        self._tag(self._runs[key], restarted=str(restarted), resumed_from_step=str(step))

    def start_trial(
        self,
        *,
        key: str,
        arm: str,
        seed: int,
        params: dict[str, Any],
        alias: str = "",
        numerics: str = "exact",
        loss: str = "iskpo",
    ) -> None:
        """Create a trial's child run, with all parameters on the child: the UI does not look at the parent's.

        A trial that has a run already is tried again: its run is kept, its metrics begin anew.
        """
        self._running.add(key)
        if key in self._runs:
            self._restart_trial(key)
            self._load.begin(self._runs[key])
            return
        tags = self._trial_tags(key=key, arm=arm, seed=seed, alias=alias, numerics=numerics, loss=loss, state="running")
        self._attempts[key] = 1
        self._runs[key] = self._create(name=key, params={"arm": arm, "seed": seed, **params}, tags=tags)
        self._load.begin(self._runs[key])

    def _trial_tags(
        self, *, key: str, arm: str, seed: int, alias: str, numerics: str, loss: str, state: str
    ) -> dict[str, str]:
        return {
            MLFLOW_PARENT_RUN_ID: self._parent,
            "iskpo.kind": "trial",
            "iskpo.trial": key,
            "iskpo.arm": arm,
            "iskpo.seed": str(seed),
            "iskpo.loss": loss,
            "iskpo.numerics": numerics,
            "iskpo.state": state,
            "iskpo.attempts": "1",
            **({MLFLOW_RUN_NOTE: _PUBLIC_NUMERICS} if numerics == "public-cumsum-fp32" else {}),
            **({"iskpo.alias": alias} if alias else {}),
        }

    def record_trial(
        self,
        *,
        key: str,
        arm: str,
        seed: int,
        params: dict[str, Any],
        metrics: dict[str, float],
        started: float,
        alias: str = "",
        state: str = "finished",
        reason: str = "",
    ) -> None:
        """Record a trial of one step that has ended already, all of it at once.

        A trial that has a run already, from an attempt before, keeps it.
        """
        if key in self._runs:
            self.start_trial(key=key, arm=arm, seed=seed, params=params, alias=alias)
            self.log_metrics(key=key, step=1, metrics=metrics)
            self.end_trial(key=key, state=state, reason=reason)
            return
        tags = self._trial_tags(key=key, arm=arm, seed=seed, alias=alias, numerics="exact", loss="iskpo", state=state)
        self._attempts[key] = 1
        self._runs[key] = insert_run(
            self._output,
            experiment_id=self._experiment,
            name=key,
            status=_STATES[state],
            started=started,
            tags={**tags, **({"iskpo.reason": reason} if reason else {})},
            params={"arm": arm, "seed": seed, **params},
            metrics=browsable(metrics),
        )

    def record_twin(
        self, *, key: str, original: str, why: str, kappa: float, **start: Any
    ) -> tuple[int, dict[str, float]]:
        """Record a trial that was proved to be another one, with that one's numbers.

        Its files stay the original's own, to which a tag points; so do times and what the machine did.

        Args:
            key: The trial's.
            original: Key of the trial that was trained.
            why: Why they are the same, in words.
            kappa: Its own, under which no token was clipped; NaN where its loss has none.
            start: As of `start_trial`.

        Returns:
            The last training step, and the last value of each metric.
        """
        self.start_trial(key=key, **start)
        run, source = self._runs[key], self._runs[original]
        points = points_of_twin(output=self._output, run_id=source, kappa=kappa)
        last = max((step for name, step, _ in points if not name.startswith("eval/")), default=0)
        now = int(time.time() * 1000)
        for start_at in range(0, len(points), 1000):
            batch = points[start_at : start_at + 1000]
            self._client.log_batch(run, metrics=[Metric(name, value, now, step) for name, step, value in batch])
        words = f"Same as {original}: {why}. Its numbers and files are those of run {source}; nothing was trained."
        self._client.log_batch(run, tags=[RunTag(MLFLOW_RUN_NOTE, words)])
        self._tag(run, same_as=original, same_as_run=source, reason=why)
        self.end_trial(key=key, state="finished")
        return last, {name: value for name, _, value in points}

    def take_over(self, found: Reusable, *, key: str, params: dict[str, Any], **start: Any) -> None:
        """Record a trial that another study has trained: its times, numbers and files, and where they are from."""
        self._runs[key] = found.copy_into(
            self._output,
            experiment_id=self._experiment,
            name=key,
            tags=self._trial_tags(key=key, state="finished", **start),
            params={"arm": start["arm"], "seed": start["seed"], **params},
        )
        self._attempts[key] = 1

    def log_metrics(
        self, *, key: str, step: int, metrics: dict[str, float], time_measured: float | None = None
    ) -> dict[str, float]:
        """Log a training step's metrics under the names people browse, and return these.

        The innovations' histogram and moments are kept until the trial ends, and are then tables among its artifacts.

        Args:
            key: The trial's.
            step: Training step.
            metrics: As the trial reports them.
            time_measured: When, seconds since 1970; now by default.
        """
        if apart := kept_apart(metrics):
            self._innovations.setdefault(key, {})[step] = apart
        named = browsable(metrics)
        milliseconds = int(1000 * (time_measured or time.time()))
        entries = [Metric(name, value, milliseconds, step) for name, value in named.items()]
        for start in range(0, len(entries), 500):
            self._client.log_batch(self._runs[key], metrics=entries[start : start + 500])
        return named

    def run_of(self, key: str) -> str:
        """The id of a trial's run."""
        return self._runs[key]

    def log_samples(
        self, *, key: str, step: int, path: Path, metrics: dict[str, float], time_measured: float | None = None
    ) -> dict[str, float]:
        """Log an evaluation as `keep_samples` wrote it: every sample as an artifact, and its accuracy.

        That of the untrained model, at step 0, has names of its own: it is no result of the trial.
        """
        self._client.log_artifact(self._runs[key], str(path), "samples")
        if step == 0:
            metrics = {name.replace("eval/", UNTRAINED, 1): value for name, value in metrics.items()}
        return self.log_metrics(key=key, step=step, metrics=metrics, time_measured=time_measured)

    def log_traces(self, *, key: str, path: Path) -> None:
        """Move a step's log ratios into the trial's artifacts: a copy beside them would double what they take.

        Those that an earlier attempt reported are there already.
        """
        if path.exists():
            self._client.log_artifact(self._runs[key], str(path), "traces")
            path.unlink()

    def log_file(self, *, key: str, path: Path, folder: str) -> None:
        """Log a file of a trial as an artifact."""
        if path.exists():
            self._client.log_artifact(self._runs[key], str(path), folder)

    def end_trial(self, *, key: str, state: str, reason: str = "") -> None:
        """End a trial's run: ``finished``, ``failed`` or ``interrupted``, and why."""
        run = self._runs[key]
        self._load.end(run)
        for name, table in innovation_tables(self._innovations.pop(key, {})).items():
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / f"{name}.parquet"
                table.to_parquet(path, index=False)
                self._client.log_artifact(run, str(path), "innovations")
        self._tag(run, state=state, **({"reason": reason} if reason else {}))
        self._client.set_terminated(run, _STATES[state])
        self._running.discard(key)

    def end_study(self, *, state: str) -> None:
        """End the parent run, and as interrupted every trial that is still running."""
        for key in sorted(self._running):
            self.end_trial(key=key, state="interrupted")
        self._tag(self._parent, state=state)
        self._client.set_terminated(self._parent, _STATES[state])
        if self._delivery is not None and (missing := self._delivery.finish()):
            print(missing, file=sys.stderr)
