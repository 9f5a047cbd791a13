"""Replay a study: read its traces, check them, filter them under every setting, write tables and what they mean.

Before settings that nobody ran are believed, a replay of what was run must give back what was logged.
"""

import math
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from iskpo.closed_form import steady_state_gain, steady_state_threshold
from iskpo.replay.logged_statistics import statistics_of_steps
from iskpo.replay.refilter import ReplayResult, ReplaySettings, replay, settings_columns
from sweep.commands.replay_options import GridRequest
from sweep.input.errors import UserError
from sweep.store.recorded_traces import RecordedTrial, recorded_trials

ALL = "all"
"""Name of the rows that pool all trials."""
LIMIT = (
    "Limit: the policy does not move under replay. These are the log ratios of policies trained with the trials' own "
    "filters; another filter would have led to another policy, and to other log ratios."
)
_COLUMNS = """\
replay.parquet and replay.csv hold one row a trial and setting, and for `all` trials pooled:
  q, v, kappa, p0, rho0  the filter; Q and V in squared log-ratio units
  gain, threshold        its steady state: Kalman gain, and clipping threshold in log-ratio units
  tokens                 observed tokens, of all recorded steps
  clipped_tokens, clip_fraction   tokens whose innovation exceeds the threshold, and their share
  gain_mean              realised gain: mean Kalman gain over tokens, transient included
  autocorrelation        lag-1 autocorrelation of rho over neighbouring tokens of a sequence; 1 is smooth
  switch_frequency       share of neighbouring tokens between which exp(rho) crosses 1; 1/2 for independent log ratios
  outside_fraction       tokens whose exp(rho) leaves the objective's interval [1 - eps_low, 1 + eps_high], their share
check.csv compares what each trial logged with a replay under its own parameters.
"""


def check_trials(trials: list[RecordedTrial]) -> pd.DataFrame:
    """Replay every complete step of every trial under the trial's own parameters, and compare with its metrics.

    Of a trial whose loss has no filter, the mean log ratio is compared.

    Returns:
        One row a trial, step and metric: trial, step, metric, logged, replayed, equal (to the last bit). A step of
        which sequences were left out has no rows; a metric that was not logged is NaN there and not equal.
    """
    rows = []
    for trial in trials:
        replayed = statistics_of_steps(trial.traces, settings=trial.settings)
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
    worst = wrong.iloc[int(distance.to_numpy().argmax())]
    return (
        f"Check: {len(wrong)} of {len(check)} logged values are not reproduced to the last bit ({what}); "
        f"the farthest is {worst['metric']} of {worst['trial']}, step {worst['step']}: logged {worst['logged']:.9g}, "
        f"replayed {worst['replayed']:.9g}. Rounding between a GPU and a CPU, or two versions of this "
        "program, is below 1e-5 of a value; more means that the trace is not what the loss saw."
    )


def prepare_folder(output: Path, *, overwrite: bool) -> Path:
    """The folder to fill, under a name that is not the final one.

    Raises:
        UserError: There is a replay already, and it is not to be overwritten.
    """
    if (output / "replay").exists() and not overwrite:
        raise UserError(f"{output / 'replay'} exists; rename it to keep it, or add --overwrite")
    folder = output / "replay.unfinished"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def publish(folder: Path, *, output: Path) -> Path:
    """Give the filled folder its final name, in the place of an older replay."""
    final = output / "replay"
    if final.exists():
        shutil.rmtree(final)
    return folder.rename(final)


def replay_study(
    *,
    output: Path,
    folder: Path,
    request: GridRequest | dict[str, list[float]],
    only: list[str],
    console: Console,
) -> pd.DataFrame:
    """Replay the trials of a study and write tables and notes.

    Args:
        output: The study's folder.
        folder: Where to write; exists.
        request: A grid, or the columns of a list of settings.
        only: Keys of the trials wanted; empty for all.
        console: Where progress is shown.

    Returns:
        The pooled rows.

    Raises:
        UserError: No trial has traces.
    """
    trials = recorded_trials(output=output, only=only)
    check = check_trials(trials)
    summary = check_summary(check, trials=len(trials))
    settings = _grid(request, trials) if isinstance(request, GridRequest) else ReplaySettings.of(**request)
    tables, pooled = [], None
    with Progress(
        TextColumn("replay {task.fields[trial]}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        everything = sum(trial.traces.tokens for trial in trials)
        task = progress.add_task("replay", total=everything, trial="")
        done = 0
        for trial in trials:
            progress.update(task, trial=trial.key)
            tokens = trial.traces.tokens

            def advance(share: float, done: int = done, tokens: int = tokens) -> None:
                progress.update(task, completed=done + share * tokens)

            result = replay(
                trial.traces, settings=settings, eps_low=trial.eps_low, eps_high=trial.eps_high, progress=advance
            )
            done += tokens
            tables.append(_table(trial.key, settings, result))
            pooled = result if pooled is None else pooled.merge(result)
    assert pooled is not None
    tables.append(_table(ALL, settings, pooled))
    table = pd.concat(tables, ignore_index=True)
    table.to_parquet(folder / "replay.parquet", index=False)
    table.to_csv(folder / "replay.csv", index=False, float_format="%.9g")
    check.to_csv(folder / "check.csv", index=False)
    kept = sum(len(trial.traces) for trial in trials)
    scope = (
        f"{len(settings):,} settings over {pooled.tokens:,} tokens of {kept:,} sequences of {len(trials)} trials "
        "(every update counts its own sequences)."
    )
    (folder / "README.txt").write_text("\n\n".join([scope, LIMIT, summary, _COLUMNS]), encoding="utf-8")
    console.print(f"{scope}\n{summary}\n{LIMIT}", highlight=False, markup=False, soft_wrap=True)
    return tables[-1]


def _table(trial: str, settings: ReplaySettings, result: ReplayResult) -> pd.DataFrame:
    return pd.DataFrame({"trial": trial, **settings_columns(settings, result)})


def _grid(request: GridRequest, trials: list[RecordedTrial]) -> ReplaySettings:
    gain = request.gain or _gain_range(trials)
    threshold = request.threshold or _threshold_range(trials)
    return ReplaySettings.grid(
        gain=np.geomspace(*gain, request.gains), threshold=np.geomspace(*threshold, request.thresholds)
    )


def _gain_range(trials: list[RecordedTrial]) -> tuple[float, float]:
    """From 1e-4 or less to 0.9 or more, so that the study's own gains lie within."""
    own = [steady_state_gain(q=t.settings.q, v=t.settings.v) for t in trials if t.settings]
    positive = [gain for gain in own if 0 < gain < 1]
    return min([1e-4, *(gain / 2 for gain in positive)]), max([0.9, *((1 + gain) / 2 for gain in positive)])


def _threshold_range(trials: list[RecordedTrial]) -> tuple[float, float]:
    """From what nearly every innovation exceeds to what none does, and as far as the study's own thresholds."""
    # |z - rho| is at most twice the largest |z|, because rho is a mean of log ratios.
    largest = max(float(np.nanmax(np.abs(t.traces.z))) for t in trials) or 1.0
    own = [
        steady_state_threshold(q=t.settings.q, v=t.settings.v, kappa=t.settings.kappa)
        for t in trials
        if t.settings and np.isfinite(t.settings.kappa)
    ]
    return min([largest / 1000, *(x / 2 for x in own)]), max([2 * largest, *(2 * x for x in own)])
