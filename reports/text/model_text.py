"""Whether the filter's model is true, and what makes the pooled kurtosis high: rows and sentences of the document."""

import math
from typing import Any

import pandas as pd

from reports.analysis.arms import number_and_label
from reports.data.numbers import MISSING, number, number_interval, per_cent

# Rows of a table that share a page with others.
_MOST_ARMS = 12


def model_content(
    *, mixtures: pd.DataFrame, model: pd.DataFrame, arms: pd.DataFrame, shown: list[str]
) -> dict[str, Any]:
    """Rows and sentences on innovations by update and class of tokens, and on the filter's model.

    Args:
        mixtures: From `reports.analysis.innovation_updates.mixture_table`; may be empty.
        model: From `reports.analysis.filter_model.filter_model_table`; may be empty.
        arms: From `reports.analysis.arms.arm_table`.
        shown: Names of the arms that tables show.
    """
    mixed = mixtures[mixtures["arm"].isin(shown)].head(_MOST_ARMS)
    known = [name for name in model["arm"].unique() if name in set(shown)][:_MOST_ARMS]
    # The last row of an arm is over all its updates.
    whole = model[model["arm"].isin(known)].groupby("arm", sort=False).tail(1)
    return {
        "mixtures": [_mixture_row(row, arms) for _, row in mixed.iterrows()],
        "filter_model": [_model_row(row, arms) for _, row in whole.iterrows()],
        "model_sentence": _sentence(model),
    }


def _mixture_row(row: "pd.Series[Any]", arms: pd.DataFrame) -> list[str]:
    kurtoses = ("kurtosis", "kurtosis_between", "kurtosis_within", "kurtosis_within_classes")
    scales = ("std_first", "std_last", "std_unlikely", "std_certain")
    return [
        *number_and_label(arms=arms, name=row["arm"]),
        *(number(row[name]) for name in kurtoses),
        *(number(row[name], digits=2) for name in scales),
    ]


def _model_row(row: "pd.Series[Any]", arms: pd.DataFrame) -> list[str]:
    return [
        *number_and_label(arms=arms, name=row["arm"]),
        number(row["nis"], digits=2),
        _with_error(row["lag1"], row["lag1_error"]),
        number_interval(*(100 * row[name] for name in ("gain", "gain_low", "gain_high")), digits=2),
        number(row["q"], digits=2),
        number_interval(row["v"], row["v_low"], row["v_high"], digits=2),
        MISSING if math.isnan(row["fitted_refused"]) else per_cent(row["fitted_refused"], digits=2),
        number(row["nats_per_token"], digits=2),
        number(row["uncertain_nats_per_token"], digits=2),
    ]


def _with_error(value: float, error: float) -> str:
    if math.isnan(value):
        return MISSING
    text = f"{value:.3f}".replace("-", "−")
    return text if math.isnan(error) else f"{text} ± {error:.3f}"


def _sentence(model: pd.DataFrame) -> str:
    """How far the arms' Q and V are from what the log ratios ask for; empty without traces."""
    whole = model[model["update"].isna()]
    whole = (whole if len(whole) else model).dropna(subset=["nis", "gain"])
    if whole.empty:
        return ""
    smallest, largest = whole["nis"].min(), whole["nis"].max()
    measured = _range(number(smallest, digits=2), number(largest, digits=2))
    size = (
        "innovations are smaller than any arm assumes"
        if largest < 1
        else "innovations are larger than any arm assumes"
        if smallest > 1
        else "some arms assume too much noise and others too little"
    )
    gains = _range(*(f"{number(100 * edge, digits=2)} %" for edge in (whole["gain"].min(), whole["gain"].max())))
    nats = whole["uncertain_nats_per_token"].median()
    noise = (
        f" Noise that follows how unsure the old policy was of a token, (1 − π)², makes them {number(nats, digits=2)} "
        "nats a token more likely than one V for all tokens (median over arms)."
    )
    found = (
        f"If the filter's model were true, squared innovations would be σ² on average. They are {measured} σ²: {size}. "
        f"The steady-state gain under which the log ratios are most likely is {gains}."
    )
    return found if math.isnan(nats) else found + noise


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
