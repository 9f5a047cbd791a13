"""Is the filter's model true? Its innovations' size and whiteness, and the Q and V that the log ratios ask for.

The model is that of the filter that an arm trained with, linear: nothing is clipped here, since clipping is what one
does when the model fails. Everything is computed from recorded log ratios, by mini-batch update, since the policy's
drift grows from one to the next. Of an arm whose loss has no filter, the log ratios are asked for Q and V alone.
"""

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from iskpo.replay.traces import Traces
from iskpo.settings import FilterSettings
from reports.data.load import StudyRecord
from reports.data.log_ratios import some_sequences, spread_trials
from reports.statistics.local_level import fit_local_level, log_likelihood, standardised_innovations
from reports.statistics.uncertain_noise import fit_uncertainty
from reports.statistics.whiteness import autocorrelation, ljung_box

Floats = npt.NDArray[np.float64]
MODEL_COLUMNS = (
    "arm", "update", "tokens", "sequences", "problems", "nis", "lag1", "lag1_error", "tested", "refused",
    "gain", "gain_low", "gain_high", "q", "q_low", "q_high", "v", "v_low", "v_high",
    "fitted_lag1", "fitted_lag1_error", "fitted_refused", "nats_per_token",
    "uncertain", "uncertain_low", "uncertain_high", "uncertain_nats_per_token",
)  # fmt: skip
# Of one arm and update: the fit of so many takes about a second.
_MOST_TOKENS = 50_000


def filter_model_table(*, output: Path, study: StudyRecord) -> pd.DataFrame:
    """How far the log ratios are from what each arm's filter assumes.

    Of at most 12 trials, spread over the arms' gains, and 50,000 tokens of an arm and update, so that the time does not
    grow with the study.

    Args:
        output: The study's folder.
        study: From `reports.data.load`.

    Returns:
        `MODEL_COLUMNS`, one row an arm and update, and one with a missing update for all updates together: nis, the
        mean of (innovation / sigma)^2 under the arm's own Q and V, 1 if they are true; lag1, the autocorrelation of
        neighbouring innovations, 0 if they are white, and its standard error; tested sequences, and the share that
        Ljung-Box refuses at 5 %; the most likely steady-state gain, Q and V with 95 % intervals over problems (Q and V
        in squared log-ratio units); lag1 and refused under these; nats_per_token, by how much they are more likely
        than the arm's own; uncertain, the share of the noise that follows (1 - pi_old)^2 and not a constant V, with
        its interval, and what that adds in nats per token. An arm without a filter has nothing of its own, and what
        has not moved at all has no fit; without traces there is no row.
    """
    arm_of = dict(zip(study.trials["trial"], study.trials["arm"], strict=True))
    by_arm: dict[str, list[tuple[FilterSettings | None, Traces]]] = {}
    for trial in spread_trials(output=output, study=study, neighbours=True):
        by_arm.setdefault(str(arm_of[trial.key]), []).append((trial.settings, trial.traces))
    rows = []
    for arm in filter(by_arm.__contains__, study.trials["arm"].unique()):
        trials = by_arm[arm]
        settings = trials[0][0]
        updates = sorted({int(number) for _, traces in trials for number in traces.columns["update"]})
        for update in [*updates, None] if len(updates) > 1 else updates:
            own = [traces if update is None else _of_update(traces, update) for _, traces in trials]
            parts = [some_sequences(traces, tokens=_MOST_TOKENS // len(trials)) for traces in own if len(traces)]
            rows.append({"arm": arm, "update": update, **_row(parts, settings)})
    return pd.DataFrame(rows, columns=list(MODEL_COLUMNS)).astype({"update": "Int64"})


def _of_update(traces: Traces, update: int) -> Traces:
    return traces.subset(np.flatnonzero(traces.columns["update"] == update))


def _row(parts: list[Traces], settings: FilterSettings | None) -> dict[str, float]:
    start = settings.rho0 if settings else 0.0
    sequences = [z - start for traces in parts for z in traces.observed(traces.z)]
    problems = [problem for traces in parts for problem in traces.problem_id]
    row: dict[str, float] = {
        "tokens": sum(z.size for z in sequences),
        "sequences": len(sequences),
        "problems": len(set(problems)),
    }
    likelihood = math.nan
    if settings is not None:
        model = {"q": settings.q, "v": settings.v, "p0": settings.p0}
        standardised = standardised_innovations(sequences=sequences, **model)
        likelihood = log_likelihood(standardised=standardised, **model)
        lag, error = autocorrelation(sequences=standardised, lag=1)
        tests = ljung_box(sequences=standardised)
        row |= {
            "nis": float((np.concatenate(standardised) ** 2).mean()),
            "lag1": lag,
            "lag1_error": error,
            "tested": tests.tested,
            "refused": tests.refused,
        }
    try:
        fit = fit_local_level(sequences=sequences, clusters=problems)
    except ValueError:
        return row
    # Without noise the filter is the limit of ever less of it.
    fitted = {"q": fit.q, "v": max(fit.v, 1e-9 * fit.q)}
    again = standardised_innovations(sequences=sequences, **fitted)
    fitted_lag, fitted_error = autocorrelation(sequences=again, lag=1)
    for name, value in (("gain", fit.gain), ("q", fit.q), ("v", fit.v)):
        row |= {name: value, f"{name}_low": fit.intervals[name][0], f"{name}_high": fit.intervals[name][1]}
    old = [o for traces in parts if traces.old_log_prob is not None for o in traces.observed(traces.old_log_prob)]
    if len(old) == len(sequences):
        noise = fit_uncertainty(innovations=again, old_log_prob=old, clusters=problems)
        row |= {"uncertain": noise.share, "uncertain_low": noise.low, "uncertain_high": noise.high}
        row["uncertain_nats_per_token"] = noise.nats_per_token
    return row | {
        "fitted_lag1": fitted_lag,
        "fitted_lag1_error": fitted_error,
        "fitted_refused": ljung_box(sequences=again).refused,
        "nats_per_token": (fit.log_likelihood - likelihood) / fit.tokens,
    }
