"""Where one more run of the same would come out, from the runs that there are."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

_LEVEL = 0.975


@dataclass(frozen=True)
class Prediction:
    """A quantity of one more run.

    Attributes:
        value: Mean of the runs that there are; their geometric mean where it was asked for.
        low: Lower end of the 95 % interval for one more run; NaN where there is none.
        high: Its upper end.
        runs: How many runs there are.
    """

    value: float
    low: float
    high: float
    runs: int


def next_run(*, values: npt.ArrayLike, noise: float = 0.0, geometric: bool = False) -> Prediction:
    r"""The 95 % prediction interval for one more run.

    .. math:: \bar x \pm \max\bigl(t_{S-1} s, z \sqrt{v}\bigr) \sqrt{1 + 1/S}

    with mean and standard deviation of S runs (Hahn and Meeker 1991, Statistical Intervals, section 4.7), exact for
    normal runs. The second term is sampling within a run alone, of variance v, so that runs which came out alike by
    chance make no interval of width 0.

    Args:
        values: One number a run (S,); NaN where a run did not measure it.
        noise: v, the variance of one run that is known from within it; 0 where nothing is.
        geometric: Compute with logarithms, for positive quantities that spread over orders of magnitude.

    Returns:
        Without an end where one run stands alone and nothing is known from within it.
    """
    x = np.asarray(values, dtype=np.float64)
    x = x[np.isfinite(x)]
    if x.size == 0 or (geometric and (x <= 0).any()):
        return Prediction(math.nan, math.nan, math.nan, int(x.size))
    scale = np.log(x) if geometric else x
    runs, mean = x.size, float(scale.mean())
    between = stats.t.ppf(_LEVEL, runs - 1) * scale.std(ddof=1) if runs > 1 else 0.0
    half = max(float(between), stats.norm.ppf(_LEVEL) * math.sqrt(noise)) * math.sqrt(1 + 1 / runs)
    if runs == 1 and noise == 0:
        half = math.nan
    ends = (mean, mean - half, mean + half)
    value, low, high = (math.exp(end) for end in ends) if geometric else ends
    return Prediction(value, low, high, runs)
