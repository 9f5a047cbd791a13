r"""Are innovations white? Autocorrelation pooled over sequences, and the Ljung-Box test of single sequences.

If a filter's model holds, its standardised innovations e_t are uncorrelated with mean 0. Lag k, over all sequences, has

.. math:: r_k = \sum_i \sum_t e_{i,t} e_{i,t+k} \Big/ \sum_i \sum_t \tfrac{1}{2} (e_{i,t}^2 + e_{i,t+k}^2) \in [-1, 1],

without subtracting a mean, since the model has none. Its standard error comes from the sequences' own sums, so heavy
tails do not make it too small (a ratio estimate, Cochran 1977, section 2.11).

Ljung & Box 1978 (Biometrika 65, 297) test all lags up to h of one sequence at once. One p-value for a whole arm would
find anything in so many tokens, so what is given is the share of sequences that the test refuses at 5 %: of white
Gaussian noise that share is 5 %. The test itself is statsmodels'.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from statsmodels.stats.diagnostic import acorr_ljungbox

Floats = npt.NDArray[np.float64]
# With fewer tokens the test's approximation fails; with more sequences the share is known well enough.
SHORTEST, MOST_TESTED = 20, 100
LEVEL = 0.05


@dataclass(frozen=True)
class LjungBox:
    """Ljung-Box tests of single sequences.

    Attributes:
        tested: Sequences tested: at least `SHORTEST` tokens and some variance, at most `MOST_TESTED`, evenly spaced.
        refused: Share of them with a p-value below `LEVEL`; NaN without any.
    """

    tested: int
    refused: float


def autocorrelation(*, sequences: Sequence[Floats], lag: int) -> tuple[float, float]:
    """r_k pooled over sequences and its standard error; NaN where no pair or no variance is there.

    Args:
        sequences: Standardised innovations, each (T_i,).
        lag: k, in tokens, >= 1.
    """
    long = [e for e in sequences if len(e) > lag]
    products = np.array([float(e[:-lag] @ e[lag:]) for e in long])
    powers = np.array([0.5 * float(e[:-lag] @ e[:-lag] + e[lag:] @ e[lag:]) for e in long])
    whole = powers.sum()
    if not whole > 0:
        return math.nan, math.nan
    ratio = float(products.sum() / whole)
    if len(long) < 2:
        return ratio, math.nan
    residuals = products - ratio * powers
    return ratio, float(math.sqrt(len(long) / (len(long) - 1) * (residuals**2).sum()) / whole)


def ljung_box(*, sequences: Sequence[Floats]) -> LjungBox:
    """Tests lags 1 to min(10, T/5) of single sequences (Hyndman & Athanasopoulos 2021, section 5.4).

    Args:
        sequences: Standardised innovations, each (T_i,).
    """
    long = [e for e in sequences if len(e) >= SHORTEST and np.ptp(e) > 0]
    if not long:
        return LjungBox(0, math.nan)
    places = np.unique(np.linspace(0, len(long) - 1, MOST_TESTED).round().astype(int))
    p_values = [_p_value(long[place]) for place in places]
    return LjungBox(len(places), float(np.mean([p < LEVEL for p in p_values])))


def _p_value(sequence: Floats) -> float:
    lags = min(10, len(sequence) // 5)
    return float(acorr_ljungbox(sequence, lags=[lags])["lb_pvalue"].iloc[0])
