"""The tension that the paper claims, put to this study's data: clip fractions under replay, and bounds of a verdict.

Gain and threshold can be set apart from each other (`iskpo.closed_form.decouple`), so "clipping needs a high gain" is a
question to the data: how large are innovations at a low gain, and what did clipping them do to accuracy?
The map's contours are recorded log ratios filtered again; captions say that the policy does not move under them.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from iskpo.replay.refilter import ReplaySettings, replay, settings_columns
from reports.analysis.arms import paper_clipping_gain
from reports.data.load import StudyRecord
from reports.data.log_ratios import some_sequences, spread_trials
from sweep.arms.arm import Arm
from sweep.arms.paper import PAPER_ARMS
from sweep.store.recorded_traces import RecordedTrial
from sweep.study.registered import Registered

GRID_COLUMNS = ("gain", "threshold", "clip_fraction", "tokens", "trials")
# What the study of the paper's Table 3 calls active clipping (studies/paper_table3.yaml).
ACTIVE = 1e-3
_SIDE, _MOST_TOKENS = 40, 1_000_000


@dataclass(frozen=True)
class Bounds:
    """What counts as a low gain and as active clipping.

    Attributes:
        gain: Steady-state gains up to this are low, 0 to 1; where none was registered, all below those of the paper's
            clipping arms.
        clip_fraction: Clip fractions from this on are active, 0 to 1.
        registered: Whether the study file named the gain before the data were seen.
        clip_registered: Whether it named the clip fraction.
    """

    gain: float
    clip_fraction: float
    registered: bool
    clip_registered: bool = False

    def low(self, gains: "pd.Series[float]") -> "pd.Series[bool]":
        """Which gains are low; a registered bound is itself low, the paper's own gain is not."""
        return gains <= self.gain * (1 + 1e-9) if self.registered else gains < self.gain * (1 - 1e-9)

    def active_arms(self, arms: pd.DataFrame) -> "pd.Series[bool]":
        """Arms that clip as much as counts, by the lower end of their interval where it was measured.

        Args:
            arms: From `reports.analysis.arms.arm_table`.
        """
        least = arms["clip_interval_low"].astype(float)
        return least.fillna(arms["clip_fraction"].astype(float)) >= self.clip_fraction

    def low_arms(self, arms: pd.DataFrame) -> "pd.Series[bool]":
        """Arms whose gain is low: the steady state's and, where it was measured, the realised one.

        A filter that starts at a large P0 has a high gain all along although its steady state is low. The published
        formula does not keep to the closed form: its gain is the realised one alone.

        Args:
            arms: From `reports.analysis.arms.arm_table`.
        """
        realised = arms["realised_gain"].astype(float)
        steady = self.low(arms["gain"].astype(float)) & (arms["numerics"] == "exact")
        return (steady & realised.isna()) | (self.low(realised) & (steady | (arms["numerics"] != "exact")))


def bounds_of(*, registered: Registered | None) -> Bounds:
    """The registered bounds, and in their place the paper's lowest clipping gain and 0.1 % of tokens."""
    gain = registered.gain_bound if registered else None
    clip = registered.clip_bound if registered else None
    return Bounds(
        gain=paper_clipping_gain() if gain is None else gain,
        clip_fraction=ACTIVE if clip is None else clip,
        registered=gain is not None,
        clip_registered=clip is not None,
    )


def replayed_grid(*, output: Path, study: StudyRecord, arms: pd.DataFrame) -> pd.DataFrame:
    """Clip fraction of every steady-state gain and threshold over the log ratios that the study recorded.

    Every sequence starts at P_0 = 0. At most 12 finished trials, spread over the arms' gains, and a million tokens of
    their sequences are filtered, so that the time does not grow with the study. The policy does not move under replay.

    Args:
        output: The study's folder.
        study: From `reports.data.load`.
        arms: From `reports.analysis.arms.arm_table`.

    Returns:
        `GRID_COLUMNS`, one row a setting; without a row where no finished trial has left traces.
    """
    trials = spread_trials(output=output, study=study)
    if not trials:
        return pd.DataFrame(columns=list(GRID_COLUMNS))
    gain, threshold = _ranges(arms, trials)
    settings = ReplaySettings.grid(gain=np.geomspace(*gain, _SIDE), threshold=np.geomspace(*threshold, _SIDE))
    pooled = None
    for trial in trials:
        result = replay(
            some_sequences(trial.traces, tokens=_MOST_TOKENS // len(trials)),
            settings=settings,
            eps_low=trial.eps_low,
            eps_high=trial.eps_high,
        )
        pooled = result if pooled is None else pooled.merge(result)
    assert pooled is not None
    columns = settings_columns(settings, pooled)
    grid = np.meshgrid(np.geomspace(*gain, _SIDE), np.geomspace(*threshold, _SIDE), indexing="ij")
    return pd.DataFrame(
        {
            "gain": grid[0].ravel(),
            "threshold": grid[1].ravel(),
            "clip_fraction": columns["clip_fraction"],
            "tokens": pooled.tokens,
            "trials": len(trials),
        }
    )


def paper_places() -> pd.DataFrame:
    """The paper's configurations on the plane: title, q, v, kappa, gain, threshold (steady state), in its order."""
    placed = [(known, Arm(name=known.name, q=known.q, v=known.v, kappa=known.kappa)) for known in PAPER_ARMS]
    return pd.DataFrame(
        [
            {"title": known.title, "q": known.q, "v": known.v, "kappa": known.kappa, "gain": arm.predicted_gain,
             "threshold": arm.predicted_threshold}
            for known, arm in placed
        ]
    )  # fmt: skip


def without_threshold(*, arms: pd.DataFrame, arm: "pd.Series[Any]") -> str | None:
    """The arm that differs in kappa alone and has no threshold; None where the study has none that was evaluated.

    Without a threshold the filter depends on Q/V and P0/V alone, so V may be another.
    """
    same = np.isinf(arms["kappa"].astype(float)) & arms["accuracy"].notna()
    for name in ("estimator", "loss", "settings", "numerics"):
        same &= arms[name] == arm[name]
    for name in ("q", "p0"):
        ratios = arms[name].astype(float) / arms["v"].astype(float)
        same &= np.isclose(ratios, float(arm[name]) / float(arm["v"]), rtol=1e-6, atol=0.0)
    return str(arms.loc[same, "arm"].iloc[0]) if same.any() else None


def _ranges(arms: pd.DataFrame, trials: list[RecordedTrial]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Gains and thresholds that hold the study's arms, the paper's, and what the log ratios reach."""
    paper = paper_places()
    gains = [*arms.loc[arms["gain"] > 0, "gain"], *paper["gain"]]
    thresholds = [value for value in (*arms["threshold"], *paper["threshold"]) if 0 < value < math.inf]
    largest = max(float(np.nanmax(np.abs(trial.traces.z))) for trial in trials) or 1.0
    low = min(*thresholds, largest / 30) / 2
    realised = arms.loc[arms["realised_gain_low"] > 0, "realised_gain_low"].min()
    left = min(min(gains) / 3, realised / 1.5 if math.isfinite(realised) else math.inf)
    return (left, min(0.9, max(gains) * 2)), (low, max(*thresholds, largest) * 2)
