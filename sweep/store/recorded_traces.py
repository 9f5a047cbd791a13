"""The log ratios that trials recorded: read back with what the trials ran with, and kept for a study that replays them.

A study that replays copies them into its own folder once, so that it does not depend on where the earlier study lies,
or on what becomes of it.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from iskpo.innovation_histogram import FILTER_METRICS
from iskpo.replay.logged_statistics import DIVERGENCE
from iskpo.replay.refilter import PackedTraces, ReplaySettings, replay
from iskpo.replay.refilter_any import replay_estimator
from iskpo.replay.traces import Traces, UnknownFormatError, read_traces
from iskpo.settings import CHOICES, FILTER_KEYS, KPO_BOUNDS, FilterSettings
from sweep.arms.arm import Arm
from sweep.arms.losses import ISKPO
from sweep.arms.objectives import REPLAYED
from sweep.input.errors import UserError, did_you_mean
from sweep.store.mlflow_tables import RecordedRun, latest_study, metric_points
from sweep.store.study_folder import DATABASE, artifact_folder
from sweep.study.trial_kind import TrialKind

KEPT_TRACES = "replayed.npz"


class NoTracesError(UserError):
    """A study has no trial with traces."""


@dataclass(frozen=True)
class RecordedTrial:
    """One trial that left traces.

    Attributes:
        key: The trial's key.
        settings: The filter's that it ran with; None where its loss has none.
        eps_low: The objective clipped ratios at 1 - eps_low; KPO's where there was no filter.
        eps_high: And at 1 + eps_high.
        traces: Its log ratios, of all recorded steps.
        logged: Step to the metrics that the trial logged and that its log ratios give back.
    """

    key: str
    settings: FilterSettings | None
    eps_low: float
    eps_high: float
    traces: Traces
    logged: dict[int, dict[str, float]]


def recorded_trials(*, output: Path, only: list[str]) -> list[RecordedTrial]:
    """Trials of the latest study in a folder that left traces, in the order in which they ran.

    Args:
        output: The study's folder.
        only: Keys of the trials wanted; empty for all.

    Raises:
        NoTracesError: None of them left traces.
        UserError: There is no such trial, or its traces are of a newer format.
    """
    _, runs = latest_study(output, params=True)
    for key in only:
        if key not in runs:
            raise UserError(f"{output} has no trial {key!r}{did_you_mean(key, list(runs))}")
    found = [_trial(output, run) for key, run in runs.items() if key in only or not only]
    trials = [trial for trial in found if trial is not None]
    if not trials:
        raise NoTracesError(
            f"{output} holds no traces to replay: its trials kept none (traces.megabytes in the study), "
            "or none has come to its end"
        )
    return trials


def _trial(output: Path, run: RecordedRun) -> RecordedTrial | None:
    """None for a trial without traces, or without the configuration that is recorded at its end."""
    folder = artifact_folder(output, run.run_id)
    files, configuration = sorted((folder / "traces").glob("*.parquet")), folder / "config" / "resolved.yaml"
    if not files or not configuration.is_file():
        return None
    try:
        traces = read_traces(files)
    except UnknownFormatError as error:
        raise UserError(f"trial {run.trial}: {error}; update it (pip install --upgrade iskpo-sweep)") from None
    if not traces.tokens:
        return None
    bounds, settings = KPO_BOUNDS, None
    if run.params.get("loss", ISKPO) == ISKPO:
        actor: dict[str, Any] = yaml.safe_load(configuration.read_text(encoding="utf-8"))["actor_rollout_ref"]["actor"]
        bounds = (float(actor["clip_ratio_low"]), float(actor["clip_ratio_high"]))
        given = {name: run.params[name] for name in FILTER_KEYS if name in run.params}
        ran_with: dict[str, Any] = {name: text if name in CHOICES else float(text) for name, text in given.items()}
        settings = FilterSettings(**ran_with)
    logged: dict[int, dict[str, float]] = {}
    names = (DIVERGENCE, *(f"{name}*" for name in FILTER_METRICS))
    for _, name, step, value in metric_points(output, names, run_id=run.run_id):
        logged.setdefault(step, {})[name] = value
    return RecordedTrial(
        key=run.trial,
        settings=settings,
        eps_low=bounds[0],
        eps_high=bounds[1],
        traces=traces,
        logged=logged,
    )


def traces_folder(kind: TrialKind, *, study_folder: Path) -> Path:
    """Where the earlier study lies.

    Raises:
        UserError: There is no study there.
    """
    assert kind.traces is not None
    for folder in (study_folder / kind.traces, Path(kind.traces)):
        if (folder / DATABASE).is_file():
            return folder
    raise UserError(
        f"trial.traces: {kind.traces} holds no study, neither from {study_folder} nor from here; "
        "give the --output of a run that kept traces"
    )


def keep_traces(*, output: Path, source: Path, only: list[str]) -> str:
    """Copy observed log ratios of an earlier study into this one's folder; says what was copied.

    Raises:
        UserError: It has no such trial, or none with traces.
    """
    trials = recorded_trials(output=source, only=only)
    arrays: dict[str, np.ndarray] = {}
    for number, bounds in enumerate(sorted({(trial.eps_low, trial.eps_high) for trial in trials})):
        group = [trial.traces for trial in trials if (trial.eps_low, trial.eps_high) == bounds]
        sequences = [z[~np.isnan(z)] for traces in group for z in map(traces.sequence, range(len(traces)))]
        arrays[f"bounds_{number}"] = np.asarray(bounds)
        arrays[f"z_{number}"] = np.concatenate(sequences)
        arrays[f"lengths_{number}"] = np.asarray([len(z) for z in sequences])
        old = [traces.old_log_prob[~np.isnan(traces.z)] for traces in group if traces.old_log_prob is not None]
        if len(old) == len(group):
            arrays[f"old_log_prob_{number}"] = np.concatenate(old)
    partial = output / f"{KEPT_TRACES}.{os.getpid()}.npz"
    np.savez(partial, allow_pickle=False, **arrays)
    os.replace(partial, output / KEPT_TRACES)
    tokens = sum(trial.traces.tokens for trial in trials)
    return f"{tokens:,} log ratios of {len(trials)} trials in {source}"


@dataclass(frozen=True)
class KeptTraces:
    """What is replayed, ready for the kernel.

    Attributes:
        groups: Log ratios, with the bounds 1 - low and 1 + high of the objective that they were recorded under.
    """

    groups: list[tuple[PackedTraces, float, float]]

    @classmethod
    def load(cls, output: Path) -> "KeptTraces":
        """Read what `keep_traces` wrote."""
        groups = []
        with np.load(output / KEPT_TRACES) as arrays:
            for number in range(sum(name.startswith("bounds_") for name in arrays)):
                lengths = arrays[f"lengths_{number}"]
                offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
                blank = np.zeros(len(lengths), np.float32)
                old = arrays.get(f"old_log_prob_{number}")
                traces = Traces({}, [""] * len(lengths), blank, offsets, arrays[f"z_{number}"], old)
                low, high = arrays[f"bounds_{number}"].tolist()
                groups.append((PackedTraces.of(traces), low, high))
        return cls(groups)

    def metrics(self, arm: Arm) -> dict[str, float]:
        """What an arm's filter does to them, under the names that MLflow has it by."""
        assert arm.filter is not None, "the study's check lets arms with a filter through alone"
        if arm.estimator == "clip":
            settings = ReplaySettings.of(q=arm.q, v=arm.v, kappa=arm.kappa, p0=arm.p0, rho0=arm.rho0)
            results = [
                replay(traces, settings=settings, eps_low=low, eps_high=high) for traces, low, high in self.groups
            ]
        else:
            results = [
                replay_estimator(traces, settings=arm.filter, eps_low=low, eps_high=high)
                for traces, low, high in self.groups
            ]
        result = results[0]
        for other in results[1:]:
            result = result.merge(other)
        return {
            "kalman/tokens": float(result.tokens),
            "kalman/clipped_tokens": float(result.counts[0, 0]),
            "kalman/clip_fraction": float(result.clip_fraction[0]),
            "kalman/gain_mean": float(result.gain_mean[0]),
            f"{REPLAYED}autocorrelation": float(result.autocorrelation[0]),
            f"{REPLAYED}switch_frequency": float(result.switch_frequency[0]),
            f"{REPLAYED}outside_fraction": float(result.outside_fraction[0]),
        }
