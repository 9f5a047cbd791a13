"""How being right depends on what was set (gain, threshold) and what it did (clip fraction), over the arms of a study.

Each arm is one observation of its setting: seeds are added up and variances clustered by arm and by problem
(`reports.statistics.logistic`). A regression over arms that were chosen, not drawn, describes these arms; the clip
fraction is an outcome of training, so that its coefficient is an association and no effect.
"""

import math

import numpy as np
import pandas as pd

from reports.statistics.logistic import CannotFitError, logistic_regression

SETTING_COLUMNS = ("model", "name", "odds_ratio", "low", "high", "p", "degrees_of_freedom", "arms", "reason")
_MODELS = (("log_gain",), ("log_threshold",), ("log_gain", "log_threshold"), ("clip_fraction",))


def setting_effects(*, verdicts: pd.DataFrame, settings: pd.DataFrame) -> pd.DataFrame:
    """Odds ratios of being right for a gain or a threshold e times as high, and for ten points more of clip fraction.

    Args:
        verdicts: From `verdict_counts`.
        settings: One row an arm: arm, gain and threshold (steady state, infinite without clipping), clip_fraction
            (a share of tokens; NaN where unknown).

    Returns:
        `SETTING_COLUMNS`: a row for each regressor of each model (gain; threshold; both; clip fraction). Arms without a
        finite regressor are left out of a model; numbers are NaN where ``reason`` says why there is no fit.
    """
    keys = ["arm", "benchmark", "problem_id"]
    counts = verdicts.groupby(keys, sort=False, observed=True)[["correct", "samples"]].sum().reset_index()
    with np.errstate(divide="ignore"):
        columns = {
            "log_gain": np.log(settings["gain"].to_numpy(np.float64)),
            "log_threshold": np.log(settings["threshold"].to_numpy(np.float64)),
            # In units of ten points, so that an odds ratio is of a size that occurs.
            "clip_fraction": settings["clip_fraction"].to_numpy(np.float64) * 10,
        }
    of_arms = pd.DataFrame(columns, index=pd.Index(settings["arm"], name="arm"))
    rows: list[dict[str, object]] = []
    for names in _MODELS:
        model = ", ".join(names)
        known = of_arms[list(names)].replace([np.inf, -np.inf], np.nan).dropna()
        used = counts.merge(known, left_on="arm", right_index=True)
        arms = int(used["arm"].nunique())
        nothing = {**dict.fromkeys(SETTING_COLUMNS[2:7], math.nan), "arms": arms}
        try:
            if arms < len(names) + 3:
                raise CannotFitError(f"{arms} arms are too few, it takes {len(names) + 3}")
            fit = logistic_regression(table=used, regressors=names, cluster="arm").table(names=names)
        except CannotFitError as error:
            rows += [{"model": model, "name": name, **nothing, "reason": str(error)} for name in names]
            continue
        for found in fit.to_dict("records"):
            ends = {"odds_ratio": found["value"], "low": found["low"], "high": found["high"]}
            row = {"model": model, "name": found["name"], **{key: math.exp(value) for key, value in ends.items()}}
            freedom = found["degrees_of_freedom"]
            rows.append({**row, "p": found["p"], "degrees_of_freedom": freedom, "arms": arms, "reason": ""})
    return pd.DataFrame(rows, columns=list(SETTING_COLUMNS))
