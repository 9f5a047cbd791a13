"""Intervals for many arms against one reference that `calibration.py` runs: how often all of them hold at once."""

import numpy as np

from benchmarks.calibration_methods import Floats, Row, per_cent
from benchmarks.simulated_studies import Population, draw_counts
from reports.statistics.crossed import crossed_mean
from reports.statistics.multiplicity import holm, simultaneous_intervals

_ARMS, _PROBLEMS, _SAMPLES = 7, 560, 16


def simultaneous(*, random: np.random.Generator, repeats: int, seeds: int, spread: float, trained: bool) -> list[Row]:
    """Seven arms without a difference against one reference, which is trained with the same seeds or not at all."""
    alone, together, stepwise, widths = [], [], [], []
    for _ in range(repeats):
        shares = _shares(random, seeds, spread, trained)
        estimates = [crossed_mean(blocks=[shares[arm] - shares[0]]) for arm in range(1, _ARMS + 1)]
        ends = simultaneous_intervals(estimates=estimates)
        alone.append(all(one.low <= 0 <= one.high for one in estimates))
        together.append(bool(((ends[:, 0] <= 0) & (ends[:, 1] >= 0)).all()))
        stepwise.append(holm(p_values=[one.p for one in estimates]).min() < 0.05)
        widths.append([np.median([one.high - one.low for one in estimates]), np.median(np.diff(ends))])
    half = 100 * np.median(widths, axis=0) / 2
    return [
        {
            "reference": "an arm" if trained else "the untrained model",
            "seeds": seeds,
            "seed SD (logit)": spread,
            "all hold, each alone": per_cent(alone),
            "all hold, Dunnett": per_cent(together),
            "any false alarm, Holm": per_cent(stepwise),
            "half-width, each alone (points)": f"{half[0]:.1f}",
            "half-width, Dunnett": f"{half[1]:.1f}",
        }
    ]


def _shares(random: np.random.Generator, seeds: int, spread: float, trained: bool) -> Floats:
    """Shares (arms, seeds, problems), the reference first."""
    of_seeds = spread * random.standard_normal((_ARMS + 1, seeds))
    if not trained:
        of_seeds[0] = 0.0
    counts = draw_counts(
        random=random, population=Population(), effects=of_seeds, seeds=seeds, problems=_PROBLEMS, samples=_SAMPLES
    )
    return np.asarray(counts / _SAMPLES)
