"""The log ratios that a replay study filters: copied into its folder once, and packed in memory by who replays them.

A copy, so that the study does not depend on where the earlier one lies, or on what becomes of it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from iskpo.replay.refilter import PackedTraces, ReplaySettings, replay
from iskpo.replay.traces import Traces
from sweep.arms.arm import Arm
from sweep.arms.objectives import REPLAYED
from sweep.input.errors import UserError
from sweep.study.trial_kind import TrialKind

KEPT_TRACES = "replayed.npz"


def traces_folder(kind: TrialKind, *, study_folder: Path) -> Path:
    """Where the earlier study lies.

    Raises:
        UserError: There is no study there.
    """
    assert kind.traces is not None
    for folder in (study_folder / kind.traces, Path(kind.traces)):
        if (folder / "mlflow.db").is_file():
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
    from sweep.store.recorded_traces import recorded_trials

    trials = recorded_trials(output=source, only=only)
    arrays: dict[str, np.ndarray] = {}
    for number, bounds in enumerate(sorted({(trial.eps_low, trial.eps_high) for trial in trials})):
        group = [trial.traces for trial in trials if (trial.eps_low, trial.eps_high) == bounds]
        sequences = [z[~np.isnan(z)] for traces in group for z in map(traces.sequence, range(len(traces)))]
        arrays[f"bounds_{number}"] = np.asarray(bounds)
        arrays[f"z_{number}"] = np.concatenate(sequences)
        arrays[f"lengths_{number}"] = np.asarray([len(z) for z in sequences])
    partial = output / f"{KEPT_TRACES}.{os.getpid()}.npz"
    np.savez(partial, **arrays)
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
            for number in range(len(arrays) // 3):
                lengths = arrays[f"lengths_{number}"]
                offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
                blank = np.zeros(len(lengths), np.float32)
                traces = Traces({}, [""] * len(lengths), blank, offsets, arrays[f"z_{number}"])
                low, high = arrays[f"bounds_{number}"].tolist()
                groups.append((PackedTraces.of(traces), low, high))
        return cls(groups)

    def metrics(self, arm: Arm) -> dict[str, float]:
        """What an arm's filter does to them, under the names that MLflow has it by."""
        settings = ReplaySettings.of(q=arm.q, v=arm.v, kappa=arm.kappa, p0=arm.p0, rho0=arm.rho0)
        results = [replay(packed, settings=settings, eps_low=low, eps_high=high) for packed, low, high in self.groups]
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
