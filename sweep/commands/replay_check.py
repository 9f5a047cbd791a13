"""Before settings that nobody ran are believed: does a replay of what was run give back what was logged?"""

import math

import pandas as pd

from iskpo.replay.replay_check import statistics_of_steps
from sweep.store.recorded_traces import RecordedTrial


def check_trials(trials: list[RecordedTrial]) -> pd.DataFrame:
    """Replay every complete step of every trial under the trial's own parameters, and compare with its metrics.

    Returns:
        One row a trial, step and metric: trial, step, metric, logged, replayed, equal (to the last bit). A step of
        which sequences were left out has no rows; a metric that was not logged is NaN there and not equal.
    """
    rows = []
    for trial in trials:
        replayed = statistics_of_steps(
            trial.traces, numerics=trial.numerics, estimator=trial.estimator, **trial.parameters
        )
        for step, metrics in replayed.items():
            logged = trial.logged.get(step, {})
            rows += [
                {
                    "trial": trial.key,
                    "step": step,
                    "metric": name,
                    "logged": logged.get(name, math.nan),
                    "replayed": value,
                    "equal": logged.get(name) == value,
                }
                for name, value in metrics.items()
                if math.isfinite(value)
            ]
    return pd.DataFrame(rows, columns=["trial", "step", "metric", "logged", "replayed", "equal"])


def check_summary(check: pd.DataFrame, *, trials: int) -> str:
    """The outcome in one sentence."""
    if check.empty:
        return (
            "Check: not possible, every step holds a sample of its sequences only "
            "(traces.megabytes in the study says how much is kept)."
        )
    steps = len(check[["trial", "step"]].drop_duplicates())
    what = f"{steps} complete steps of {check['trial'].nunique()} of {trials} trials"
    if check["equal"].all():
        return f"Check: replayed under its own parameters, each trial's log is reproduced to the last bit ({what})."
    wrong = check[~check["equal"]]
    distance = ((wrong["replayed"] - wrong["logged"]).abs() / wrong["logged"].abs()).fillna(math.inf)
    worst = wrong.loc[distance.idxmax()]
    return (
        f"Check: {len(wrong)} of {len(check)} logged values are not reproduced to the last bit ({what}); "
        f"the farthest is {worst['metric']} of {worst['trial']}, step {worst['step']}: logged {worst['logged']:.9g}, "
        f"replayed {worst['replayed']:.9g}. Rounding between a GPU and a CPU is below 1e-5 of a value; "
        "more means that the trace is not what the loss saw."
    )
