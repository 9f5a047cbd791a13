"""Some of the log ratios that a study recorded: what is computed from them takes no longer with larger studies."""

import math
from pathlib import Path

import numpy as np

from iskpo.replay.traces import Traces
from reports.data.load import StudyRecord
from sweep.arms.losses import ISKPO
from sweep.store.recorded_traces import NoTracesError, RecordedTrial, recorded_trials

_MOST_TRIALS = 12


def spread_trials(*, output: Path, study: StudyRecord, neighbours: bool = False) -> list[RecordedTrial]:
    """At most 12 finished trials that left traces, spread over the arms' gains; none where none did.

    Args:
        output: The study's folder.
        study: From `reports.data.load`.
        neighbours: Whether trials whose loss has no filter are among them, as if their gain were the largest.

    Raises:
        UserError: Traces are of a newer format than this program reads.
    """
    finished = study.trials[(study.trials["state"] == "finished") & (neighbours | (study.trials["loss"] == ISKPO))]
    order = finished.sort_values(["predicted_gain", "trial"])["trial"].tolist()
    spread = np.linspace(0, len(order) - 1, _MOST_TRIALS).round().astype(int) if order else np.empty(0, int)
    chosen = [order[place] for place in np.unique(spread).tolist()]
    try:
        return recorded_trials(output=output, only=chosen) if chosen else []
    except NoTracesError:
        return []


def some_sequences(traces: Traces, *, tokens: int) -> Traces:
    """A random sample of the sequences with about so many tokens; all of them where there are no more."""
    if traces.tokens <= tokens:
        return traces
    kept = max(1, math.floor(len(traces) * tokens / traces.tokens))
    return traces.subset(np.sort(np.random.default_rng(0).choice(len(traces), size=kept, replace=False)))
